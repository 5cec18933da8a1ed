#!/usr/bin/env python3
"""The player of examples/live-page in headless Chromium, with a stream whose captions are known beforehand: every frame
that it shows agrees with its cues within 50 ms, and a caption is seen on the screen.

in_browser.py FOLDER-OF-THE-PAGE
"""
import json
import os
import shutil
import sys
import tempfile

from browser import Browser, count_caption_pixels
from stream import CUES, is_caption_due, make_stream, serve

# Whether there is anything bright in each frame, by the time of the frame.
WATCH = """
(() => {
  window.frames_seen = [];
  const canvas = new OffscreenCanvas(80, 45).getContext('2d', { willReadFrequently: true });
  const look = (now, frame) => {
    canvas.drawImage(video, 0, 0, 80, 45);
    const pixels = canvas.getImageData(0, 0, 80, 45).data;
    frames_seen.push([frame.mediaTime, pixels.some((value, i) => i % 4 == 0 && value > 128)]);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
})()
"""


with tempfile.TemporaryDirectory() as folder:
    make_stream(folder)
    for name in ("index.html", "player.js"):
        shutil.copy(os.path.join(sys.argv[1], name), folder)
    with Browser(serve(folder)) as browser:
        browser.load()
        browser.evaluate(WATCH)
        browser.wait("video.ended")
        cues = json.loads(browser.evaluate("JSON.stringify([...video.textTracks[0].cues].map(cue => "
                                           "[cue.startTime, cue.endTime, cue.getCueAsHTML().textContent]))"))
        print("cues", cues)
        assert cues == [list(cue) for cue in CUES]

        frames = browser.evaluate("frames_seen")
        certain = [(time, bright) for time, bright in frames if is_caption_due(time) is not None]
        wrong = [(time, bright) for time, bright in certain if bright != is_caption_due(time)]
        print(f"{len(frames)} frames seen, {len(certain)} away from the edges of cues, wrong: {wrong}")
        assert not wrong and any(bright for _, bright in certain) and not all(bright for _, bright in certain)

        browser.evaluate("video.currentTime = 6; new Promise(done => video.onseeked = done)")
        browser.wait("video.textTracks[0].activeCues.length == 1")
        pixels, _ = count_caption_pixels(browser)
        print(f"{pixels} pixels of a caption")
        assert pixels > 300
        browser.evaluate("video.currentTime = 3; new Promise(done => video.onseeked = done)")
        browser.wait("video.textTracks[0].activeCues.length == 0")
        pixels, _ = count_caption_pixels(browser)
        assert pixels == 0, "a caption where nobody speaks"
