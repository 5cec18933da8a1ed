#!/usr/bin/env python3
"""Time transformers' audio encoder on the clip that bench-usm encodes, at the widths of google/gemma-3n-E2B.

    bench_reference.py [--seconds 30] [--layers 12] [--type f32|bf16] [--threads 2]
"""
import argparse
import sys
import time
from pathlib import Path

import torch
from transformers import Gemma3nAudioFeatureExtractor
from transformers.models.gemma3n.configuration_gemma3n import Gemma3nAudioConfig
from transformers.models.gemma3n.modeling_gemma3n import Gemma3nAudioEncoder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))
from usm import signal                                      # noqa: E402


@torch.no_grad()
def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--seconds", type=float, default=30.)
    ap.add_argument("--layers", type=int, default=12)
    ap.add_argument("--type", choices=["f32", "bf16"], default="f32")
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[a.type]
    tower = Gemma3nAudioEncoder(Gemma3nAudioConfig(conf_num_hidden_layers=a.layers)).eval().to(dtype)
    samples = signal(int(a.seconds * 16000))
    extract = Gemma3nAudioFeatureExtractor()
    best, cpu = 1e9, 1e9
    for _ in range(3):
        start, cpu_start = time.monotonic(), time.process_time()
        features = extract(samples, return_tensors="pt", truncation=False)
        tower(features["input_features"].to(dtype), ~features["input_features_mask"].bool())
        best, cpu = min(best, time.monotonic() - start), min(cpu, time.process_time() - cpu_start)
    print(f"transformers {a.type}, clip of {a.seconds} s at once: {best:.3f} s, {best / a.seconds:.4f} of real time; "
          f"{cpu:.3f} s of CPU")


if __name__ == "__main__":
    main()
