#!/usr/bin/env python3
"""Gemma 3n at any size: gemma-eval against transformers, layer by layer in float32.

    compare_transformers.py MODEL [--gguf FILE] [--submodel TABLE] [--ids 600] [--audio CLIP.wav] [--image PICTURE.png]
                            [--dtype f32|bf16] [options of gemma-eval, such as --activations int8]

MODEL is a checkpoint in Hugging Face's form. One decoder layer's weights at a time are in memory, of the embedding
tables the rows that occur. Of random ids (more than the window) the states after each layer, the logits and the greedy
choice at every position are compared, of a clip and a picture each block of the encoder and the soft tokens.

Required: states, logits and soft tokens within 2e-3 (norm of the difference over norm), the same choice wherever
transformers' two best logits differ by more than 0.5. With 8-bit activations only the choices, and a correlation of at least
0.999 between the logits of each position. With --gguf the text network's weights are those of a GGUF on both sides, here
dequantized by gguf-py. With --submodel the text network is the part that a table keeps (see gemma-eval --help), in
transformers of weights that are sliced before it runs. --dtype bf16 shows what bfloat16 costs transformers: nothing is required then.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
import wave
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
import without_torchvision  # noqa: E402, F401, before timm
import timm  # noqa: E402
import language  # noqa: E402
import layers  # noqa: E402
import submodel  # noqa: E402
from safetensors import safe_open  # noqa: E402
from tqdm import tqdm  # noqa: E402
from transformers import Gemma3nConfig  # noqa: E402
from transformers.initialization import no_init_weights  # noqa: E402
from transformers.models.gemma3n.feature_extraction_gemma3n import Gemma3nAudioFeatureExtractor  # noqa: E402
from transformers.models.gemma3n.modeling_gemma3n import (  # noqa: E402
    Gemma3nAudioEncoder, Gemma3nMultimodalEmbedder, Gemma3nTextModel)

LIMIT, CLOSE, CORRELATION = 2e-3, .5, .999
HEAD_ROWS = 16384       # of the vocabulary at once

# ---- weights --------------------------------------------------------------------------------------------------------


class Checkpoint:
    def __init__(self, folder):
        self.files = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = safe_open(path, "pt")
            self.files.update(dict.fromkeys(file.keys(), file))

    def get(self, name):
        return self.files[name].get_tensor(name)

    def rows(self, name, ids):
        part = self.files[name].get_slice(name)
        return torch.stack([part[i] for i in ids])


class Gguf:
    """The text network of a GGUF by the names of Hugging Face, dequantized."""

    def __init__(self, path, n_layers):
        import gguf
        self.dequantize = gguf.dequantize
        self.names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3N, n_layers)
        self.tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}

    def find(self, name):
        stacked = re.fullmatch(r"model\.language_model\.altup_(unembed_)?projections\.(\d)\.weight", name)
        if stacked:
            return self.tensors[f"altup_{'unembd_' if stacked[1] else ''}proj.weight"], int(stacked[2])
        own = self.names.get_name(name.replace("model.language_model.", "model."), (".weight",))
        return self.tensors[own if own in self.tensors else own + ".weight"], None     # the scale has the suffix here only

    def get(self, name):
        tensor, index = self.find(name)
        data = tensor.data if index is None else tensor.data[index]
        return torch.from_numpy(np.array(self.dequantize(data, tensor.tensor_type), np.float32))

    def rows(self, name, ids):
        tensor, _ = self.find(name)
        return torch.from_numpy(np.array(self.dequantize(tensor.data[np.asarray(ids)], tensor.tensor_type), np.float32))


class Sliced:
    """The part that a table keeps of the text network."""

    def __init__(self, whole, config, table):
        self.whole, self.config, self.table = whole, config, table

    def get(self, name):
        own = submodel.whole_name(name, self.table)
        return submodel.sliced_tensor(own, self.whole.get(own), self.config, self.table)

    def rows(self, name, ids):
        return submodel.sliced_tensor(name, self.whole.rows(name, ids), self.config, self.table)


class Rows(torch.nn.Module):
    """An embedding table of which only some rows are read."""

    def __init__(self, weights, name, scale, dtype):
        super().__init__()
        self.weights, self.name, self.scale, self.dtype = weights, name, scale, dtype

    def forward(self, ids):
        rows = self.weights.rows(self.name, ids.flatten().tolist()).to(self.dtype)
        return rows.view(*ids.shape, -1) * torch.tensor(self.scale).to(self.dtype)


def fill(module, prefix, weights, dtype):
    for name, parameter in module.named_parameters():
        parameter.data = weights.get(f"{prefix}.{name}").to(dtype)


def empty(module):
    for parameter in module.parameters():
        parameter.data = torch.empty(0)


# ---- the reference --------------------------------------------------------------------------------------------------


def make(module, *args):
    """Memory that is not written is not there."""
    with no_init_weights():
        return module(*args).eval()


def make_filled(prefix, weights, module, *args):
    made = make(module, *args)
    fill(made, prefix, weights, torch.float32)
    return made


def prepare_text(text, weights, dtype):
    """Layers get their weights as they run."""
    prefix, config = "model.language_model", text.config
    bar = tqdm(total=len(text.layers), desc="layers", file=sys.stderr)
    for name, module in text.named_children():
        if name == "layers":
            for i, layer in enumerate(module):
                layer.register_forward_pre_hook(
                    lambda m, a, i=i: fill(m, f"{prefix}.layers.{i}", weights, dtype))
                layer.register_forward_hook(lambda m, a, out: (empty(m), bar.update())[0])
        elif not name.startswith("embed_tokens"):
            fill(module, f"{prefix}.{name}", weights, dtype)
    text.embed_tokens = Rows(weights, f"{prefix}.embed_tokens.weight", config.hidden_size ** .5, dtype)
    text.embed_tokens_per_layer = Rows(weights, f"{prefix}.embed_tokens_per_layer.weight",
                                       config.hidden_size_per_layer_input ** .5, dtype)


def head(weights, config, hidden):
    """The tied head, some rows at a time."""
    logits = torch.cat([hidden @ weights.rows("model.language_model.embed_tokens.weight", range(i, min(
        i + HEAD_ROWS, config.vocab_size))).to(hidden.dtype).T for i in range(0, config.vocab_size, HEAD_ROWS)], 1)
    cap = config.final_logit_softcapping
    return (torch.tanh(logits / cap) * cap).float().numpy()


def read_table(path, widths):
    table = list(widths)
    for line in path.read_text().splitlines():
        if words := line.partition("#")[0].split():
            first, _, last = words[0].partition("-")
            for i in range(int(first), int(last or first) + 1):
                table[i] = 0 if words[1] == "skip" else int(words[1])
    return table


def compare_text(config, weights, ids, out, dtype):
    config._attn_implementation = "eager"
    text = make(Gemma3nTextModel, config).to(dtype)
    prepare_text(text, weights, dtype)
    errors = layers.watch(text.layers, lambda i: out / f"text.layer{i}.npy", lambda state: state[0, 0]) if dtype == torch.float32 else []
    hidden = text(input_ids=torch.tensor(ids.astype(np.int64))[None], use_cache=False).last_hidden_state[0]
    theirs, ours = head(weights, config, hidden), np.load(out / "logits.npy")
    best = np.sort(np.partition(theirs, -2)[:, -2:])
    clear = best[:, 1] - best[:, 0] > CLOSE
    return {"layer_errors": errors, "logit_error": layers.relative_error(ours, theirs),
            "correlation": min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(ours, theirs)),
            "clear_choices": int(clear.sum()), "different": int((ours.argmax(1) != theirs.argmax(1))[clear].sum())}


def read_clip(path):
    with wave.open(str(path)) as f:
        assert (f.getnchannels(), f.getsampwidth(), f.getframerate()) == (1, 2, 16000), "16 kHz, mono, 16 bits"
        return np.frombuffer(f.readframes(f.getnframes()), "<i2").astype(np.float32) / 32768


def compare_audio(config, weights, clip, out):
    tower = make_filled("model.audio_tower", weights, Gemma3nAudioEncoder, config.audio_config)
    embed = make_filled("model.embed_audio", weights, Gemma3nMultimodalEmbedder, config.audio_config, config.text_config)
    features = Gemma3nAudioFeatureExtractor()(read_clip(clip), return_tensors="pt")

    errors = layers.watch(tower.conformer[:-1], lambda i: out / f"audio.block{i}.npy")
    result = tower(features["input_features"], ~features["input_features_mask"].bool())
    keep = ~result.audio_mel_mask[0]
    soft = embed(inputs_embeds=result.last_hidden_state)[0][keep].numpy()
    return {"layer_errors": errors, "tokens": len(soft),
            "soft_error": layers.relative_error(np.load(out / "audio-tokens.npy")[:len(soft)], soft)}


def compare_image(config, weights, picture, out):
    vision = config.vision_config
    tower = make_filled("model.vision_tower.timm_model", weights, partial(
        timm.create_model, vision.architecture, **(vision.model_args or {})))
    embed = make_filled("model.embed_vision", weights, Gemma3nMultimodalEmbedder, vision, config.text_config)
    rgb = np.asarray(Image.open(picture).convert("RGB"), np.float32) / 255
    pixels = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]

    blocks = [(f"block{s}.{b}", block) for s, stage in enumerate(tower.blocks) for b, block in enumerate(stage)]
    errors = layers.watch([block for _, block in blocks], lambda i: out / f"image.{blocks[i][0]}.npy",
                          lambda state: state[0].flatten(1).T)
    grid = tower(pixels).flatten(2).transpose(1, 2)
    soft = embed(inputs_embeds=grid * grid.shape[2] ** .5)[0].numpy()
    return {"layer_errors": errors, "soft_error": layers.relative_error(np.load(out / "image-tokens.npy"), soft)}


# ---- what is required -----------------------------------------------------------------------------------------------


def passes(result, int8):
    if result.get("different"):
        return False
    if int8 and "correlation" in result:
        return result["correlation"] >= CORRELATION
    return max(*result["layer_errors"], result.get("logit_error", 0), result.get("soft_error", 0)) < LIMIT


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model", type=Path)
    ap.add_argument("--gguf", type=Path)
    ap.add_argument("--submodel", type=Path)
    ap.add_argument("--eval", default="build/examples/gemma-eval")
    ap.add_argument("--ids", type=int, default=600, help="how many (0: no text)")
    ap.add_argument("--audio", type=Path)
    ap.add_argument("--image", type=Path, help="as large as the encoder sees it: 256, 512 or 768")
    ap.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    args, more = ap.parse_known_args()
    torch.set_grad_enabled(False)
    config = Gemma3nConfig.from_pretrained(args.model)
    dtype, ids = {"f32": torch.float32, "bf16": torch.bfloat16}[args.dtype], None
    checkpoint, results = Checkpoint(args.model), {}
    ours = [args.eval, "--layers", *more]
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp)
        if args.ids:
            ids = language.random_ids(config.text_config.vocab_size_per_layer_input, args.ids)
            part = ["--submodel", args.submodel] if args.submodel else []
            subprocess.run([*ours, "--model", args.gguf or args.model, *part, "--ids", ",".join(map(str, ids)), "--out", tmp],
                           check=True, stdout=subprocess.DEVNULL)
            weights, text = Gguf(args.gguf, config.text_config.num_hidden_layers) if args.gguf else checkpoint, config.text_config
            if args.submodel:
                table = read_table(args.submodel, text.intermediate_size)
                weights, text = Sliced(weights, text, table), submodel.sliced_config(text, table)
            results["text"] = compare_text(text, weights, ids, out, dtype)
        for part, file, compare in ("audio", args.audio, compare_audio), ("image", args.image, compare_image):
            if file:
                size = ["--resolution", str(Image.open(file).width)] if part == "image" else []
                subprocess.run([*ours, "--model", args.model, f"--{part}", file, *size, "--out", tmp], check=True,
                               stdout=subprocess.DEVNULL)
                results[part] = compare(config, checkpoint, file, out)
    print(json.dumps(results))
    return 0 if args.dtype == "bf16" or all(passes(r, "int8" in more) for r in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
