#!/usr/bin/env python3
"""How well the embedded model describes pictures that its training never saw.

    evaluate-vision.py [--pictures DIR] [--gguf models/default | --checkpoint FILE] [--limit N] [--markdown FILE]
    evaluate-vision.py --pipeline [...]          # through gst-launch-1.0: what a user gets

Each drawn stamp is composed once over a background, at a size and at a place that training never draws, from a seed kept
apart, and described in every language that has a text for it. Conditions: "clean" is that picture, "H.264" the same
through x264 at a low rate and back. Exact counts answers that equal the stamp's text to the letter; chrF as evaluate.py.
"""
import argparse
import io
import json
import os
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
import model
import pictures
import tokenizer as tok

SEED = 1000003          # training's seeds are small numbers
CRF = 40                # x264's rate factor of the still: 23 is its default, 51 the lowest rate


def through_h264(picture):
    """-> the file, what a decoder makes of it, bytes"""
    tool = ["ffmpeg", "-v", "error", "-nostdin"]
    with tempfile.TemporaryDirectory() as d:
        Image.fromarray(picture).save(f"{d}/a.png")
        subprocess.run([*tool, "-i", f"{d}/a.png", "-c:v", "libx264", "-crf", str(CRF), "-pix_fmt", "yuv420p", f"{d}/a.mkv"],
                       check=True)
        raw = subprocess.run([*tool, "-i", f"{d}/a.mkv", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True,
                             capture_output=True).stdout
        return Path(f"{d}/a.mkv").read_bytes(), np.frombuffer(raw, np.uint8).reshape(picture.shape)


def png(picture):
    blob = io.BytesIO()
    Image.fromarray(picture).save(blob, "PNG")
    return blob.getvalue()


def jobs(stamps, limit, seed):
    """[(condition, language, text, picture, its file)]"""
    labels, out = list(range(len(stamps.texts))), []
    for label in random.Random(seed).sample(labels, min(limit or len(labels), len(labels))):
        rng = np.random.default_rng([SEED, seed, label])
        clean = pictures.compose(stamps, stamps.draw(rng, label), rng, held_out=True)
        coded, decoded = through_h264(clean)
        for condition, picture, blob in (("clean", clean, png(clean)), ("H.264", decoded, coded)):
            out += [(condition, lang, text, picture, blob) for lang, text in stamps.texts[label].items()]
    return out


def answers_torch(work, w, c):
    t, out = tok.Tokenizer(), []
    for at in range(0, len(work), 48):
        part = work[at:at + 48]
        asked = [corpus.instruction("describe", None, j[1]) for j in part]
        out += evaluate.generate(evaluate.seen([j[3] for j in part], w), asked, w, c, t, "image")
        print(f"\r{len(out)}/{len(work)}", end="", file=sys.stderr, flush=True)
    return out


def answers_pipeline(work, launch, model_path):
    """Each picture and language through its own gst-launch-1.0."""
    out, named = [], [f"model={model_path}"] if model_path else []
    with tempfile.TemporaryDirectory() as d:
        for n, (condition, lang, _, _, blob) in enumerate(work, 1):
            file, jsonl = Path(d) / ("a.png" if condition == "clean" else "a.mkv"), Path(d) / "out.jsonl"
            file.write_bytes(blob)
            jsonl.unlink(missing_ok=True)
            subprocess.run([*launch, "-q", "filesrc", f"location={file}", "!", "decodebin", "!", "videoconvert", "!",
                            "gemmavisionenc", *named, f"resolution={pictures.SIDE}", "!", "gemmasink", *named, "task=describe",
                            f"target-language={lang}", f"location={jsonl}"], check=True)
            lines = jsonl.read_text().splitlines() if jsonl.exists() else []
            out.append(" ".join(json.loads(s)["text"] for s in lines))
            print(f"\r{n}/{len(work)}", end="", file=sys.stderr, flush=True)
    return out


def table(work, got):
    """Markdown."""
    cells = {}
    for (condition, lang, text, _, _), answer in zip(work, got):
        cells.setdefault(condition, {}).setdefault(lang, []).append((text, answer))
    lines = ["| Describing: exact, chrF | " + " | ".join(corpus.CAPTIONS.values()) + " |", "|---|" + "---|" * len(corpus.CAPTIONS)]
    for condition, by in cells.items():
        shown = [f"{100 * sum(r == h for r, h in by[k]) / len(by[k]):.1f} %, {evaluate.chrf(by[k]):.1f}" if k in by else ""
                 for k in corpus.CAPTIONS]
        lines.append(f"| {condition} ({max(map(len, by.values()))} pictures) | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pictures", type=Path, default=Path.home() / ".cache/gst-gemma/train/pictures", help="pictures.py's --out")
    ap.add_argument("--gguf", type=Path, default=Path(__file__).parent, help="directory of the pair")
    ap.add_argument("--checkpoint", type=Path, help="train.py's instead")
    ap.add_argument("--pipeline", action="store_true", help="measure gst-launch-1.0 instead of PyTorch")
    ap.add_argument("--launch", default=os.environ.get("GST_LAUNCH", "gst-launch-1.0"))
    ap.add_argument("--limit", type=int, help="stamps")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--markdown", type=Path, help="write the table there")
    ap.add_argument("--answers", type=Path, help="write every answer there, as JSON lines")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    work = jobs(pictures.Stamps(a.pictures), a.limit, a.seed)
    rate = [len(j[4]) for j in work if j[0] == "H.264"]
    if a.pipeline:
        got = answers_pipeline(work, a.launch.split(), a.gguf / "gemma3n-default.gguf" if a.gguf != Path(__file__).parent else None)
    else:
        c = model.Config()
        if a.checkpoint:
            state = torch.load(a.checkpoint, weights_only=True)
            c, w = model.Config.of(state["config"]), state["average"]
        else:
            w = model.from_gguf(a.gguf, c)
        got = answers_torch(work, w, c)
    print(file=sys.stderr)
    print(text := table(work, got))
    if a.markdown:
        a.markdown.write_text(text + "\n")
    if a.answers:
        with a.answers.open("w") as f:
            for j, g in zip(work, got):
                f.write(json.dumps({"condition": j[0], "language": j[1], "text": j[2], "answer": g}, ensure_ascii=False) + "\n")
    print(f"H.264: {sum(rate) / len(rate) / 1000:.1f} kB a picture; torch {torch.__version__}, numpy {np.__version__}, "
          f"seed {a.seed}", file=sys.stderr)


if __name__ == "__main__":
    main()
