#!/usr/bin/env python3
"""Speed of GGUF text models: gemma-eval and llama.cpp in turn, on the same threads of a machine that does nothing else.

    compare.py [--threads 2] [--rounds 3] [--json FILE] [--plot FILE.svg] MODEL.gguf...

In each round each side, in a process of its own, reads 512 random ids and then decodes 64, after a warm-up, and tells the
median of 5; the best round of each side counts. Both use 8-bit activations on quantized weights. The limits of the machine are those
that `checkkernels --bench` measures first: a decoded token reads every weight of the network once.

llama.cpp comes from PyPI's llama-cpp-python, whose sdist has its source and builds it for this machine:
pip install llama-cpp-python gguf
"""
import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PREFILL, DECODE, RUNS = 512, 64, 5


# ---- the peer, in a process of its own ------------------------------------------------------------------------------

def llama(path, threads):
    import llama_cpp as l
    l.llama_log_set(QUIET := l.llama_log_callback(lambda *_: None), None)         # noqa: F841, it must live
    l.llama_backend_init()
    mp, cp = l.llama_model_default_params(), l.llama_context_default_params()
    mp.n_gpu_layers = 0
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = PREFILL + DECODE, PREFILL, PREFILL, threads, threads
    model = l.llama_model_load_from_file(str(path).encode(), mp)
    context = l.llama_init_from_model(model, cp)
    n = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
    rng = random.Random(1)
    ids = (l.llama_token * (PREFILL + DECODE))(*(rng.randrange(n) for _ in range(PREFILL + DECODE)))

    def decode(first, count):
        part = (l.llama_token * count)(*ids[first:first + count])
        if l.llama_decode(context, l.llama_batch_get_one(part, count)):
            raise SystemExit(f"llama.cpp cannot run {path}")
        l.llama_synchronize(context)

    prefill, decoding = [], []
    for _ in range(RUNS + 1):
        l.llama_memory_clear(l.llama_get_memory(context), True)
        start = time.monotonic()
        decode(0, PREFILL)
        middle = time.monotonic()
        for i in range(DECODE):
            decode(PREFILL + i, 1)
        prefill.append(PREFILL / (middle - start))
        decoding.append(DECODE / (time.monotonic() - middle))
    print(json.dumps({"prefill": statistics.median(prefill[1:]), "decode": statistics.median(decoding[1:])}))


# ---- both in turn ---------------------------------------------------------------------------------------------------

def gemma(path, a):
    with tempfile.TemporaryDirectory() as out:
        env = {**os.environ, "POCL_MAX_PTHREAD_COUNT": str(a.threads), "POCL_MAX_COMPUTE_UNITS": str(a.threads)}
        subprocess.run([a.eval, "--model", path, "--bench", "--bench-prefill", str(PREFILL), "--bench-decode", str(DECODE),
                        "--activations", "int8", "--out", out], check=True, env=env)
        result = json.loads((Path(out) / "bench.json").read_text())
    return {"prefill": result["prefill_tokens_per_second"], "decode": result["decode_tokens_per_second"]}


def peer(path, a):
    out = subprocess.run([sys.executable, __file__, "--peer", path, "--threads", str(a.threads)], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out.splitlines()[-1])


def machine(a):
    """-> GB/s from memory, GFLOP/s"""
    out = subprocess.run([a.checkkernels, "--bench", "-v", "ref", "rms_norm"], text=True, stdout=subprocess.PIPE).stdout
    found = re.search(r"limits: ([\d.]+) GFLOP/s of FMA, ([\d.]+) GB/s from memory", out)
    return (float(found[2]), float(found[1])) if found else (None, None)


def bytes_a_token(path):
    """Weights that every token has to read: matrices but for the tables that rows are only looked up in."""
    from gguf import GGUFReader
    tensors = {t.name: int(t.n_bytes) for t in GGUFReader(path).tensors}
    head = tensors.get("output.weight", tensors["token_embd.weight"])
    looked_up = ("token_embd.weight", "per_layer_token_embd.weight", "output.weight")
    return head + sum(n for k, n in tensors.items() if k not in looked_up)


def measure(path, a):
    rounds = {"gemma": [], "llama": []}
    for i in range(a.rounds):
        for side, run in (("gemma", gemma), ("llama", peer)):
            print(f"\r{Path(path).name}: round {i + 1} of {a.rounds}, {side}   ", end="", file=sys.stderr, flush=True)
            rounds[side].append(run(path, a))
    print(file=sys.stderr)
    best = {side: {k: max(r[k] for r in found) for k in ("prefill", "decode")} for side, found in rounds.items()}
    return {"model": Path(path).name, "bytes_a_token": bytes_a_token(path), "rounds": rounds, **best}


def table(results, read):
    lines = ["| model | | gst-gemma | llama.cpp | ratio | of the read bandwidth |", "|---|---|---|---|---|---|"]
    for r in results:
        for k in ("prefill", "decode"):
            share = f"{r['gemma'][k] * r['bytes_a_token'] / read / 1e9:.2f}" if k == "decode" and read else ""
            lines.append(f"| {r['model']} | {k} | {r['gemma'][k]:.0f} tokens/s | {r['llama'][k]:.0f} tokens/s "
                         f"| {r['gemma'][k] / r['llama'][k]:.2f} | {share} |")
    return "\n".join(lines)


def plot(results, path):
    """Bars of the ratios, as SVG: 1 is llama.cpp."""
    bars = [(f"{r['model']} {k}", r["gemma"][k] / r["llama"][k]) for r in results for k in ("prefill", "decode")]
    scale, height = 300 / max(2, *(b[1] for b in bars)), 24
    rows = [f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{height * len(bars) + 30}" font-family="sans-serif" '
            f'font-size="12">']
    for i, (name, ratio) in enumerate(bars):
        y = height * i + 6
        rows.append(f'<text x="330" y="{y + 13}" text-anchor="end">{name}</text>'
                    f'<rect x="340" y="{y}" width="{ratio * scale:.1f}" height="16" fill="#3b74c4"/>'
                    f'<text x="{345 + ratio * scale:.1f}" y="{y + 13}">{ratio:.2f} x</text>')
    x, end = 340 + scale, height * len(bars) + 6
    rows.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{end}" stroke="#444" stroke-dasharray="4 3"/>'
                f'<text x="{x:.1f}" y="{end + 16}" text-anchor="middle">llama.cpp</text></svg>')
    Path(path).write_text("\n".join(rows) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("models", nargs="*", metavar="MODEL.gguf")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--eval", default="build/examples/gemma-eval")
    ap.add_argument("--checkkernels", default="build/tests/opencl/checkkernels")
    ap.add_argument("--json", type=Path)
    ap.add_argument("--plot", type=Path)
    ap.add_argument("--peer", help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.peer:
        return llama(a.peer, a.threads)
    read, flops = machine(a)
    print(f"limits: {read} GB/s from memory, {flops} GFLOP/s float32")
    results = [measure(path, a) for path in a.models]
    print(table(results, read))
    if a.json:
        a.json.write_text(json.dumps({"threads": a.threads, "read_GBps": read, "fma_GFLOPs": flops, "models": results}, indent=1))
    if a.plot:
        plot(results, a.plot)


if __name__ == "__main__":
    sys.exit(main())
