#!/usr/bin/env python3
"""Time timm's mobilenetv5_300m_enc in float32, eager, as bench-vision times ours.

    bench_reference.py [--threads 2] [--rounds 3] [RESOLUTION...]       256, 512 and 768 by default
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
def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--layouts", default="contiguous,channels_last")
    ap.add_argument("resolutions", type=int, nargs="*")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    tower = timm.create_model("mobilenetv5_300m_enc").eval()
    for layout in a.layouts.split(","):
        form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        tower = tower.to(memory_format=form)
        for resolution in a.resolutions or [256, 512, 768]:
            x = torch.rand(1, 3, resolution, resolution).to(memory_format=form)
            tower(x)
            best = cpu = 1e9
            for _ in range(a.rounds):
                start, cpu_start = time.monotonic(), time.process_time()
                tower(x)
                best, cpu = min(best, time.monotonic() - start), min(cpu, time.process_time() - cpu_start)
            print(f"timm {layout} {resolution}: {best:.3f} s; {cpu:.3f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
