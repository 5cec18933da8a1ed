#!/usr/bin/env python3
"""Train the embedded model on the CPU; stop it at any time, start it again and it goes on where it was.

    train.py --dir DIR [--steps N] [--init-gguf models/default] [options]

DIR/data comes from prepare-data.py. DIR/checkpoint.pt (weights, average, optimizer, step) is replaced every
--save-minutes and on SIGTERM; DIR/log.txt gets a line of losses every 20 steps and held-out error rates every
--eval-minutes. Without a checkpoint, --init-gguf starts from a shipped pair.
Matrices inside the networks are stepped by Muon, everything else by AdamW; the rate warms up, stays, and falls to 0 over
the last --decay share of --steps (raise --steps to go on). What is exported is a running average of the weights.
"""
import argparse
import json
import math
import os
import resource
import signal
import sys
import time
from pathlib import Path

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
import torch.nn.functional as F

import data
import evaluate
import model
import tokenizer as tok


def is_matrix(name, w):
    return w.ndim == 2 and "embd" not in name and "embedding" not in name and not name.startswith("ctc") \
        and min(w.shape) >= 16


class Optimizer:
    """Muon for matrices (batched by shape), AdamW for the rest."""

    def __init__(self, weights, lr, adam_lr, decay, unused=()):
        self.w, self.lr, self.adam_lr, self.decay = weights, lr, adam_lr, decay
        self.m = {k: torch.zeros_like(v) for k, v in weights.items()}
        self.v = {k: torch.zeros_like(v) for k, v in weights.items() if not is_matrix(k, v)}
        self.groups = {}
        for k, v in weights.items():
            if is_matrix(k, v) and k not in unused:
                self.groups.setdefault(tuple(v.shape), []).append(k)

    @staticmethod
    def orthogonal(g, steps=4):
        tall = g.shape[1] > g.shape[2]
        x = g.transpose(1, 2) if tall else g
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(steps):
            a = x @ x.transpose(1, 2)
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x.transpose(1, 2) if tall else x

    @torch.no_grad()
    def muon(self, shape, names, grads, scale):
        g = torch.stack([grads[k] for k in names])
        m = torch.stack([self.m[k] for k in names]).lerp_(g, .05)
        for k, row in zip(names, m):
            self.m[k].copy_(row)
        u = self.orthogonal(g.lerp(m, .95)).mul_(max(1., shape[0] / shape[1]) ** .5)
        for k, row in zip(names, u):
            self.w[k].mul_(1 - self.lr * scale * self.decay).sub_(row, alpha=self.lr * scale)

    @torch.no_grad()
    def adam(self, grads, t, scale):
        b1, b2 = .9, .98
        for k, v in self.v.items():
            if k not in grads:
                continue
            g = grads[k]
            self.m[k].lerp_(g, 1 - b1)
            v.lerp_(g.square(), 1 - b2)
            step = self.m[k] / (1 - b1 ** t) / ((v / (1 - b2 ** t)).sqrt() + 1e-8)
            self.w[k].sub_(step, alpha=self.adam_lr * scale)

    def step(self, pool, grads, t, scale):
        jobs = [pool.submit(self.muon, *g, grads, scale) for g in self.groups.items()]
        self.adam(grads, t, scale)
        for j in jobs:
            j.result()

    def state(self):
        return {"m": self.m, "v": self.v}

    def load(self, s):
        for mine, theirs in ((self.m, s["m"]), (self.v, s["v"])):
            for k in mine:
                if k in theirs and theirs[k].shape == mine[k].shape:
                    mine[k].copy_(theirs[k])


def schedule(step, a):
    start = a.steps * (1 - a.decay)
    return min(1., (step + 1) / a.warmup) * (1. if step < start else max(0., (a.steps - step) / (a.steps - start)))


