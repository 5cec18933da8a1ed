#!/usr/bin/env python3
"""Train the embedded translator, a small T5Gemma 2, on the CPU; stop it at any time, start it again and it goes on.

    train-translate.py --dir DIR [--steps N] [options]

DIR/checkpoint.pt, DIR/log.txt, and how steps and rates go: as train.py's. Held-out sentences are measured every
--eval-minutes.
"""
import argparse
import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import evaluate
import learning
import t5gemma2
import tokenizer as tok
import translations


def gradients(batch, w, c, a):
    """One thread's share of a step."""
    label = batch["answer"]
    wanted = label != tok.PAD
    memory = t5gemma2.remember(t5gemma2.encode(batch["source"], w, c, a.dropout), w, c)
    x = t5gemma2.decode(batch["before"], batch["source"], memory, w, c, rate=a.dropout)[wanted]
    logits, label = t5gemma2.head(x, w), label[wanted]
    loss = F.cross_entropy(logits, label, label_smoothing=a.smoothing)
    right = (logits.detach().argmax(-1) == label).float().mean()
    grads = torch.autograd.grad(loss, list(w.values()))
    return dict(zip(w, grads)), {"loss": float(loss.detach()), "right": float(right), "/s texts": len(wanted)}


def quick_set(seed, count=120):
    rows, rng = translations.held_out_pairs(), random.Random(seed)
    groups = {}
    for row in rows:
        groups.setdefault((row[0], row[-1]), []).append(row)
    return [row for group in groups.values() for row in rng.sample(group, min(count, len(group)))]


def quick(w, rows, c):
    pairs = {}
    for row, said in zip(rows, got := translations.translate(rows, w, c)):
        pairs.setdefault(f"{row[0]}, {'words met' if row[-1] else 'others'}", []).append((row[4], said))
    shown = "; ".join(f"{row[3]!r} -> {said!r}" for row, said in list(zip(rows, got))[:4])
    return f"chrF {' '.join(f'{k} {evaluate.chrf(v):.1f}' for k, v in pairs.items())} ({shown})"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train-translate")
    learning.arguments(ap, steps=2600, decay=.6, warmup=100, parts=2, lr=.02, adam_lr=3e-3, smoothing=.1)
    ap.add_argument("--tokens", type=int, default=2048, help="in a part")
    ap.add_argument("--prompts", type=float, default=.7, help="share of the texts that are prompts, not stamps'")
    ap.add_argument("--dropout", type=float, default=.1)
    ap.add_argument("--merge-dropout", type=float, default=.1, help="share of BPE's merges that are left out, in half of the sources")
    ap.add_argument("--doubt", type=float, default=.1, help="share of the answer so far that is replaced")
    a = ap.parse_args()
    a.dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(a.seed)
    print("torch", torch.__version__, "seed", a.seed)
    c, state = t5gemma2.Config(), learning.load(a.dir)
    weights = {k: v.requires_grad_() for k, v in t5gemma2.init(c, a.seed).items()}
    training = learning.Training(a, weights, state, {"config": c.dict()})
    print(f"{sum(v.numel() for v in weights.values()) / 1e6:.2f} M parameters, from step {training.step}")
    batches = translations.Batches(translations.Pairs(a.prompts), a.tokens, a.seed, a.merge_dropout, a.doubt)
    training.run(lambda: batches, lambda batch: gradients(batch, weights, c, a), quick_set(a.seed),
                 lambda w, rows: quick(w, rows, c))


if __name__ == "__main__":
    learning.keep_memory()
    sys.exit(main())
