#!/usr/bin/env python3
"""Teach the picture encoder to tell the stamps apart, before the language model has to speak about them.

    train-vision.py --dir DIR [--steps N] [options]

The mean of a picture's soft tokens is compared (cosine) with a vector a description; neither is exported. The vectors
begin as what stamps look like (8 by 8 pixels of them, compressed by PCA): a stamp that looks like another has a vector near
its one, so that seeing colours and outlines pays from the first step. From random vectors nothing is learnt in hundreds of
steps. DIR/pictures comes from pictures.py. As train.py it can be killed and goes on, and train.py --init
DIR/checkpoint.pt takes its average.
Pictures are small and easy to begin with (--sides, --easy): the network is convolutional.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import learning
import mobilenet_v5
import model
import pictures
import tokenizer as tok


SHARPNESS = 24.         # cosines are multiplied by that to be logits


class Parts(torch.utils.data.Dataset):
    """Part k depends on (seed, k) and, for its backgrounds, on the part that @first is."""

    def __init__(self, stamps, a, first):
        self.stamps, self.a, self.first, self.grounds = stamps, a, first, {}

    def progress(self, k):
        return k / (self.a.steps * self.a.parts)

    def side(self, k):
        return next((side for side, until in self.a.sides if self.progress(k) < until), self.a.sides[-1][0])

    def __getitem__(self, k):
        rng, side = np.random.default_rng([self.a.seed, k, 2]), self.side(k)
        if side not in self.grounds:
            self.grounds[side] = pictures.Grounds(np.random.default_rng([self.a.seed, self.first, 4]), side)
        items = [self.stamps.draw(rng) for _ in range(self.a.count)]
        ease = max(0., 1 - self.progress(k) / self.a.easy) if self.a.easy else 0.
        composed = [pictures.compose(self.stamps, i, rng, side=side, grounds=self.grounds[side], ease=ease) for i in items]
        return {"pictures": torch.from_numpy(np.stack(composed)), "label": torch.tensor([i["class"] for i in items])}


def looks(stamps, width):
    """[descriptions,width]: what stamps look like, by their principal components"""
    rows = []
    for label in range(len(stamps.texts)):
        seen = []
        for item in stamps.of(label):
            whole = np.asarray(Image.fromarray(stamps.pictures[item["row"]], "CMYK").reduce(pictures.STORED // 8), np.float32) / 255
            colour = whole[..., :3].sum((0, 1)) / whole[..., 3].sum()
            for x in (whole, whole[:, ::-1])[:1 + item["mirror"]]:
                over_grey = x[..., :3] + (1 - x[..., 3:]) / 2
                seen.append(np.concatenate([over_grey.ravel(), x[..., 3].ravel(), 6 * colour, [3 * x[..., 3].mean()]]))
        rows.append(np.mean(seen, 0))
    rows = np.stack(rows)
    u, s, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    u = u[:, :width] * s[:width] ** .8                      # of 1, the first components would hide the others
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0]    # no channel is a special one
    return torch.from_numpy((u / np.linalg.norm(u, axis=1, keepdims=True) * width ** .5 @ turn).astype(np.float32))


@torch.no_grad()
def spread(w):
    """Vectors that look alike are hard to tell apart for a language model: turns and stretches their space, and what the
    projection makes of pictures with it, until no direction holds more of them than another."""
    head, projection = F.normalize(w["head.weight"], dim=-1), w["mm.input_projection.weight"]
    _, s, vt = torch.linalg.svd(head, full_matrices=False)
    turn = vt.T / s.clamp(min=s[0] / 20) @ vt                      # [hidden,hidden]
    w["head.weight"].copy_(head @ turn)
    projection.copy_(turn.T @ projection)


def soft_tokens(composed, w):
    """-> [B,tokens,hidden]"""
    return model.soft_tokens(mobilenet_v5.tower(composed.float() / 255, w, composed.shape[1] // 16), w, "mm.").flatten(1, 2)


def logits(x, w):
    return SHARPNESS * F.normalize(x, dim=-1) @ F.normalize(w["head.weight"], dim=-1).T


def gradients(batch, w, a):
    names = [k for k in w if k not in ("mm.embedding.weight", "mm.hard_emb_norm.weight")]
    tokens = soft_tokens(batch["pictures"], w)
    said = logits(tokens.mean(1), w)
    loss = F.cross_entropy(said, batch["label"], label_smoothing=a.smoothing)
    report = {"right": float((said.argmax(-1) == batch["label"]).float().mean()), "/s pictures": len(said)}
    if a.each:
        some = torch.randint(tokens.shape[1], (a.each,))
        each = logits(tokens[:, some].flatten(0, 1), w)
        labels = batch["label"].repeat_interleave(a.each)
        loss = loss + F.cross_entropy(each, labels, label_smoothing=a.smoothing)
        report["each right"] = float((each.argmax(-1) == labels).float().mean())
    grads = torch.autograd.grad(loss, [w[k] for k in names])
    return dict(zip(names, grads)), {"loss": float(loss.detach()), **report}


def quick_set(stamps, a):
    """Held-out compositions of --eval-pictures drawn stamps."""
    rng = np.random.default_rng([a.seed, 3])
    items = [stamps.draw(rng) for _ in range(a.eval_pictures)]
    return (torch.from_numpy(np.stack([pictures.compose(stamps, i, rng, held_out=True) for i in items])),
            torch.tensor([i["class"] for i in items]))


@torch.no_grad()
def evaluation(w, held_out):
    out = []
    for side in (96, 128, pictures.SIDE):
        right, each = 0, 0
        for x, y in zip(held_out[0].split(16), held_out[1].split(16)):
            tokens = soft_tokens(shrink(x, side), w)
            right += int((logits(tokens.mean(1), w).argmax(-1) == y).sum())
            each += float((logits(tokens, w).argmax(-1) == y[:, None]).float().mean(1).sum())
        n = len(held_out[1]) / 100
        out.append(f"held out, {side} px: {right / n:.1f} %, by one token {each / n:.1f} %")
    return ", ".join(out)


def shrink(composed, side):
    x = F.interpolate(composed.permute(0, 3, 1, 2).float(), (side, side), mode="area")
    return x.permute(0, 2, 3, 1).contiguous()


def sides(text):
    """ "96:.5,256:1" -> [(96, .5), (256, 1.)]"""
    return [(int(s), float(until)) for s, until in (part.split(":") for part in text.split(","))]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train-vision")
    learning.arguments(ap, steps=3600, threads=1, parts=1, lr=.01, smoothing=0., warmup=40, decay=.35, eval_minutes=10.)
    ap.add_argument("--count", type=int, default=32, help="pictures in a part of a batch")
    ap.add_argument("--sides", type=sides, default="96:.6,128:.73,192:.83,256:1", help="of pictures, each up to a share of the steps")
    ap.add_argument("--easy", type=float, default=.6, help="share of the steps that the pictures get harder in")
    ap.add_argument("--each", type=int, default=0, help="tokens of a picture that each must tell the stamp, besides their mean")
    ap.add_argument("--init", type=Path, help="checkpoint whose average to start from")
    ap.add_argument("--spread", action="store_true", help="the vectors of --init, so that none looks like another")
    ap.add_argument("--eval-pictures", type=int, default=256)
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    print("torch", torch.__version__, "seed", a.seed)
    stamps, hidden = pictures.Stamps(a.dir / "pictures"), model.Config().hidden
    weights = mobilenet_v5.init(hidden, tok.RESERVED, a.seed)
    weights["head.weight"] = looks(stamps, hidden).requires_grad_()
    if a.init:
        learning.take(weights, torch.load(a.init, weights_only=True)["average"])
        if a.spread:
            spread(weights)
    training = learning.Training(a, weights, learning.load(a.dir), {"texts": [t["en"] for t in stamps.texts]})
    print(f"{sum(v.numel() for v in weights.values()) / 1e6:.2f} M parameters, "
          f"{mobilenet_v5.macs() / 1e6:.0f} M multiply-adds a picture, from step {training.step}")
    training.run(lambda: Parts(stamps, a, training.step * a.parts), lambda batch: gradients(batch, weights, a),
                 quick_set(stamps, a), evaluation)


if __name__ == "__main__":
    learning.keep_memory()
    sys.exit(main())
