#!/usr/bin/env python3
"""How well the embedded model describes pictures that its training never saw.

    evaluate-vision.py [--pictures DIR] [--gguf models/default | --checkpoint FILE] [--limit N] [--markdown FILE]
    evaluate-vision.py --pipeline [...]          # through gst-launch-1.0: what a user gets

Each drawn stamp is composed once over a background, at a size and at a place that training never draws, from a seed kept
apart, and described in every language that has a text for it. Conditions: "clean" is that picture, "H.264" the same
through x264 at a low rate and back. Exact counts answers that equal the stamp's text to the letter; chrF as evaluate.py.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import corpus
import evaluate
import pictures
import tokenizer as tok
from progress import progress

SEED = 1000003          # training's seeds are small numbers
CRF = 40                # x264's rate factor of the still: 23 is its default, 51 the lowest rate


def through_h264(composed, path):
    """Writes @path, one picture a second, each coded by itself -> what a decoder makes of them"""
    tool, size = ["ffmpeg", "-v", "error", "-nostdin"], f"{pictures.SIDE}x{pictures.SIDE}"
    subprocess.run([*tool[:-1], "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-framerate", "1", "-i", "-", "-c:v", "libx264",
                    "-crf", str(CRF), "-g", "1", "-pix_fmt", "yuv420p", str(path)], check=True, input=np.stack(composed).tobytes())
    raw = subprocess.run([*tool, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(len(composed), *composed[0].shape)


def held_out(stamps, limit, seed, folder):
    """-> labels, {condition: their pictures}; what a pipeline reads is written to @folder"""
    labels = list(range(len(stamps.texts)))
    labels = random.Random(seed).sample(labels, min(limit or len(labels), len(labels)))
    composed = []
    for label in labels:
        rng = np.random.default_rng([SEED, seed, label])
        composed.append(pictures.compose(stamps, stamps.draw(rng, label), rng, held_out=True))
        Image.fromarray(composed[-1]).save(folder / f"{len(composed) - 1:04d}.png")
    return labels, {"clean": composed, "H.264": through_h264(composed, folder / "coded.mkv")}


SOURCE = {"clean": "multifilesrc location={}/%04d.png caps=image/png,framerate=1/1 ! pngdec",
          "H.264": "filesrc location={}/coded.mkv ! decodebin"}


def answers_torch(shown, w, c):
    """@shown: {condition: pictures} -> {(condition, language): their descriptions}"""
    t, out = tok.Tokenizer(), {}
    for condition, some in shown.items():
        soft = evaluate.seen(list(some), w)
        for n, lang in enumerate(corpus.CAPTIONS, 1):
            out[condition, lang] = evaluate.generate(soft, [corpus.instruction("describe", None, lang)] * len(soft), w, c, t, "image")
            progress(condition, n, len(corpus.CAPTIONS))
    return out


def answers_pipeline(shown, folder, launch, named):
    """All pictures of a condition pass through one pipeline for each language, one a second of its time."""
    out, jsonl = {}, folder / "out.jsonl"
    for condition, some in shown.items():
        for n, lang in enumerate(corpus.CAPTIONS, 1):
            jsonl.unlink(missing_ok=True)
            subprocess.run([*launch, "-q", *SOURCE[condition].format(folder).split(), "!", "videoconvert", "!", "gemmavisionenc", *named,
                            f"resolution={pictures.SIDE}", "!", "gemmasink", *named, "task=describe", f"target-language={lang}",
                            f"location={jsonl}"], check=True)
            said = {round(line["start"]): line["text"] for line in map(json.loads, jsonl.read_text().splitlines())}
            out[condition, lang] = [said.get(i, "") for i in range(len(some))]
            progress(condition, n, len(corpus.CAPTIONS))
    return out


def table(texts, got):
    """@texts: of each picture, by language -> Markdown"""
    lines = ["| Describing: exact, chrF | " + " | ".join(corpus.CAPTIONS.values()) + " |", "|---|" + "---|" * len(corpus.CAPTIONS)]
    for condition in SOURCE:
        shown = []
        for lang in corpus.CAPTIONS:
            pairs = [(t[lang], answer) for t, answer in zip(texts, got[condition, lang]) if lang in t]
            shown.append(f"{100 * sum(r == h for r, h in pairs) / len(pairs):.1f} %, {evaluate.chrf(pairs):.1f}" if pairs else "")
        lines.append(f"| {condition} ({len(texts)} pictures) | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pictures", type=Path, default=Path.home() / ".cache/gst-gemma/train/pictures", help="pictures.py's --out")
    evaluate.arguments(ap, "stamps")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    stamps = pictures.Stamps(a.pictures)
    with tempfile.TemporaryDirectory() as d:
        labels, shown = held_out(stamps, a.limit, a.seed, folder := Path(d))
        size = (folder / "coded.mkv").stat().st_size / len(labels)
        if a.pipeline:
            got = answers_pipeline(shown, folder, a.launch.split(), evaluate.named(a))
        else:
            c, w = evaluate.network(a)
            got = answers_torch(shown, w, c)
    texts = [stamps.texts[label] for label in labels]
    print(f"H.264: {size / 1000:.1f} kB a picture", file=sys.stderr)
    evaluate.show(a, table(texts, got), [{"condition": condition, "language": lang, "text": t[lang], "answer": answer}
                                         for (condition, lang), said in got.items() for t, answer in zip(texts, said) if lang in t])


if __name__ == "__main__":
    main()
