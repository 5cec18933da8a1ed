#!/usr/bin/env python3
"""T5Gemma 2 at its full size: gemma-eval against transformers on seeded random weights.

    compare_transformers.py [--tokens 64] [--source 600] [--dtype f32|bf16] [--picture [--tower-layers 27]]
                            [--keep DIR] [--gguf FILE]

Writes a checkpoint with the shapes of google/t5gemma-2-270m-270m (18 + 18 layers, a vocabulary of 262144; 1.5 GB in
float32), encodes a random source longer than the window with both and decodes greedily. With --picture the checkpoint
has SigLIP so400m, too (27 layers of 1152, another 1.7 GB), and the source is a picture of 896 x 896 and some words; its
soft tokens must be within 1e-3, too. Required: what each layer of the picture's encoder, the encoder and the decoder puts
out, and the logits of every step, within 1e-3 of transformers' (norm of the difference over norm; transformers is fed our ids), and
ids identical up to the first step where its two best logits differ by less than 0.02. Both compute in float32, with
--dtype bf16 from shortened weights.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import T5Gemma2Config, T5Gemma2ForConditionalGeneration
from transformers.initialization import no_init_weights
from transformers.modeling_outputs import BaseModelOutput

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
import language  # noqa: E402
import layers  # noqa: E402
import siglip  # noqa: E402
import t5gemma2  # noqa: E402

LIMIT, CLOSE, END = 1e-3, .02, 1
TEXT = dict(hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4, num_key_value_heads=1,
            head_dim=256, query_pre_attn_scalar=256, sliding_window=512, vocab_size=262144,
            max_position_embeddings=131072,
            rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8., "rope_theta": 1e6},
                             "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})
VISION = dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=16, num_hidden_layers=1,
              num_attention_heads=2, image_size=56, patch_size=14, vision_use_head=False)
SO400M = {**VISION, "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
          "image_size": 896}
IMAGE = 256001


def make_config(tower_layers):
    """With SigLIP in so400m's shapes if it has layers."""
    vision = {**SO400M, "num_hidden_layers": tower_layers} if tower_layers else VISION
    encoder = dict(text_config=dict(TEXT), vision_config=vision, mm_tokens_per_image=256 if tower_layers else 1,
                   image_token_index=IMAGE)
    return T5Gemma2Config(encoder=encoder, decoder=dict(TEXT), image_token_index=IMAGE, bos_token_id=2,
                          eos_token_id=END, pad_token_id=0, architectures=["T5Gemma2ForConditionalGeneration"])


def describe(tower_layers):
    """-> config, [(name, shape, mean, deviation)] of the published tensors, {name: transformers' own}"""
    config = make_config(tower_layers)
    with torch.device("meta"):
        tensors, own_names = siglip.list_tensors(
            T5Gemma2ForConditionalGeneration(config), lambda n, s: t5gemma2.rule(n, s, TEXT["hidden_size"]))
    return config, [t for t in tensors if tower_layers or not siglip.is_of_pictures(t[0])], own_names


def write_tokenizer(folder):
    """A tokenizer is needed, not used: <0> to <262143>."""
    names = ["<pad>", "<eos>", "<bos>", "<unk>"]
    vocab = {names[i] if i < 4 else f"<{i}>": i for i in range(TEXT["vocab_size"])}
    added = [{"id": i, "content": n, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for i, n in enumerate(names)]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, "pre_tokenizer": None,
        "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": False, "vocab": vocab, "merges": []}}))


