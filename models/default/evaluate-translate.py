#!/usr/bin/env python3
"""chrF of the embedded translator on sentences that its training never saw.

    evaluate-translate.py [--gguf FILE | --checkpoint FILE] [--limit N] [--markdown FILE]
    evaluate-translate.py --pipeline [--markdown FILE]      # through gst-launch-1.0: what a user gets

Held out are prompts whose name, and stamps whose English text, has an MD5 that begins with 0, in every pair of languages;
what is left of them are sentences that no training text has. "Words met" are those of which every word, and every word of
the reference, is somewhere in training. Each pair of languages goes through one pipeline, as captions.
"""
import argparse
import html
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import corpus
import evaluate
import model
import t5gemma2
import translations

EMBEDDED = Path(__file__).with_name("t5gemma2-default.gguf")


def time_of(ms):
    return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"


def write_srt(path, texts):
    """A caption every two seconds, for 1.5 s"""
    path.write_text("".join(f"{n + 1}\n{time_of(2000 * n)} --> {time_of(2000 * n + 1500)}\n{text}\n\n" for n, text in enumerate(texts)))


def read_srt(path, count):
    """The texts, of which each has to have kept its time"""
    found = re.findall(r"\d+\n(\S+) --> (\S+)\n(.*?)\n\n", path.read_text() + "\n", re.S)
    times = [(time_of(2000 * n), time_of(2000 * n + 1500)) for n in range(count)]
    if [x[:2] for x in found] != times:
        sys.exit(f"{path}: {len(found)} captions, whose times are not those of the {count} that went in")
    return [html.unescape(" ".join(x[2].split())) for x in found]


def pipelines(rows, launch, named):
    """-> [what is said]; a pipeline for each pair of languages"""
    out, pairs = [None] * len(rows), {}
    for i, (_, s, t, *_) in enumerate(rows):
        pairs.setdefault((s, t), []).append(i)
    with tempfile.TemporaryDirectory() as d:
        source, result = Path(d) / "in.srt", Path(d) / "out.srt"
        for (s, t), mine in pairs.items():
            write_srt(source, [rows[i][3] for i in mine])
            subprocess.run([*launch, "-q", "filesrc", f"location={source}", "!", "subparse", "!", "gemmatranslate", "gather=cues",
                            *named, f"source-language={s}", f"target-language={t}", "!", "srtenc", "!", "filesink", f"location={result}"],
                           check=True)
            for i, said in zip(mine, read_srt(result, len(mine))):
                out[i] = said
            print(f"\r{s} {t} ", end="", file=sys.stderr, flush=True)
    return out


def tables(rows, got):
    """Markdown."""
    lines = ["| Prompts | words met | others |", "|---|---|---|"]
    cells = {}
    for (kind, s, t, _, wanted, met), said in zip(rows, got):
        keys = [(kind, s, t), (kind,)] if kind == "prompts" else [(kind, s if s != "en" else t, s == "en"), (kind, s == "en")]
        for key in keys:
            cells.setdefault((*key, met), []).append((wanted, said))

    def cell(*key):
        return f"{evaluate.chrf(cells[key]):.1f} ({len(cells[key])})" if key in cells else ""

    name = translations.LANGUAGES
    for s in corpus.LANGUAGES:
        for t in corpus.LANGUAGES:
            if s != t:
                lines.append(f"| {name[s]} to {name[t]} | {cell('prompts', s, t, True)} | {cell('prompts', s, t, False)} |")
    lines += [f"| all | {cell('prompts', True)} | {cell('prompts', False)} |", "",
              "| Stamps | from English, words met | others | into English, words met | others |", "|---|---|---|---|---|"]
    for lang in list(name)[1:]:
        lines.append(f"| {name[lang]} | " + " | ".join(cell("stamps", lang, out, met) for out in (True, False) for met in (True, False)) + " |")
    lines.append("| all | " + " | ".join(cell("stamps", out, met) for out in (True, False) for met in (True, False)) + " |")
    return "\n".join(lines)


def network(a):
    """-> configuration, weights"""
    if a.checkpoint:
        state = torch.load(a.checkpoint, weights_only=True)
        return t5gemma2.Config.of(state["config"]), state["average"]
    stored, c = model.read_gguf(a.gguf), t5gemma2.Config()
    return c, {name: stored[name].view(shape) for name, shape in t5gemma2.shapes(c).items()}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    evaluate.arguments(ap, "sentences", EMBEDDED, "the model")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    rows = translations.held_out_pairs()
    rows = random.Random(a.seed).sample(rows, min(a.limit or len(rows), len(rows)))
    if a.pipeline:
        got = pipelines(rows, a.launch.split(), [f"model={a.gguf}"] if a.gguf != EMBEDDED else [])
    else:
        c, w = network(a)
        got = translations.translate(rows, w, c)
    evaluate.show(a, tables(rows, got), [dict(zip(("kind", "source", "target", "text", "meant", "words met"), row), answer=said)
                                         for row, said in zip(rows, got)])


if __name__ == "__main__":
    main()
