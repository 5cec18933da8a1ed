"""What all trainings share: the optimizer, the schedule, checkpoints, and the loop that can be killed at any time."""
import math
import os
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch


def is_matrix(name, w):
    """Convolutions of the picture encoder count as matrices too, their taps beside the channels."""
    wide = w.ndim == 2 or (w.ndim == 4 and name.startswith("v.") and w.shape[1] > 1)
    return wide and "embd" not in name and "embedding" not in name and not name.startswith(("ctc", "head")) \
        and min(w.flatten(1).shape) >= 16


class Optimizer:
    """Muon for matrices (batched by shape), AdamW for the rest."""

    def __init__(self, weights, lr, adam_lr, decay, unused=()):
        self.w, self.lr, self.adam_lr, self.decay = weights, lr, adam_lr, decay
        self.m = {k: torch.zeros_like(v) for k, v in weights.items()}
        self.v = {k: torch.zeros_like(v) for k, v in weights.items() if not is_matrix(k, v)}
        self.groups = {}
        for k, v in weights.items():
            if is_matrix(k, v) and k not in unused:
                self.groups.setdefault(tuple(v.flatten(1).shape), []).append(k)

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
        names = [k for k in names if k in grads]            # a step without pictures leaves their encoder alone
        if not names:
            return
        g = torch.stack([grads[k].flatten(1) for k in names])
        m = torch.stack([self.m[k].flatten(1) for k in names]).lerp_(g, .05)
        for k, row in zip(names, m):
            self.m[k].copy_(row.view_as(self.m[k]))
        u = self.orthogonal(g.lerp(m, .95)).mul_(max(1., shape[0] / shape[1]) ** .5)
        for k, row in zip(names, u):
            self.w[k].mul_(1 - self.lr * scale * self.decay).sub_(row.view_as(self.w[k]), alpha=self.lr * scale)

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

def arguments(ap, **other):
    """The options that every training has; @other defaults."""
    for name, kind, default, about in (
            ("steps", int, 6000, None), ("warmup", int, 150, None),
            ("decay", float, .3, "share of --steps over which the rate falls"), ("lr", float, .02, "Muon's"),
            ("adam_lr", float, 2e-3, None), ("weight_decay", float, .02, None),
            ("parts", int, 4, "of a batch: computed by --threads threads side by side"),
            ("smoothing", float, .05, None), ("ema", float, .995, None), ("clip", float, 5., None), ("seed", int, 0, None),
            ("threads", int, 2, None), ("save_minutes", float, 5., None), ("eval_minutes", float, 12., None),
            ("stop_after", int, None, "steps of this run (for timing)")):
        ap.add_argument("--" + name.replace("_", "-"), type=kind, default=other.get(name, default), help=about)


@torch.no_grad()
def take(weights, known):
    """Those that are known become what they are in @known."""
    for k in weights.keys() & known.keys():
        weights[k].copy_(known[k])


class Training:
    """Steps weights until --steps, or until it is told to stop; goes on from a.dir/checkpoint.pt if there is one.

    A checkpoint that lacks some of @weights leaves those as they are: they were added since.
    """

    def __init__(self, a, weights, state, about, unused=()):
        """@state: load()'s; @about: what else a checkpoint holds"""
        torch.set_num_threads(1)              # threads work on different parts, not on one operation: no waiting inside
        self.pool = ThreadPoolExecutor(a.threads, initializer=torch.set_num_threads, initargs=(1,))
        self.a, self.weights, self.about, self.step = a, weights, about, 0
        self.opt = Optimizer(weights, a.lr, a.adam_lr, a.weight_decay, unused)
        if state:
            self.step = state["step"]
            take(weights, state["weights"])
            self.opt.load(state["optimizer"])
        known = state["average"] if state else {}
        self.average = {k: known[k] if k in known else v.detach().clone() for k, v in weights.items()}
        self.log, self.stop = open(a.dir / "log.txt", "a", buffering=1), []
        for s in (signal.SIGTERM, signal.SIGINT):
            signal.signal(s, lambda *_: self.stop.append(1))

    def say(self, line):
        line = f"{time.strftime('%H:%M:%S')} {line}"
        self.log.write(line + "\n")
        print(line, flush=True)

    def snapshot(self):
        save(self.a.dir / "checkpoint.pt", {
            "step": self.step, "weights": {k: v.detach() for k, v in self.weights.items()}, "average": self.average,
            "optimizer": self.opt.state(), **self.about})

    def one_step(self, share, gradients):
        """-> [what the parts report]"""
        a = self.a
        done = [f.result() for f in [self.pool.submit(gradients, b) for b in share]]
        grads, norm = mean([d[0] for d in done], a.clip)
        if math.isfinite(norm):
            self.opt.step(self.pool, grads, self.step + 1, schedule(self.step, a))
        else:
            self.say(f"step {self.step}: the gradient is not finite; skipped")
        self.step += 1
        rate = min(a.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), [self.weights[k].detach() for k in self.average], 1 - rate)
        return [d[1] for d in done] + [{"norm": norm}]

    def run(self, batches, gradients, quick, evaluation):
        """
        @batches: () -> a data set whose parts depend on their number only; asked for anew every 200 steps
        @gradients: part -> {name: gradient}, {what: value}; a value "/s ..." is shown as so many a second
        @quick: what @evaluation (average, quick) measures every now and then
        """
        a, used = self.a, processor_time()
        last_save = last_eval = time.time()
        end = min(a.steps, self.step + (a.stop_after or a.steps))
        while self.step < end and not self.stop:
            loader = torch.utils.data.DataLoader(
                batches(), batch_size=None, num_workers=1, prefetch_factor=2 * a.parts,
                sampler=range(self.step * a.parts, min(end, self.step + 200) * a.parts), worker_init_fn=deaf)
            source, reports, began, first = iter(loader), [], time.time(), self.step
            while share := list(islice(source, a.parts)):
                reports += self.one_step(share, gradients)
                if self.step % 20 == 0 or self.step == end:
                    took, count = time.time() - began, self.step - first
                    self.say(f"[{'#' * (20 * self.step // a.steps):20s}] {self.step}/{a.steps} {summary(reports, took)} "
                             f"rate {schedule(self.step, a):.2f} {took / count:.2f} s/step cpu {(processor_time() - used) / count:.2f}")
                    used, reports, began, first = processor_time(), [], time.time(), self.step
                if self.stop:
                    break
                if time.time() - last_save > 60 * a.save_minutes:
                    self.snapshot()
                    last_save = time.time()
                if time.time() - last_eval > 60 * a.eval_minutes:
                    self.say(f"step {self.step} {evaluation(self.average, quick)}")
                    last_eval = began = time.time()
        self.snapshot()
        self.say(f"stopped at step {self.step}; {'checkpoint written' if self.stop else evaluation(self.average, quick)}")


def deaf(_):
    """A worker ends with its parent, so that a signal to both does not keep the parent from its checkpoint."""
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, signal.SIG_IGN)


def processor_time():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def summary(reports, took):
    """Means of what is reported, or sums a second."""
    values = {}
    for report in reports:
        for k, v in report.items():
            values.setdefault(k, []).append(v)
    return " ".join(f"{sum(v) / took:.1f} {k[3:]}/s" if k.startswith("/s ") else f"{k} {sum(v) / len(v):.3f}"
                    for k, v in values.items())


def load(directory):
    path = directory / "checkpoint.pt"
    return torch.load(path, weights_only=True) if path.exists() else None
