#!/usr/bin/env python3
"""examples/live-page in headless Chromium: captions of its live source are seen on the page, in both languages.

live_page.py PROGRAM [SCREENSHOT.png]
"""
import subprocess
import sys

from browser import Browser, count_caption_pixels

ACTIVE = "[...video.textTracks].find(track => track.label == select.value)?.activeCues[0]?.text"

program = subprocess.Popen([sys.argv[1], "--port", "0"], stdout=subprocess.PIPE, text=True)
try:
    address = program.stdout.readline().strip()
    with Browser(address) as browser:
        browser.load()
        assert browser.wait("select.options.length == 3 && [...select.options].map(o => o.label).join()") == \
            "off,English,Spanish; Castilian"
        for language in ("English", "Spanish; Castilian"):
            browser.evaluate(f"select.value = '{language}'; select.onchange(); video.play()")
            print(language, repr(browser.wait(ACTIVE)))
            browser.evaluate("video.pause()")
            browser.wait("video.paused && video.videoWidth == 640")
            pixels, screenshot = count_caption_pixels(browser)
            print(f"{pixels} pixels of it on the page at {browser.evaluate('video.currentTime')} s")
            assert pixels > 300, "no caption is seen"
            if len(sys.argv) > 2 and language == "English":
                with open(sys.argv[2], "wb") as png:
                    png.write(screenshot)
finally:
    program.terminate()
    assert program.wait(30) == 0, "live-page does not end cleanly"
