#!/usr/bin/env python3
"""Our speed beside our peers': in turn, on the same threads, of a machine that does nothing else.

    compare.py text --llama-bench PROGRAM [NAME=]MODEL.gguf...  prefill of 512 tokens and decoding after it
    compare.py audio                                            30 s through USM at E2B's widths, beside transformers
    compare.py vision [RESOLUTION...]                           MobileNet-V5 300M, beside timm
    compare.py picture --llama-mtmd-cli PROGRAM --mmproj MMPROJ.gguf --image P --audio W [NAME=]MODEL.gguf...
                                                                a picture of 768 x 768, and all to the first token: of ours with
                                                                the clip and 64 tokens of text, of llama.cpp without
    compare.py draw SPEED.json [OTHERS.json...]
    all with [--machine NAME] [--json speed.json] [--plot OUT.svg] [--roofline OUT.svg] [--build build] [--threads 2] [--rounds 3]

Of each side the best of all rounds counts. What is measured joins what the JSON file has already, so that a table can
be put together piece by piece. Language models run with 8-bit activations on both sides. The share of the machine's
limit is that of what is measured at once before: reading from memory for decoding, float32 multiply-adds, two times
as many with 16 bits and four times with bytes.

Peers: llama.cpp, as in the sdist of llama-cpp-python 0.3.36 (PyPI), built with -DGGML_NATIVE=ON; transformers and timm
as in tests/usm/bench_reference.py and tests/vision/bench_reference.py.
"""
import argparse
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PREFILL, DECODE = 512, 64
TESTS = Path(__file__).resolve().parents[1]


def say(text):
    print(f"\r{text:78s}", end="", file=sys.stderr, flush=True)


def output(a, *command):
    """-> what it printed, on so many threads"""
    env = {**os.environ, "POCL_MAX_PTHREAD_COUNT": str(a.threads), "POCL_MAX_COMPUTE_UNITS": str(a.threads)}
    return subprocess.run([str(c) for c in command], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=env).stdout


def limits(a):
    """GB/s from memory, of which some moments have half or twice as much: the median; GFLOP/s: the best"""
    measured = []
    for i in range(5):
        say(f"limits: {i + 1} of 5")
        out = output(a, a.build / "tests/opencl/checkkernels", "--bench", "-v", "ref", "rms_norm")
        measured.append([float(v) for v in re.search(r"limits: ([\d.]+) GFLOP/s of FMA, ([\d.]+) GB/s from memory", out).groups()])
    flops, read = zip(*measured)
    return {"read_GBps": statistics.median(read), "fma_GFLOPs": max(flops)}


def row(work, unit, ours, peer, name, share=None, of=None, intensity=None):
    """@ours, @peer: of all rounds. Seconds are better if fewer. @intensity: operations for each byte of weights."""
    less = unit == "s"
    best = min if less else max
    ours, peer = best(ours), best(peer)
    return {"work": work, "unit": unit, "ours": ours, "peer": peer, "peer_name": name,
            "ratio": peer / ours if less else ours / peer, "share": share(ours) if share else None, "of": of, "intensity": intensity}


# ---- language models ------------------------------------------------------------------------------------------------

def read_model(path):
    """-> {"prefill": of PREFILL tokens, "decode": of one}, each the bytes that have to be read and the operations.

    Of tables that rows are looked up in only the head counts. Gemma 3n's layers without keys and values of their own
    run for the last position only; a model's embedding of the prompt has its matrices beside the layers. Of up and down around
    a sparse gate only what it leaves open, of normally distributed gates, has to be read in decoding, and multiplied."""
    from gguf import GGUFReader
    reader = GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    layers = reader.fields[f"{architecture}.block_count"].contents()
    shared = reader.fields.get(f"{architecture}.attention.shared_kv_layers")
    owned = layers - shared.contents() if shared else layers
    scales = reader.fields.get(f"{architecture}.activation_sparsity_scale")
    is_open = [math.erfc(x / math.sqrt(2)) / 2 if x > 0 else 1 for x in scales.contents()] if scales else [1] * layers
    work = {"prefill": [0, 0], "decode": [0, 0]}
    head = "output.weight" if any(t.name == "output.weight" for t in reader.tensors) else "token_embd.weight"
    for t in reader.tensors:
        table = t.name in ("token_embd.weight", "per_layer_token_embd.weight", "output.weight")
        layer = re.match(r"blk\.(\d+)\.", t.name)
        unused = layer and int(layer[1]) >= owned and re.search(r"attn_[kv]\.", t.name)
        matrix = int(t.n_elements) if len(t.shape) > 1 else 0
        part = is_open[int(layer[1])] if layer and re.search(r"ffn_(up|down)\.", t.name) else 1
        if t.name == head or not table and not unused:
            work["decode"][0] += int(t.n_bytes) * part
            work["decode"][1] += 2 * matrix * part
        if not table and (not layer or int(layer[1]) < owned):
            work["prefill"][0] += int(t.n_bytes)
            work["prefill"][1] += 2 * matrix * PREFILL * part
    return work


