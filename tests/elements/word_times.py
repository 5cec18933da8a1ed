#!/usr/bin/env python3
"""How far the times of words are from the truth: word_times.py [--model FILE] [--sentences N] [--check MEDIAN:MOST]

Three kinds of speech whose words' times are known:
  prompts   words of asterisk-core-sounds-en-g722 that are prompts of their own, joined
  words     sentences of asterisk-core-sounds-en whose words espeak-ng says one by one, joined
  marks     such sentences as espeak-ng says them, with its own marks, which tell where words begin

A word is where it is louder than a hundredth of the loudest. Joined words have up to 80 ms between them, every other prompt
100 to 800 ms. What gemmatranscriber makes of it with streaming=words is compared where it understood the word and those
beside it. --check fails where the median of the errors is above MEDIAN ms, or 95 % are not within MOST ms; it skips a model
(--model) that names no head which tells. Only "prompts" needs no espeak-ng, nor asterisk-core-sounds-en for its texts.
"""
import argparse
import array
import ctypes
import difflib
import gzip
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

RATE = 16000
SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
NUMBERS = dict(zip([*range(21), 30, 40, 50], """zero one two three four five six seven eight nine ten eleven twelve thirteen
    fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty""".split()))     # digits/*.g722
KEY = b"gemma.alignment.layer"  # of a GGUF that names the head which tells
BETWEEN = 1.2                   # seconds of silence between sentences


def texts():
    lines = gzip.open(TEXTS, "rt", encoding="utf-8", errors="replace").read().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith(";") and ": " in line)


def bare(word):
    return re.sub(r"[^\w']", "", word.lower())


def decoded(raw, *options):
    out = subprocess.run(["ffmpeg", "-loglevel", "error", *options, "-i", "-", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"],
                         input=raw, capture_output=True, check=True).stdout
    return array.array("h", out)


def sounding(x):
    """-> its first loud sample, and the one behind its last"""
    limit = max(map(abs, x)) / 100
    return next(i for i, v in enumerate(x) if abs(v) > limit), next(i for i in range(len(x), 0, -1) if abs(x[i - 1]) > limit)


def trimmed(x):
    begin, end = sounding(x)
    return x[begin:end]


def silence(seconds):
    return array.array("h", bytes(2 * int(seconds * RATE)))


def joined(words, say, rng, pauses):
    """-> samples, [(word, begin, end)] in seconds"""
    x, said = array.array("h"), []
    for word in words:
        begin = len(x) / RATE
        x += say(word)
        said.append((word, begin, len(x) / RATE))
        x += silence(rng.uniform(.1, .8) if rng.random() < pauses else rng.uniform(0, .08))
    return x, said


def spoken(word, known={}):
    if word not in known:
        known[word] = trimmed(decoded(subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", word],
                                                     capture_output=True, check=True).stdout))
    return known[word]


def prompts(n, rng):
    known = {word: trimmed(decoded((SOUNDS / f"digits/{n}.g722").read_bytes(), "-f", "g722")) for n, word in NUMBERS.items()}
    return [joined(rng.choices(list(known), k=rng.randint(3, 7)), known.get, rng, .5) for _ in range(n)]


def sentences(n, rng):
    """That are told, not sung, in words without figures."""
    all_ = [t.split() for name, t in texts().items() if "/" not in name and not re.search(r"[\d\[(<&]", t)]
    return rng.sample([words for words in all_ if 4 <= len(words) <= 12 and all(map(bare, words))], n)


