#!/usr/bin/env python3
"""Prove that t5gemma2.py computes what transformers computes: same weights, same ids, float32.

    check-equality-t5gemma2.py [HF_DIR]

HF_DIR comes from export-translate.py --hf; without it, weights are random. Fails if encoder rows or logits, of a source
longer than the window, alone, in a batch beside a longer one, or a token at a time, differ by more than 1e-4 (norm of the
difference over norm of the reference), or if greedy ids or those of the tokenizers differ.
"""
import argparse
import importlib.metadata
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer, T5Gemma2ForConditionalGeneration

import t5gemma2
import tokenizer as tok
import translations
from importlib import import_module

export = import_module("export-translate")


def load(directory, c):
    """Our weights from a Hugging Face directory."""
    from safetensors.torch import load_file
    files, names = load_file(directory / "model.safetensors"), export.hf_names()
    w = {k: files[names[k]] + (len(shape) == 1) for k, shape in t5gemma2.shapes(c).items()}
    assert all(tuple(w[k].shape) == shape for k, shape in t5gemma2.shapes(c).items())
    return w


def relative(a, b):
    return float((a - b).norm() / b.norm())


def logits(source, before, w, c, cache=None):
    memory = t5gemma2.remember(t5gemma2.encode(source, w, c), w, c)
    return t5gemma2.head(t5gemma2.decode(before, source, memory, w, c, cache), w)


def compare(hf, w, c):
    source, before = (torch.randint(4, c.vocab - 3, (2, n)) for n in (3 * c.window, 2 * c.window))
    short = c.window + 13
    before[:, 0] = tok.BOS
    alone, padded = source[:1, :short], source.clone()
    padded[0, short:] = tok.PAD
    mask = padded != tok.PAD
    encoded = hf.model.encoder(input_ids=alone).last_hidden_state
    ref = hf(input_ids=alone, decoder_input_ids=before[:1]).logits
    both = hf(input_ids=padded, attention_mask=mask.long(), decoder_input_ids=before).logits
    worst = {"encoder": relative(t5gemma2.encode(alone, w, c), encoded), "logits": relative(logits(alone, before[:1], w, c), ref),
             "in a batch": relative(logits(padded, before, w, c), both)}
    memory, cache, steps = t5gemma2.remember(t5gemma2.encode(alone, w, c), w, c), {}, []
    for i in range(before.shape[1]):
        steps.append(t5gemma2.head(t5gemma2.decode(before[:1, i:i + 1], alone, memory, w, c, cache), w))
    worst["decoding"] = relative(torch.cat(steps, 1), ref)
    return worst


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir", nargs="?", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(a.seed)
    c, scratch = t5gemma2.Config(), tempfile.TemporaryDirectory()
    directory = a.dir or Path(scratch.name)
    if not a.dir:
        # norms away from 1, so that a norm in a wrong place is seen
        fresh = {k: v * (.6 + .8 * torch.rand(v.shape)) if v.ndim == 1 else v for k, v in t5gemma2.init(c, a.seed).items()}
        export.write_hf(directory, fresh, c)
    w, t = load(directory, c), tok.Translator()
    hf = T5Gemma2ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    worst = compare(hf, w, c)
    for k, v in worst.items():
        print(f"{k:12s} {v:.2e} {'ok' if v <= 1e-4 else 'TOO FAR'}")

    theirs, differ = AutoTokenizer.from_pretrained(directory), 0
    rows = translations.held_out_pairs()[::40]
    for _, s, g, text, *_ in rows:
        ids = t.question(translations.prompt(text, s, g))
        said = t5gemma2.generate([ids], w, c)[0][:24]
        ref = hf.generate(input_ids=torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0, 1:].tolist()
        differ += said != [i for i in ref if i not in (tok.EOS, tok.PAD)] or theirs(translations.prompt(text, s, g)).input_ids != ids
    print(f"greedy ids   {len(rows) - differ} of {len(rows)} the same")
    print("torch", torch.__version__, "transformers", importlib.metadata.version("transformers"))
    sys.exit(differ > 0 or any(v > 1e-4 for v in worst.values()))


if __name__ == "__main__":
    main()