def gemma_text(a, path):
    with tempfile.TemporaryDirectory() as out:
        output(a, a.build / "examples/gemma-eval", "--model", path, "--bench", "--bench-prefill", PREFILL, "--bench-decode", DECODE,
               "--bench-runs", 3, "--activations", "int8", "--out", out)
        return json.loads((Path(out) / "bench.json").read_text())


def llama_text(a, path):
    """As gemma_text(): medians of three, decoding after the prefill."""
    speeds = {}
    for key, work in (("prefill", ("-p", PREFILL, "-n", 0)), ("decode", ("-p", 0, "-n", DECODE, "-d", PREFILL))):
        out = json.loads(output(a, a.llama_bench, "-m", path, *work, "-t", a.threads, "-r", 3, "-o", "json"))
        speeds[key] = statistics.median(out[0]["samples_ts"])
    return speeds


def named(model):
    return model.split("=", 1) if "=" in model else (Path(model).stem, model)


def text(a):
    for model in a.models:
        name, path = named(model)
        work = read_model(path)
        rows, ours, peer = [], [], []
        for i in range(a.rounds):
            say(f"{name}: round {i + 1} of {a.rounds}, gst-gemma")
            ours.append(gemma_text(a, path))
            say(f"{name}: round {i + 1} of {a.rounds}, llama.cpp")
            peer.append(llama_text(a, path))
        read, operations = work["decode"][0], work["prefill"][1] / PREFILL
        for key, share, of in (("prefill", lambda x: x * operations / (PER_FMA["int8"] * a.limits["fma_GFLOPs"] * 1e9), "8-bit peak"),
                               ("decode", lambda x: x * read / a.limits["read_GBps"] / 1e9, "read bandwidth")):
            rows.append(row(f"{name}, {key}", "tokens/s", [r[f"{key}_tokens_per_second"] for r in ours], [r[key] for r in peer],
                            "llama.cpp", share, of, work[key][1] / work[key][0]))
        rows[-1]["memory"] = {k: ours[-1][k] for k in ours[-1] if k.endswith("_bytes")}
        yield from rows


# ---- a picture and what is said to it -----------------------------------------------------------------------------------

SAID = "Say in one sentence what is to be seen in the picture, and in another what is said in the clip. " * 3


def gemma_picture(a, path):
    with tempfile.TemporaryDirectory() as out:
        output(a, a.build / "examples/gemma-eval", "--model", path, "--mmproj", a.mmproj, "--image", a.image, "--audio", a.audio,
               "--prompt", SAID, "--bench", "--bench-decode", 1, "--bench-runs", 3, "--activations", "int8", "--out", out)
        return json.loads((Path(out) / "bench.json").read_text())


def llama_picture(a, path):
    """-> seconds of its encoder, seconds to the first token"""
    command = [a.llama_mtmd_cli, "-m", path, "--mmproj", a.mmproj, "--image", a.image, "-p", "Describe this picture.", "-n", 1,
               "-t", a.threads, "--temp", 0, "-v"]
    log = subprocess.run([str(c) for c in command], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT).stdout.decode(errors="replace")
    return [float(re.search(p, log)[1]) / 1e3 for p in (r"batch encoding done in (\d+) ms", r"prompt eval time = +([\d.]+) ms")]


def picture(a):
    for model in a.models:
        name, path = named(model)
        ours, peer = [], []
        for i in range(a.rounds):
            say(f"{name}: round {i + 1} of {a.rounds}, gst-gemma")
            ours.append(gemma_picture(a, path))
            say(f"{name}: round {i + 1} of {a.rounds}, llama.cpp")
            peer.append(llama_picture(a, path))
        for i, (what, key) in enumerate((("picture encoder, int8", "image_encoder_seconds"),
                                         ("picture and speech to the first token", "first_token_seconds"))):
            yield row(f"{name}, {what}", "s", [r[key] for r in ours], [r[i] for r in peer], "llama.cpp, picture only")


# ---- encoders -------------------------------------------------------------------------------------------------------

PER_FMA = {"f32": 1, "int16": 2, "int8": 4}     # how many times as many operations as float32 multiply-adds

# 12 blocks of 1536 x: two feed-forward layers, attention's four matrices, two of the convolution; of 750 frames
USM_WEIGHTS = 12 * (4 * 1536 * 6144 + 4 * 1536**2 + 3 * 1536**2)
USM_OPERATIONS = 2 * USM_WEIGHTS * 750
MOBILENET_WEIGHTS = 294e6                       # of mobilenetv5_300m


