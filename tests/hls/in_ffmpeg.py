#!/usr/bin/env python3
"""ffmpeg's HLS demuxer reads both renditions: each cue stands where the picture shows its text, within 50 ms.

Its demuxer takes no TYPE=SUBTITLES of a master playlist, so each media playlist is opened for itself.
"""
import html
import os
import re
import subprocess
import tempfile

from stream import CUES, SLACK, make_stream


def ffmpeg(folder, *args):
    return subprocess.run(["ffmpeg", "-v", "error", "-copyts", "-i", *args], cwd=folder, check=True,
                          capture_output=True, text=True, timeout=120).stdout


def seconds(text):
    h, m, s = text.replace(",", ".").split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def read_cues(folder):
    srt = ffmpeg(folder, "text.m3u8", "-f", "srt", "-")
    blocks = re.findall(r"(\S+) --> (\S+)\n(.*?)(?:\n\n|$)", srt, re.S)
    # one that goes on is in several segments
    return sorted({(seconds(start), seconds(end), html.unescape(text.strip())) for start, end, text in blocks})


def read_changes(folder):
    """MPEG-TS times at which text appears in the picture and goes."""
    lines = ffmpeg(folder, "video.m3u8", "-an", "-vf", "signalstats,metadata=print:key=lavfi.signalstats.YMAX:file=-",
                   "-f", "null", "-")
    frames = re.findall(r"pts_time:(\S+)\n\S+YMAX=(\d+)", lines)
    changes, bright = [], False
    for time, most in frames:
        if (int(most) > 128) != bright:
            bright = not bright
            changes.append(float(time))
    return changes


with tempfile.TemporaryDirectory() as folder:
    make_stream(folder)
    cues, changes = read_cues(folder), read_changes(folder)
    print("cues", cues)
    print("picture", changes)
    maps = set()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".vtt"):
            with open(os.path.join(folder, name), encoding="utf-8") as segment:
                maps.add(re.search(r"X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:(\d+)\n", segment.read()).group(1))
    assert len(maps) == 1, maps
    zero = int(maps.pop()) / 90000
    assert [(start, end) for start, end, _ in cues] == [(start, end) for start, end, _ in CUES]
    assert [text for _, _, text in cues] == [text for _, _, text in CUES]
    expected = [zero + edge for start, end, _ in CUES for edge in (start, end)]
    assert len(changes) == len(expected), "not every cue is in the picture"
    worst = max(abs(a - b) for a, b in zip(changes, expected))
    print(f"at most {1000 * worst:.1f} ms apart")
    assert worst <= SLACK
