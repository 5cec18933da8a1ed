"""A headless Chromium, driven through the DevTools protocol over pipes, which needs nothing but Python."""
import base64
import json
import os
import subprocess
import tempfile
import time


class Browser:
    def __init__(self, url, width=720, height=640):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self.to = os.pipe()
        self.answers, answers = os.pipe()
        # Chromium reads commands from 3 and answers to 4; the shell puts them there
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec chromium "$@" 3<&{commands} 4>&{answers}', "chromium", "--headless", "--no-sandbox",
             "--disable-gpu", "--mute-audio", "--hide-scrollbars", "--autoplay-policy=no-user-gesture-required",
             "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}",
             f"--window-size={width},{height}", "about:blank"],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.pending, self.n_calls, self.session = b"", 0, None
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Page.navigate", url=url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.to)
        os.close(self.answers)
        self.profile.cleanup()

    def call(self, method, **params):
        self.n_calls += 1
        message = {"id": self.n_calls, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.pending:
                data = os.read(self.answers, 1 << 20)
                assert data, "the browser has gone"
                self.pending += data
            answer, self.pending = self.pending.split(b"\0", 1)
            answer = json.loads(answer)
            if answer.get("id") == self.n_calls:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression, seconds=180):
        """Until it is true; what it then is."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.evaluate(expression)
            if value:
                return value
            time.sleep(.3)
        status = self.evaluate("document.body.innerText")
        raise AssertionError(f"{expression} is not true after {seconds} s; the page: {status}")

    def screenshot(self):
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def load(self):
        """Until the page's script runs."""
        self.wait("document.readyState == 'complete' && typeof video == 'object'")


def grey(png):
    """Its pixels, a byte each."""
    return subprocess.run(["ffmpeg", "-v", "error", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"], input=png,
                          capture_output=True, check=True).stdout


def count_caption_pixels(browser):
    """Of the page as it stands, paused: those that differ when its captions are hidden, and the page with them."""
    browser.evaluate("video.controls = false")
    show = "for (const track of video.textTracks) if (track.label == select.value) track.mode = '%s';" \
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    browser.evaluate(show % "hidden")
    without = grey(browser.screenshot())
    browser.evaluate(show % "showing")
    time.sleep(.5)
    shown = browser.screenshot()
    return sum(abs(a - b) > 64 for a, b in zip(grey(shown), without)), shown
