#!/usr/bin/env python3
"""What a user sees after ./run: the words of the recording, at their times: transcript.py RECORDING MAX-ERRORS

The recording is made by ./run: four prompts of asterisk-core-sounds-en, a second of silence after each. All but the
second were heard in the training of the embedded model.
"""
import re
import subprocess
import sys

PROMPTS = [  # seconds of sound, words (asterisk-core-sounds-en.txt)
    (5.52, "Goodbye. Thank you for trying out the Asterisk Open Source PBX."),
    (3.16, "You are currently the only person in this conference."),
    (0.87, "Goodbye"),
    (4.44, "I am sorry, that's not a valid extension. Please try again."),
]
PAUSE = 1.0


def words(text):
    return re.findall(r"[\w']+", text.lower())


def edits(a, b):
    """Levenshtein distance of two lists of words."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def seconds(clock):
    h, m, s = clock.split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def main():
    recording, most = sys.argv[1], float(sys.argv[2])
    out = subprocess.run(
        ["gst-launch-1.0", "-q", "filesrc", f"location={recording}", "!", "wavparse", "!", "audioconvert", "!",
         "audioresample", "!", "gemmaaudioenc", "voice-gate=true", "!", "gemmasink", "location=-"],
        check=True, capture_output=True, text=True, timeout=120).stdout
    cues = [(seconds(a), seconds(b), text) for a, b, text in re.findall(r"(\S+) --> (\S+)  (.*)", out)]
    print(out)
    said, want = words(" ".join(c[2] for c in cues)), words(" ".join(p[1] for p in PROMPTS))
    rate = 100 * edits(said, want) / len(want)
    print(f"word error rate {rate:.1f} %, {most:.1f} % allowed")
    assert rate <= most

    # every cue lies where somebody speaks; the gate opens up to 240 ms before and closes up to 500 ms after
    start, spans = 0., []
    for length, _ in PROMPTS:
        spans.append((start - .3, start + length + .6))
        start += length + PAUSE
    for begin, end, text in cues:
        assert any(a <= begin < end <= b for a, b in spans), f"{text} at {begin}-{end}, speech is at {spans}"


main()