def write_checkpoint(folder, config, tensors, bf16):
    """One .safetensors, tensor by tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    size, header, offset = 2 if bf16 else 4, {}, 0
    for name, shape, _, _ in tensors:
        end = offset + size * int(np.prod(shape))
        header[name] = {"dtype": "BF16" if bf16 else "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, shape, mean, std in tensors:
            x = np.random.default_rng([language.SEED, *name.encode()]).standard_normal(shape, np.float32)
            x *= np.float32(std)
            x += np.float32(mean)
            f.write((x.view(np.uint32) >> 16).astype(np.uint16) if bf16 else x)
    (folder / "config.json").write_text(config.to_json_string())
    (folder / "generation_config.json").write_text(json.dumps({"decoder_start_token_id": 2}))
    write_tokenizer(folder)


def read_checkpoint(folder, model, own_names):
    data, own = np.memmap(folder / "model.safetensors", mode="c"), model.state_dict()
    length = int.from_bytes(data[:8].tobytes(), "little")
    for name, entry in json.loads(data[8:8 + length].tobytes()).items():
        begin, end = (8 + length + x for x in entry["data_offsets"])
        x = torch.from_numpy(data[begin:end]).view({"F32": torch.float32, "BF16": torch.bfloat16}[entry["dtype"]])
        own[own_names[name]].copy_(x.view(entry["shape"]))
    model.tie_weights()


def write_picture(path):
    """Coloured noise in blocks; returns its pixels as the model wants them, [1][3][896][896]."""
    from PIL import Image
    blocks = np.random.default_rng(language.SEED).integers(0, 256, (112, 112, 3), np.uint8)
    rgb = blocks.repeat(8, 0).repeat(8, 1)
    Image.fromarray(rgb).save(path)
    return torch.from_numpy((rgb.transpose(2, 0, 1)[None] / np.float32(255) - np.float32(.5)) / np.float32(.5))


@torch.no_grad()
def reference(config, folder, own_names, source, ids, pixels, out):
    """Logits [len (ids)][vocabulary] of the decoder fed with its start and ids, the picture's soft tokens or None, and the
    errors of our layers in @out."""
    config._attn_implementation = "eager"
    config.encoder.vision_config._attn_implementation = "sdpa"          # a matrix of 4096 x 4096 for 16 heads is 1 GB
    with no_init_weights():
        model = T5Gemma2ForConditionalGeneration(config).eval()
    read_checkpoint(folder, model, own_names)
    encoder, soft = model.model.encoder, None
    parts = {"text.encoder.layer": encoder.text_model.layers, "text.layer": model.model.decoder.layers}
    if pixels is not None:
        parts["image.layer"] = encoder.vision_tower.encoder.layers
    errors = [layers.watch(modules, lambda i, part=part: out / f"{part}{i}.npy") for part, modules in parts.items()]
    source = torch.tensor(source.astype(np.int64))[None]
    embedded = encoder.text_model.embed_tokens(source)
    if pixels is not None:
        soft = encoder.get_image_features(pixels, return_dict=True).pooler_output[0]
        embedded[source == IMAGE] = soft
        soft = soft.numpy()
    memory = encoder.text_model(inputs_embeds=embedded).last_hidden_state
    fed = torch.tensor([[2, *map(int, ids[:-1])]])
    logits = model(encoder_outputs=BaseModelOutput(last_hidden_state=memory), decoder_input_ids=fed).logits[0].numpy()
    return logits, soft, sum(errors, [])


def compare(ours, theirs, ids):
    """(worst relative error, first step whose id differs, first close call) of greedy decoding without the end."""
    errors = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    theirs = theirs.copy()
    theirs[:, [END, IMAGE]] = -np.inf         # ours never chooses the place of a picture
    best = np.sort(np.partition(theirs, -2)[:, -2:])
    differ, close = np.flatnonzero(theirs.argmax(1) != ids), np.flatnonzero(best[:, 1] - best[:, 0] < CLOSE)
    n = len(ids)
    return errors.max(), int(differ[0]) if len(differ) else n, int(close[0]) if len(close) else n


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--eval", default="build/examples/gemma-eval")
    ap.add_argument("--tokens", type=int, default=64)
    ap.add_argument("--source", type=int, default=600)
    ap.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    ap.add_argument("--picture", action="store_true")
    ap.add_argument("--tower-layers", type=int, default=27, help="fewer take less time")
    ap.add_argument("--keep", type=Path, help="write the checkpoint here and keep it; one that is there is used")
    ap.add_argument("--gguf", help="a GGUF made of the checkpoint, for our side")
    args = ap.parse_args()
    config, tensors, own_names = describe(args.picture and args.tower_layers)
    with tempfile.TemporaryDirectory() as tmp:
        folder, out, pixels = args.keep or Path(tmp) / "model", Path(tmp), None
        if not (folder / "tokenizer.json").exists():
            write_checkpoint(folder, config, tensors, args.dtype == "bf16")
        if args.picture:
            pixels = write_picture(out / "picture.png")
            prompt = ["--image", str(out / "picture.png"), "--prompt", "five words of any kind"]    # <unk>
        else:
            source = language.random_ids(TEXT["vocab_size"], args.source)
            source[5] = 256000
            prompt = ["--ids", ",".join(map(str, source))]
        subprocess.run([args.eval, "--model", args.gguf or folder, *prompt, "--generate", str(args.tokens), "--layers", "--out", tmp],
                       check=True, stdout=subprocess.DEVNULL)
        source, ids, ours = (np.load(out / f"{name}.npy") for name in ("ids", "generated", "logits"))
        theirs, soft, of_layers = reference(config, folder, own_names, source, ids, pixels, out)
        error, differ, close = compare(ours, theirs, ids)
        soft_error = layers.relative_error(np.load(out / "image-tokens.npy"), soft) if args.picture else 0.
    print(json.dumps({"source": len(source), "tokens": args.tokens, "dtype": args.dtype, "picture": args.picture, "tower_layers": args.tower_layers,
                      "soft_token_error": soft_error, "layers": len(of_layers), "worst_layer_error": max(of_layers),
                      "worst_relative_error": float(error), "identical_ids": differ,
                      "first_close_call": close, "different_ids": len(set(ids.tolist()))}))
    return 0 if max(error, soft_error, *of_layers) < LIMIT and differ >= close else 1


if __name__ == "__main__":
    sys.exit(main())
