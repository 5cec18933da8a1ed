#!/usr/bin/env python3
"""Time timm's mobilenetv5_300m_enc in float32, and bench-vision in turn with it, on the same threads.

    bench_reference.py [--ours build/tests/vision/bench-vision] [--compile] [--threads 2] [--rounds 3] [RESOLUTION...]

timm runs in both memory layouts, eager, and through torch.compile with --compile; the ratio is its fastest time over ours.
"""
import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
import without_torchvision                                              # noqa: E402, F401, before timm
import timm                                                             # noqa: E402


def ours(program, resolution, rounds):
    """Seconds"""
    out = subprocess.run([program, "--rounds", str(rounds), str(resolution)], check=True, capture_output=True, text=True).stdout
    print("bench-vision", out.strip(), flush=True)
    return float(re.search(rf"^{resolution}: ([0-9.]+) s", out, re.M)[1])


@torch.no_grad()
def theirs(run, what, x, rounds):
    """Seconds"""
    run(x)
    best = cpu = 1e9
    for _ in range(rounds):
        start, cpu_start = time.monotonic(), time.process_time()
        run(x)
        best, cpu = min(best, time.monotonic() - start), min(cpu, time.process_time() - cpu_start)
    print(f"timm {what} {x.shape[-1]}: {best:.3f} s; {cpu:.3f} s of CPU", flush=True)
    return best


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--ours", type=Path, help="bench-vision, which takes turns with timm")
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("resolutions", type=int, nargs="*")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    tower = timm.create_model("mobilenetv5_300m_enc").eval()
    compiled = torch.compile(tower) if a.compile else None
    for resolution in a.resolutions or [256, 512, 768]:
        mine, times = ours(a.ours, resolution, a.rounds) if a.ours else None, []
        for what, form in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
            x = torch.rand(1, 3, resolution, resolution).to(memory_format=form)
            times.append(theirs(tower.to(memory_format=form), what, x, a.rounds))
        if a.compile:
            times.append(theirs(compiled, "compiled, channels_last", x, a.rounds))
        if mine:
            print(f"{resolution}: {min(times) / mine:.2f} x timm's fastest", flush=True)


if __name__ == "__main__":
    main()