def losses(batch, w, c, a):
    x, tap = model.encode(batch["mel"], w, c, a.ctc_layer, a.dropout)
    log = F.log_softmax(F.linear(tap, w["ctc.weight"], w["ctc.bias"]), -1)
    frames = torch.tensor([model.n_frames(int(n)) for n in batch["frames"]])
    ctc = F.ctc_loss(log.transpose(0, 1), batch["ctc"], frames, batch["ctc_n"], zero_infinity=True, reduction="none")
    ctc = (ctc / batch["ctc_n"].clamp(min=1)).mean()
    rows = model.soft_tokens(x[tuple(batch["soft"])], w)
    eoa = model.hard_tokens(torch.zeros(len(batch["eoa"][0]), dtype=torch.long), w)
    at = tuple(torch.cat([p, q]) for p, q in zip(batch["at"], batch["eoa"]))
    e, pli = model.embed(batch["ids"], torch.cat([rows, eoa]), at, w, c)
    logits = model.forward(e, pli, w, c, tuple(batch["select"]), rate=a.dropout)
    lm = F.cross_entropy(logits, batch["label"], label_smoothing=a.smoothing)
    return lm, ctc, (logits.argmax(-1) == batch["label"]).float().mean()


def gradients(batch, w, c, a):
    """One thread's share of a step."""
    names = list(w)
    lm, ctc, right = losses(batch, w, c, a)
    grads = torch.autograd.grad(lm + a.ctc * ctc, [w[k] for k in names], allow_unused=True)
    return {k: g for k, g in zip(names, grads) if g is not None}, (float(lm.detach()), float(ctc.detach()), float(right))


@torch.no_grad()
def mean(parts, limit):
    """Sum in a fixed order, so that the threads' timing changes nothing. -> gradients clipped to @limit, their norm"""
    total = parts[0]
    for p in parts[1:]:
        for k, g in p.items():
            total[k] = total[k] + g if k in total else g
    names = list(total)
    torch._foreach_div_([total[k] for k in names], len(parts))
    norm = float(torch.stack(torch._foreach_norm([total[k] for k in names])).norm())
    if norm > limit:
        torch._foreach_mul_([total[k] for k in names], limit / norm)
    return total, norm


def save(path, state):
    tmp = path.with_suffix(".part")
    torch.save(state, tmp)
    os.replace(tmp, path)


