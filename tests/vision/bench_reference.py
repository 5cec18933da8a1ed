#!/usr/bin/env python3
"""Time timm's mobilenetv5_300m_enc in both memory layouts, eager and, with --compile, compiled.

    bench_reference.py [--type f32|bf16] [--compile] [--threads 2] [--rounds 3] [RESOLUTION...]
"""
import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
import without_torchvision                                              # noqa: E402, F401, before timm
import timm                                                             # noqa: E402


@torch.no_grad()
def measure(run, what, x, rounds):
    run(x)
    best = cpu = 1e9
    for _ in range(rounds):
        start, cpu_start = time.monotonic(), time.process_time()
        run(x)
        best, cpu = min(best, time.monotonic() - start), min(cpu, time.process_time() - cpu_start)
    print(f"timm {what} {x.shape[-1]}: {best:.3f} s; {cpu:.3f} s of CPU", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--type", choices=["f32", "bf16"], default="f32")
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("resolutions", type=int, nargs="*")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[a.type]
    tower = timm.create_model("mobilenetv5_300m_enc").eval().to(dtype)
    compiled = torch.compile(tower) if a.compile else None
    for resolution in a.resolutions or [256, 512, 768]:
        for what, form in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
            x = torch.rand(1, 3, resolution, resolution, dtype=dtype).to(memory_format=form)
            measure(tower.to(memory_format=form), f"{a.type} {what}", x, a.rounds)
        if a.compile:
            measure(compiled, f"{a.type} compiled, channels_last", x, a.rounds)


if __name__ == "__main__":
    main()
