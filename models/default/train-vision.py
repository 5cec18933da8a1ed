#!/usr/bin/env python3
"""Teach the picture encoder to tell the stamps apart, before the language model has to speak about them.

    train-vision.py --dir DIR [--steps N] [options]

A linear head names the description from what four queries find among the soft tokens, much as the language model's
attention will look at them (their mean learns three times slower); it is not exported. DIR/pictures comes from
pictures.py. As train.py it can be killed and goes on, and train.py --init-vision DIR/checkpoint.pt takes its average.
The first --small share of the steps sees pictures of half the side, which takes a third of the time.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import learning
import mobilenet_v5
import model
import pictures
import tokenizer as tok


QUERIES = 4


class Parts(torch.utils.data.Dataset):
    """Part k depends on (seed, k) only."""

    def __init__(self, stamps, a):
        self.stamps, self.a = stamps, a

    def __getitem__(self, k):
        small = k < self.a.small * self.a.steps * self.a.parts
        rng = np.random.default_rng([self.a.seed, k, 2])
        items = [self.stamps.draw(rng) for _ in range(self.a.count)]
        side = pictures.SIDE // 2 if small else pictures.SIDE
        return {"pictures": torch.from_numpy(np.stack([pictures.compose(self.stamps, i, rng, side=side) for i in items])),
                "label": torch.tensor([i["class"] for i in items])}


def logits(composed, w):
    x = model.soft_tokens(mobilenet_v5.tower(composed.float() / 255, w, composed.shape[1] // 16), w, "mm.").flatten(1, 2)
    found = F.linear(x, w["head.queries"]).softmax(1).transpose(1, 2) @ x               # [B,QUERIES,hidden]
    return F.linear(found.flatten(1), w["head.weight"], w["head.bias"])


def gradients(batch, w, a):
    names = [k for k in w if k not in ("mm.embedding.weight", "mm.hard_emb_norm.weight")]
    said = logits(batch["pictures"], w)
    loss = F.cross_entropy(said, batch["label"], label_smoothing=a.smoothing)
    right = (said.argmax(-1) == batch["label"]).float().mean()
    grads = torch.autograd.grad(loss, [w[k] for k in names])
    return dict(zip(names, grads)), {"loss": float(loss.detach()), "right": float(right), "/s pictures": len(said)}


def quick_set(stamps, a):
    """Held-out compositions of --eval-pictures drawn stamps."""
    rng = np.random.default_rng([a.seed, 3])
    items = [stamps.draw(rng) for _ in range(a.eval_pictures)]
    return (torch.from_numpy(np.stack([pictures.compose(stamps, i, rng, held_out=True) for i in items])),
            torch.tensor([i["class"] for i in items]))


@torch.no_grad()
def evaluation(w, held_out):
    out = []
    for side in (pictures.SIDE // 2, pictures.SIDE):
        right = sum(int((logits(shrink(x, side), w).argmax(-1) == y).sum())
                    for x, y in zip(held_out[0].split(16), held_out[1].split(16)))
        out.append(f"held out, {side} px: {100 * right / len(held_out[1]):.1f} %")
    return ", ".join(out)


def shrink(composed, side):
    x = F.interpolate(composed.permute(0, 3, 1, 2).float(), (side, side), mode="area")
    return x.permute(0, 2, 3, 1).contiguous()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train-vision")
    learning.arguments(ap, steps=10000, threads=1, parts=2, eval_minutes=30.)
    ap.add_argument("--count", type=int, default=16, help="pictures in a part of a batch")
    ap.add_argument("--small", type=float, default=.6, help="share of the steps at half the side")
    ap.add_argument("--eval-pictures", type=int, default=256)
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    print("torch", torch.__version__, "seed", a.seed)
    stamps, hidden = pictures.Stamps(a.dir / "pictures"), model.Config().hidden
    weights = mobilenet_v5.init(hidden, tok.RESERVED, a.seed)
    weights |= {"head.queries": (2 * hidden ** -.5 * torch.randn(QUERIES, hidden)).requires_grad_(),
                "head.weight": torch.zeros(len(stamps.texts), QUERIES * hidden, requires_grad=True),
                "head.bias": torch.zeros(len(stamps.texts), requires_grad=True)}
    training = learning.Training(a, weights, learning.load(a.dir), {"texts": [t["en"] for t in stamps.texts]})
    print(f"{sum(v.numel() for v in weights.values()) / 1e6:.2f} M parameters, "
          f"{mobilenet_v5.macs() / 1e6:.0f} M multiply-adds a picture, from step {training.step}")
    training.run(lambda: Parts(stamps, a), lambda batch: gradients(batch, weights, a), quick_set(stamps, a), evaluation)


if __name__ == "__main__":
    learning.keep_memory()
    sys.exit(main())