def share_of_peak(a, operations, activations):
    names = {"f32": "float32", "int16": "16-bit", "int8": "8-bit"}
    return lambda seconds: operations / seconds / (PER_FMA[activations] * a.limits["fma_GFLOPs"] * 1e9), f"{names[activations]} peak"


def audio(a):
    kinds = [("f32", "f32"), ("bf16", "f32"), ("bf16", "int16")]
    ours, peer = {kind: [] for kind in kinds}, {"bf16": [], "f32": []}
    seconds = lambda *command: float(re.search(r"at once: ([\d.]+) s", output(a, *command))[1])
    for i in range(a.rounds):
        for kind in kinds:
            say(f"audio: round {i + 1} of {a.rounds}, {' '.join(kind)}")
            ours[kind].append(seconds(a.build / "tests/usm/bench-usm", "--type", kind[0], "--activations", kind[1]))
        for kind in peer:
            say(f"audio: round {i + 1} of {a.rounds}, transformers {kind}")
            peer[kind].append(seconds(sys.executable, TESTS / "usm/bench_reference.py", "--type", kind, "--threads", a.threads))
    fastest = peer["f32"] + peer["bf16"]
    rows = (("float32 weights", ("f32", "f32"), peer["f32"], "transformers float32"),
            ("bfloat16 weights", ("bf16", "f32"), fastest, "transformers, its fastest"),
            ("bfloat16 weights, int16", ("bf16", "int16"), fastest, "transformers, its fastest"))
    return [row(f"USM, 30 s, {what}", "s", ours[kind], seconds, name, *share_of_peak(a, USM_OPERATIONS, kind[1]),
                USM_OPERATIONS / USM_WEIGHTS / {"f32": 4, "bf16": 2}[kind[0]])
            for what, kind, seconds, name in rows]


def vision(a):
    # without instructions for it, bfloat16 is many times slower than float32
    peer_types = ["f32", "bf16"] if re.search("avx512_bf16|amx_bf16", Path("/proc/cpuinfo").read_text()) else ["f32"]
    names = {"f32": "", "int16": ", int16", "int8": ", int8"}
    ours, peer = {(r, kind): [] for r in a.resolutions for kind in names}, {r: [] for r in a.resolutions}
    operations = {}
    for i in range(a.rounds):
        for r in a.resolutions:
            for kind in names:
                say(f"vision: round {i + 1} of {a.rounds}, {r}, {kind}")
                out = output(a, a.build / "tests/vision/bench-vision", "--type", "bf16", "--activations", kind, r)
                seconds, rate = re.search(rf"^{r}: ([\d.]+) s, ([\d.]+) GFLOP/s", out, re.M).groups()
                ours[r, kind].append(float(seconds))
                operations[r] = float(seconds) * float(rate) * 1e9
            for kind in peer_types:
                say(f"vision: round {i + 1} of {a.rounds}, {r}, timm {kind}")
                out = output(a, sys.executable, TESTS / "vision/bench_reference.py", "--type", kind, "--compile", "--threads", a.threads, r)
                peer[r] += [float(s) for s in re.findall(rf"^timm .* {r}: ([\d.]+) s", out, re.M)]
    return [row(f"MobileNet-V5 at {r}{names[kind]}", "s", seconds, peer[r], "timm, its fastest", *share_of_peak(a, operations[r], kind),
                operations[r] / MOBILENET_WEIGHTS / 2)
            for (r, kind), seconds in ours.items()]


# ---- what is shown --------------------------------------------------------------------------------------------------

def ratios(data):
    return {r["work"]: r["ratio"] for r in data["rows"]}


def table(data, others):
    """All of one machine, and of others how many times as fast as the peer each is there."""
    head = ["", "gst-gemma", "peer", "", "times as fast", "share of the limit"] + [f"times as fast, {o['machine']}" for o in others]
    lines = [head, ["---"] * len(head)]
    for r in data["rows"]:
        share = f"{r['share']:.2f} of {r['of']}" if r["share"] else ""
        there = [f"{ratios(o)[r['work']]:.2f}" if r["work"] in ratios(o) else "" for o in others]
        lines.append([r["work"], f"{r['ours']:.4g} {r['unit']}", f"{r['peer']:.4g} {r['unit']}", r["peer_name"], f"{r['ratio']:.2f}", share]
                     + there)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pyplot():
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "compare", "font.size": 9})
    return plt


