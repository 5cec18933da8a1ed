#!/usr/bin/env python3
"""Time and memory of T5Gemma 2 270M-270M over the length of its input, on seeded random weights.

    bench_long.py [--from 1024] [--to 131072] [--json OUT.json] [--plot OUT.svg] [--keep DIR] [options of gemma-eval]
    bench_long.py --draw IN.json --plot OUT.svg

Runs `gemma-eval --bench` once for each power of two: the encoder over so many ids and the first step of the decoder
(prefill), then 8 steps more. The memory is all that the process ever had resident, mapped weights among it.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def checkpoint(folder):
    """As published: bf16, a vocabulary of 262144"""
    if (folder / "tokenizer.json").exists():
        return
    import compare_transformers as full
    config, tensors, _ = full.describe(0)
    full.write_checkpoint(folder, config, tensors, True)


def measure(program, model, n, more):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([program, "--model", model, "--bench", "--bench-prefill", str(n), "--bench-decode", "8", "--bench-runs", "1",
                        "--out", out, *more], check=True, stdout=subprocess.DEVNULL)
        r = json.loads((Path(out) / "bench.json").read_text())
    return {"tokens": n, "seconds": n / r["prefill_tokens_per_second"], "decode_tokens_per_second": r["decode_tokens_per_second"],
            "peak_resident_bytes": r["peak_resident_bytes"], "device_bytes": r["device_bytes"]}


def draw(rows, path):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "t5gemma2", "font.size": 9})
    n = [r["tokens"] for r in rows]
    figure, (time, memory) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axes, values, title in ((time, [r["seconds"] for r in rows], "seconds until the first token"),
                                (memory, [r["peak_resident_bytes"] / 1e9 for r in rows], "GB resident at most")):
        axes.semilogx(n, values, "o-", base=2)
        axes.set_xticks(n, [f"{k // 1024}K" for k in n])
        axes.set_xlabel("tokens of input")
        axes.set_title(title)
        axes.grid(alpha=.3)
    memory.set_ylim(0, 8.5)
    memory.axhline(8, color="tab:red", lw=1)
    time.set_yscale("log", base=10)
    time.plot(n, [rows[0]["seconds"] * k / n[0] for k in n], ":", color="gray", label="in proportion to the length")
    time.legend()
    figure.savefig(path, metadata={"Date": None})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--eval", default="build/examples/gemma-eval")
    ap.add_argument("--from", type=int, default=1024, dest="first")
    ap.add_argument("--to", type=int, default=131072)
    ap.add_argument("--json", type=Path)
    ap.add_argument("--plot", type=Path)
    ap.add_argument("--draw", type=Path, metavar="JSON", help="measure nothing, draw what was measured")
    ap.add_argument("--keep", type=Path, help="write the checkpoint here and keep it; one that is there is used")
    args, more = ap.parse_known_args()
    rows = json.loads(args.draw.read_text()) if args.draw else []
    with tempfile.TemporaryDirectory() as tmp:
        n = args.first
        while not args.draw and n <= args.to:
            checkpoint(folder := args.keep or Path(tmp))
            rows.append(measure(args.eval, folder, n, more))
            print(json.dumps(rows[-1]), flush=True)
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1) + "\n")
            n *= 2
    if args.plot:
        draw(rows, args.plot)


if __name__ == "__main__":
    sys.exit(main())