def by_words(n, rng):
    return [joined(words, spoken, rng, 0) for words in sentences(n, rng)]


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h"""
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_uint), ("text", ctypes.c_int), ("length", ctypes.c_int),
                ("audio", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8)]


def marked(words, lib, rate):
    """-> as joined(); a word ends where the next one begins"""
    text, x, starts = " ".join(words), array.array("h"), {}

    def take(wav, n, events):
        if wav and n:
            x.frombytes(ctypes.string_at(wav, 2 * n))
        for i in range(10000):
            if events[i].type == 0:
                break
            if events[i].type == 1:                     # a word; text is its first letter, counted from 1
                starts[events[i].text - 1] = events[i].sample / rate
        return 0

    func = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(Event))(take)
    lib.espeak_SetSynthCallback(func)
    raw = text.encode()
    lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, 1, None, None)
    at = [sum(len(w) + 1 for w in words[:k]) for k in range(len(words))]
    if not all(a in starts for a in at):
        return None
    begin, end = sounding(x)
    edges = [max(starts[at[0]], begin / rate)] + [starts[a] for a in at[1:]] + [end / rate]
    out = io.BytesIO()
    with wave.open(out, "wb") as f:
        f.setparams((1, 2, rate, 0, "NONE", ""))
        f.writeframes(x.tobytes())
    return decoded(out.getvalue()), [(w, edges[k], edges[k + 1]) for k, w in enumerate(words)]


def by_marks(n, rng):
    lib = ctypes.CDLL("libespeak-ng.so.1")
    rate = lib.espeak_Initialize(2, 0, None, 0)         # to the callback, at once
    lib.espeak_SetVoiceByName(b"en-us")
    return [s for s in (marked(words, lib, rate) for words in sentences(n, rng)) if s]


def seconds(clock):
    h, m, s = clock.replace(",", ".").split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def transcribed(x, options):
    """-> [(word, begin, end)]"""
    with tempfile.TemporaryDirectory() as folder:
        wav, srt = os.path.join(folder, "speech.wav"), os.path.join(folder, "words.srt")
        with wave.open(wav, "wb") as f:
            f.setparams((1, 2, RATE, 0, "NONE", ""))
            f.writeframes(x.tobytes())
        subprocess.run(["gst-launch-1.0", "-q", "filesrc", f"location={wav}", "!", "wavparse", "!", "gemmatranscriber",
                        "streaming=words", *options, "!", "srtenc", "!", "filesink", f"location={srt}"], check=True, timeout=550)
        cues = re.findall(r"(\S+) --> (\S+)\n(.*)", Path(srt).read_text(encoding="utf-8"))
    return [(bare(text), seconds(a), seconds(b)) for a, b, text in cues]


def compare(said, found):
    """-> errors of begins and of ends in seconds, of words that were understood with those beside them"""
    match = difflib.SequenceMatcher(None, [bare(w) for w, _, _ in said], [w for w, _, _ in found], autojunk=False)
    pairs = {m.a + i: m.b + i for m in match.get_matching_blocks() for i in range(m.size)} | {-1: -1, len(said): len(found)}
    return [(found[f][1] - said[s][1], found[f][2] - said[s][2]) for s, f in pairs.items()
            if 0 <= s < len(said) and pairs.get(s - 1) == f - 1 and pairs.get(s + 1) == f + 1]


def measure(cases, options, show):
    x, all_said = array.array("h"), []
    for samples, said in cases:
        x += silence(BETWEEN)
        start = len(x) / RATE
        all_said.append([(w, start + a, start + b) for w, a, b in said])
        x += samples
    found = transcribed(x + silence(BETWEEN), options)
    for a, b in zip(found, found[1:]):
        assert a[1] < a[2] <= b[1] + .002, f"{a} and {b} overlap"
    errors = []
    for said in all_said:
        mine = [f for f in found if said[0][1] - BETWEEN / 2 < (f[1] + f[2]) / 2 < said[-1][2] + BETWEEN / 2]
        if show:
            print("\n   ", *(f"{w} {a:.2f}-{b:.2f}" for w, a, b in said), "\n   ", *(f"{w} {a:.2f}-{b:.2f}" for w, a, b in mine))
        errors += compare(said, mine)
    return errors, sum(map(len, all_said))


def quantile(values, share):
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", help="a GGUF instead of the embedded model")
    ap.add_argument("--kinds", default="prompts,words,marks")
    ap.add_argument("--sentences", type=int, default=40, help="of each kind")
    ap.add_argument("--interval", type=int, default=2000, help="hypothesis-interval of gemmatranscriber (ms)")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--show", action="store_true", help="each sentence, as it is and as it was found")
    ap.add_argument("--check", help="MEDIAN:MOST, in ms")
    a = ap.parse_args()

    if a.check and a.model and KEY not in Path(a.model).read_bytes():
        print("the model does not tell")
        sys.exit(77)                                    # skipped
    options = [f"hypothesis-interval={a.interval}", "language-code=en"] + ([f"model={a.model}"] if a.model else [])
    make, good = {"prompts": prompts, "words": by_words, "marks": by_marks}, True
    for kind in a.kinds.split(","):
        errors, n = measure(make[kind](a.sentences, random.Random(a.seed)), options, a.show)
        assert len(errors) >= n / 8, f"{kind}: of {n} words {len(errors)} were understood"
        for what, values in ("begins", [e[0] for e in errors]), ("ends", [e[1] for e in errors]), ("both", sum(errors, ())):
            sizes = [1000 * abs(v) for v in values]
            median, most = quantile(sizes, .5), quantile(sizes, .95)
            print(f"{kind:8} {what:7} {len(errors)} of {n} words: median {median:.0f} ms, 95 % within {most:.0f} ms, "
                  f"in the middle {1000 * quantile(values, .5):+.0f} ms")
            if a.check and what == "both":
                good &= median <= float(a.check.split(":")[0]) and most <= float(a.check.split(":")[1])
    sys.exit(not good)


main()
