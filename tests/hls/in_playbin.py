#!/usr/bin/env python3
"""GStreamer's own player takes the subtitles of the master playlist, each as long after the picture's beginning as it
should be.
"""
import re
import subprocess
import tempfile

from stream import CUES, FIRST, SLACK, make_stream, serve


def seconds(text):
    h, m, s = text.split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def play(address):
    """Cues, by what gst-launch prints of the sinks: start and duration, from a picture that begins at FIRST."""
    out = subprocess.run(
        ["gst-launch-1.0", "-v", "playbin3", f"uri={address}master.m3u8", "flags=text+video",
         "text-sink=fakesink name=texts silent=false sync=true",
         "video-sink=fakesink name=frames silent=false sync=false qos=false"],        # every frame
        check=True, capture_output=True, text=True, timeout=120).stdout
    # each stream has a segment of its own, from whose start running time counts
    segments = re.findall(r"\((frames|texts):sink\) E \(type: segment .*? start=\(guint64\)(\d+)", out)
    start = {sink: int(ns) / 1e9 for sink, ns in segments}
    frames = re.findall(r"frames: last-message = chain .* pts: ([\d:.]+),", out)
    texts = re.findall(r"texts: last-message = chain .* pts: ([\d:.]+), duration: ([\d:.]+)", out)
    if len(start) < 2 or not frames:
        return []
    first = seconds(frames[0]) - start["frames"]
    # one that goes on is in several segments
    return sorted({(seconds(pts) - start["texts"] - first + FIRST, seconds(duration)) for pts, duration in texts})


with tempfile.TemporaryDirectory() as folder:
    make_stream(folder)
    address = serve(folder)
    # playbin3 of 1.22 sometimes selects its streams before it knows of the subtitles, and of two messages in a row
    # gst-launch may print the second only
    for _ in range(6):
        cues = play(address)
        print("cues", cues)
        if len(cues) >= len(CUES):
            break
    assert len(cues) == len(CUES)
    for (pts, duration), (begin, end, _) in zip(cues, CUES):
        assert abs(pts - begin) <= SLACK and abs(duration - (end - begin)) <= SLACK, (pts, duration, begin, end)