def draw(machines, path):
    """Bars of the ratios: 1 is the peer."""
    plt = pyplot()
    rows, height = machines[0]["rows"][::-1], .8 / len(machines)
    figure, axes = plt.subplots(figsize=(7, .6 + .2 * (1 + len(machines)) * len(rows)), layout="constrained")
    for i, (data, color) in enumerate(zip(machines, ("#3b74c4", "#d98b3a", "#5b9a55"))):
        values = [ratios(data).get(r["work"], 0) for r in rows]
        at = [y - (i - (len(machines) - 1) / 2) * height for y in range(len(rows))]
        bars = axes.barh(at, values, height, color=color, label=data["machine"])
        axes.bar_label(bars, [f"{v:.2f} x {r['peer_name']}" if v else "" for v, r in zip(values, rows)], padding=3)
    axes.set_yticks(range(len(rows)), [r["work"] for r in rows])
    axes.axvline(1, color="#444", ls="--", lw=1)
    axes.set_xlim(0, 2.1 * max(max(ratios(data).values()) for data in machines))
    axes.margins(y=.01)
    axes.set_xlabel("times as fast as the peer")
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})


PEAKS = {"float32 peak": ("f32", "#5b9a55"), "16-bit peak": ("int16", "#d98b3a"), "8-bit peak": ("int8", "#3b74c4")}


def reached(r, limits):
    """-> its operations a second, in thousands of millions"""
    if r["of"] == "read bandwidth":
        return r["share"] * limits["read_GBps"] * r["intensity"]
    return r["share"] * limits["fma_GFLOPs"] * PER_FMA[PEAKS[r["of"]][0]]


def draw_roofline(data, path):
    """What of our own work reaches, under what the machine could do: a roof for each width of numbers."""
    plt = pyplot()
    limits = data["limits"]
    rows = sorted((r for r in data["rows"] if r.get("intensity")), key=lambda r: (r["intensity"], reached(r, limits)))
    figure, axes = plt.subplots(figsize=(8.5, 5), layout="constrained")
    xs = [1, 10 * max(r["intensity"] for r in rows)]
    for peak, (name, color) in PEAKS.items():
        roof = limits["fma_GFLOPs"] * PER_FMA[name]
        axes.plot([xs[0], roof / limits["read_GBps"], xs[1]], [limits["read_GBps"] * xs[0], roof, roof], color=color, lw=1.2)
        axes.annotate(f"{peak}, {roof:.0f}", (xs[1], roof), color=color, ha="right", va="bottom")
    axes.text(5, 4 * limits["read_GBps"], f"{limits['read_GBps']:.1f} GB/s from memory")
    for i, r in enumerate(rows, 1):
        at = r["intensity"], reached(r, limits)
        axes.plot(*at, "o", color=PEAKS.get(r["of"], PEAKS["8-bit peak"])[1], ms=5, label=f"{i}  {r['work']}")
        axes.annotate(str(i), at, xytext=(4, -3) if i % 2 else (-4, -3), textcoords="offset points", ha="left" if i % 2 else "right")
    axes.set(xscale="log", yscale="log", xlim=xs, xlabel="operations for each byte of weights that has to be read",
             ylabel="thousand million operations a second")
    figure.legend(loc="outside right upper", handlelength=1, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("work", choices=["text", "picture", "audio", "vision", "draw"])
    ap.add_argument("models", nargs="*", metavar="[NAME=]MODEL.gguf|RESOLUTION|SPEED.json")
    ap.add_argument("--llama-bench", default="llama-bench", metavar="PROGRAM")
    ap.add_argument("--llama-mtmd-cli", default="llama-mtmd-cli", metavar="PROGRAM")
    ap.add_argument("--mmproj", metavar="MMPROJ.gguf")
    ap.add_argument("--image", metavar="PNG")
    ap.add_argument("--audio", metavar="CLIP")
    ap.add_argument("--build", type=Path, default=Path("build"))
    ap.add_argument("--machine", default=platform.processor() or platform.machine())
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--json", type=Path, default=Path("speed.json"))
    ap.add_argument("--plot", type=Path, help="bars of the ratios")
    ap.add_argument("--roofline", type=Path, help="the work under the machine's limits")
    a = ap.parse_intermixed_args()
    if a.work == "draw":
        machines = [json.loads(Path(m).read_text()) for m in a.models]
    else:
        data = json.loads(a.json.read_text()) if a.json.exists() else {"machine": a.machine, "rows": []}
        machines = [data]
        a.limits = data["limits"] = limits(a)
        a.resolutions = [int(m) for m in a.models] or [256, 512, 768] if a.work == "vision" else []
        for new in {"text": text, "picture": picture, "audio": audio, "vision": vision}[a.work](a):
            data["rows"] = [r for r in data["rows"] if r["work"] != new["work"]] + [new]
            a.json.write_text(json.dumps(data, indent=1) + "\n")
        say("")
    print(f"\n{machines[0]['limits']}\n{table(machines[0], machines[1:])}")
    if a.plot:
        draw(machines, a.plot)
    if a.roofline:
        draw_roofline(machines[0], a.roofline)


if __name__ == "__main__":
    sys.exit(main())
