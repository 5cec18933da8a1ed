"""A stream in which it can be seen when a caption should be: black video with the text of each cue burnt in, and
the same text as a WebVTT rendition. Its picture begins at FIRST, as that of a camera does, not at 0.
"""
import functools
import http.server
import os
import subprocess
import threading

# Seconds, and the text. Frames last 40 ms; the third lies between two of them, the second is in three segments.
CUES = [(1.0, 2.4, "One & only"), (4.2, 9.4, "Goes on\nfor a while"), (10.33, 11.0, "1 < 2 > 0"), (13.0, 14.0, "End")]
FIRST, LENGTH, TARGET = 0.68, 14.4, 3
# Two frames show a change at most 40 ms late; the rest is for rounding in 1/90000 s and ms.
SLACK = 0.05

MASTER = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="text.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="avc1.42c01f,mp4a.40.2",SUBTITLES="s"
video.m3u8
"""


def clock(seconds):
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def is_caption_due(time):
    """True, False, or None where it changes about then."""
    if any(abs(time - edge) < SLACK for cue in CUES for edge in cue[:2]):
        return None
    return any(start <= time < end for start, end, _ in CUES)


def make_stream(folder):
    """master.m3u8, video.m3u8, text.m3u8 and their segments, by hlssink2 and gemmahlswebvttsink."""
    with open(os.path.join(folder, "cues.srt"), "w", encoding="utf-8") as srt:
        for n, (start, end, text) in enumerate(CUES, 1):
            srt.write(f"{n}\n{clock(start)} --> {clock(end)}\n{text}\n\n")
    with open(os.path.join(folder, "master.m3u8"), "w", encoding="utf-8") as master:
        master.write(MASTER)
    offset = round(FIRST * 1e9)
    # The live source lets gst-launch start playing without waiting for preroll: with hlssink2 in 1.22 a streaming thread
    # that just then reports the end of preroll can overtake the change to PLAYING, and EOS is never posted (1 run in 20).
    subprocess.run(f"""exec gst-launch-1.0 -q audiotestsrc is-live=true num-buffers=1 ! fakesink async=false
        filesrc location=cues.srt ! subparse ! tee name=text
        text. ! queue ! gemmahlswebvttsink location=text%05d.vtt playlist-location=text.m3u8 target-duration={TARGET}
            playlist-length=0 max-files=0
        text. ! queue ! overlay.text_sink
        videotestsrc pattern=black timestamp-offset={offset} num-buffers={round((LENGTH - FIRST) * 25)} !
            video/x-raw,width=320,height=180,framerate=25/1 !
            textoverlay name=overlay valignment=center font-desc=Sans,40 shaded-background=false ! queue !
            openh264enc rate-control=off complexity=low gop-size=250 ! h264parse ! hls.video
        audiotestsrc wave=silence timestamp-offset={offset} samplesperbuffer=1024
            num-buffers={round((LENGTH - FIRST) * 48000 / 1024)} !
            audio/x-raw,rate=48000 ! voaacenc ! aacparse ! hls.audio
        hlssink2 name=hls location=video%05d.ts playlist-location=video.m3u8 target-duration={TARGET}
            playlist-length=0 max-files=0""".replace("\n", " "),
        shell=True, check=True, cwd=folder, timeout=120)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    """From a thread, to this machine only; its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"
