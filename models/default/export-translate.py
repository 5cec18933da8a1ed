#!/usr/bin/env python3
"""Write a checkpoint of train-translate.py as a Hugging Face directory, and that as the GGUF that the plugin ships.

    export-translate.py --from DIR/checkpoint.pt --out models/default/t5gemma2-default.gguf [--hf DIR]

The GGUF is what ../convert-t5gemma2.py makes of the directory (Q8_0), with a name, a licence, and
gemma.translation.examples false: neither "Good morning." nor the sentences before precede a text, which would be four
times as long and tell a model of this size nothing.
"""
import argparse
import importlib.util
import json
import os
import tempfile
from pathlib import Path

import gguf
import torch
from safetensors.torch import save_file

import t5gemma2
import tokenizer as tok

HERE = Path(__file__).parent


def script(path):
    """A script whose name is no module's"""
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


convert = script(HERE.parent / "convert-t5gemma2.py")


def hf_names():
    """{name in the GGUF: in a Hugging Face directory}"""
    out = {ours: "model." + theirs for theirs, ours in convert.ONCE.items()}
    for part in ("enc", "dec"):
        for theirs, ours in convert.LAYER.items():
            for i in range(t5gemma2.Config.layers):
                out[f"{part}.blk.{i}.{ours}.weight"] = f"model.{part}oder.layers.{i}.{theirs}.weight"
    return out


def hf_tensors(weights, c):
    names = hf_names()
    out = {names[k]: (w.detach() - 1 if w.ndim == 1 else w.detach()).float().contiguous() for k, w in weights.items()}
    return out | {names["eoi_embd.weight"]: torch.zeros(c.hidden)}


def hf_config(c):
    text = {"vocab_size": c.vocab, "hidden_size": c.hidden, "intermediate_size": c.ffn, "num_hidden_layers": c.layers,
            "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim,
            "query_pre_attn_scalar": c.head_dim, "sliding_window": c.window, "max_position_embeddings": c.context,
            "rms_norm_eps": t5gemma2.EPS, "hidden_activation": "gelu_pytorch_tanh", "final_logit_softcapping": None,
            "layer_types": ["sliding_attention" if s else "full_attention" for s in c.sliding],
            "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": t5gemma2.BASE},
                                "sliding_attention": {"rope_type": "default", "rope_theta": t5gemma2.BASE_LOCAL}}}
    boi, eoi, image = range(c.vocab - 3, c.vocab)
    # never used, but transformers builds it
    vision = {"model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "vision_use_head": False}
    return {"architectures": ["T5Gemma2ForConditionalGeneration"], "model_type": "t5gemma2", "dtype": "float32",
            "encoder": {"model_type": "t5gemma2_encoder", "text_config": text | {"model_type": "t5gemma2_text"},
                        "vision_config": vision, "mm_tokens_per_image": 1, "boi_token_index": boi, "eoi_token_index": eoi,
                        "image_token_index": image},
            "decoder": text | {"model_type": "t5gemma2_decoder"}, "image_token_index": image, "tie_word_embeddings": True,
            "bos_token_id": tok.BOS, "eos_token_id": tok.EOS, "pad_token_id": tok.PAD}


def write_hf(out, weights, c):
    out.mkdir(parents=True, exist_ok=True)
    t = tok.Translator()
    save_file(hf_tensors(weights, c), out / "model.safetensors", metadata={"format": "pt"})
    files = {"config.json": hf_config(c), "tokenizer.json": script(HERE / "export-gguf.py").tokenizer_json(t),
             "generation_config.json": {"bos_token_id": tok.BOS, "eos_token_id": tok.EOS, "pad_token_id": tok.PAD,
                                        "decoder_start_token_id": tok.BOS, "do_sample": False},
             "tokenizer_config.json": {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": False,
                                       "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}}
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, ensure_ascii=False, indent=1))
    (out / "tokenizer.model").write_bytes(t.blob)


def write_gguf(path, directory, about):
    def describe(g):
        g.add_type("model")
        g.add_name("gst-gemma default translator")
        g.add_description(about)
        g.add_license("cc-by-sa-3.0 and gpl-2.0")
        g.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        g.add_bool("gemma.translation.examples", False)

    convert.write(path.with_suffix(".part"), directory, "q8_0", describe)
    os.replace(path.with_suffix(".part"), path)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--from", dest="source", type=Path, default=Path.home() / ".cache/gst-gemma/train-translate/checkpoint.pt",
                    help="train-translate.py's checkpoint; 'random' for fresh weights")
    ap.add_argument("--raw", action="store_true", help="the newest weights instead of their running average")
    ap.add_argument("--out", type=Path, default=HERE / "t5gemma2-default.gguf")
    ap.add_argument("--hf", type=Path, help="keep the Hugging Face directory there (float32)")
    a = ap.parse_args()
    about = "T5Gemma 2's architecture, trained on telephone prompts and descriptions of Tux Paint's stamps; see NOTICE"
    if str(a.source) == "random":
        c = t5gemma2.Config()
        weights = t5gemma2.init(c)
    else:
        state = torch.load(a.source, weights_only=True, map_location="cpu")
        c, weights = t5gemma2.Config.of(state["config"]), state["weights" if a.raw else "average"]
        about += f" (step {state['step']})"
    with tempfile.TemporaryDirectory() as scratch:
        directory = a.hf or Path(scratch)
        write_hf(directory, weights, c)
        write_gguf(a.out, directory, about)
    print(f"{a.out}: {a.out.stat().st_size / 1e6:.2f} MB, {sum(w.numel() for w in weights.values()) / 1e6:.2f} M parameters; "
          f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