def keep_memory():
    """Starts this program anew with an allocator that keeps freed blocks: asking the system for them takes a fifth of the time."""
    wanted = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "16000000000"}
    if any(k not in os.environ for k in wanted):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**wanted, **os.environ})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train")
    ap.add_argument("--steps", type=int, default=6000)
    ap.add_argument("--warmup", type=int, default=150)
    ap.add_argument("--decay", type=float, default=.3, help="share of --steps over which the rate falls")
    ap.add_argument("--lr", type=float, default=.02, help="Muon's")
    ap.add_argument("--adam-lr", type=float, default=2e-3)
    ap.add_argument("--weight-decay", type=float, default=.02)
    ap.add_argument("--seconds", type=float, default=13., help="of audio in a part of a batch")
    ap.add_argument("--parts", type=int, default=4, help="of a batch: computed by --threads threads side by side")
    ap.add_argument("--human", type=float, default=.45, help="share of recordings among the clips")
    ap.add_argument("--extra", type=float, default=.25, help="share of clips with a second task (translate, chain)")
    ap.add_argument("--longest", type=float, default=7., help="clip drawn, in seconds")
    ap.add_argument("--ctc", type=float, default=.5)
    ap.add_argument("--ctc-layer", type=int, default=4)
    ap.add_argument("--smoothing", type=float, default=.05)
    ap.add_argument("--dropout", type=float, default=0.)
    ap.add_argument("--ema", type=float, default=.995)
    ap.add_argument("--clip", type=float, default=5.)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--save-minutes", type=float, default=5.)
    ap.add_argument("--eval-minutes", type=float, default=12.)
    ap.add_argument("--init-gguf", type=Path)
    ap.add_argument("--stop-after", type=int, help="steps of this run (for timing)")
    a = ap.parse_args()
    torch.set_num_threads(1)                  # threads work on different clips, not on one operation: no waiting inside
    pool = ThreadPoolExecutor(a.threads, initializer=torch.set_num_threads, initargs=(1,))
    torch.manual_seed(a.seed)
    print("torch", torch.__version__, "seed", a.seed)
    texts = json.loads((a.dir / "data/texts.json").read_text())
    letters = data.alphabet(texts)
    c = model.Config()
    weights = {**model.init(c, a.seed), **model.init_ctc(c, len(letters))}
    checkpoint, step = a.dir / "checkpoint.pt", 0
    state = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else None
    if state is None and a.init_gguf:
        with torch.no_grad():
            for k, v in model.from_gguf(a.init_gguf, c).items():
                weights[k].copy_(v)
    unused = {f"blk.{i}.attn_{k}.weight" for i in range(c.layers - c.shared, c.layers) for k in "kv"}   # shared K and V
    opt = Optimizer(weights, a.lr, a.adam_lr, a.weight_decay, unused)
    if state:
        step = state["step"]
        with torch.no_grad():
            for k in weights:
                weights[k].copy_(state["weights"][k])
        opt.load(state["optimizer"])
    average = state["average"] if state else {k: v.detach().clone() for k, v in weights.items()}
    print(f"{sum(v.numel() for k, v in weights.items() if not k.startswith('ctc')) / 1e6:.2f} M parameters, from step {step}")

    log = open(a.dir / "log.txt", "a", buffering=1)

    def say(line):
        line = f"{time.strftime('%H:%M:%S')} {line}"
        log.write(line + "\n")
        print(line, flush=True)

    def snapshot():
        save(checkpoint, {"config": c.dict(), "step": step, "weights": {k: v.detach() for k, v in weights.items()},
                          "average": average, "optimizer": opt.state(), "letters": letters})

    stop = []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: stop.append(1))
    quick = evaluate.quick_set(a.dir / "data", a.seed)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    last_save = last_eval = time.time()
    end = min(a.steps, step + (a.stop_after or a.steps))
    while step < end and not stop:
        # the shards are looked at anew each round, so that more can be added while this runs
        batches = data.Batches(a.dir / "data", texts, letters, a.seed, a.seconds, a.human, a.extra, a.longest)
        loader = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=2 * a.parts,
                                             sampler=range(step * a.parts, min(end, step + 400) * a.parts))
        sums, began, clips, audio, count = [0., 0., 0., 0.], time.time(), 0, 0., 0
        source = iter(loader)
        while share := list(islice(source, a.parts)):
            done = [f.result() for f in [pool.submit(gradients, b, weights, c, a) for b in share]]
            grads, norm = mean([d[0] for d in done], a.clip)
            if not math.isfinite(norm):
                say(f"step {step}: the gradient is not finite; skipped")
            else:
                opt.step(pool, grads, step + 1, schedule(step, a))
            step += 1
            rate = min(a.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.values()), [weights[k].detach() for k in average], 1 - rate)
            for i in range(3):
                sums[i] += sum(d[1][i] for d in done) / len(done)
            sums[3] += norm
            count += 1
            clips, audio = clips + sum(len(b["mel"]) for b in share), audio + sum(float(b["frames"].sum()) for b in share) / 100
            if step % 20 == 0:
                took = time.time() - began
                bar = "#" * (20 * step // a.steps)
                say(f"[{bar:20s}] {step}/{a.steps} lm {sums[0] / count:.3f} ctc {sums[1] / count:.3f} right {sums[2] / count:.3f} "
                    f"norm {sums[3] / count:.2f} rate {schedule(step, a):.2f} {clips / took:.1f} clips/s "
                    f"{audio / took:.1f} s/s {took / count:.2f} s/step "
                    f"cpu {(resource.getrusage(resource.RUSAGE_SELF).ru_utime - used) / count:.2f}")
                used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
                sums, began, clips, audio, count = [0., 0., 0., 0.], time.time(), 0, 0., 0
            if stop:
                break
            if time.time() - last_save > 60 * a.save_minutes:
                snapshot()
                last_save = time.time()
            if time.time() - last_eval > 60 * a.eval_minutes:
                say(f"step {step} {evaluate.quick(average, c, quick)}")
                last_eval = began = time.time()
    snapshot()
    say(f"stopped at step {step}; {evaluate.quick(average, c, quick) if not stop else 'checkpoint written'}")


if __name__ == "__main__":
    keep_memory()
    sys.exit(main())
