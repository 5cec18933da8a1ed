#!/usr/bin/env python3
"""A T5Gemma 2 directory of Hugging Face as one GGUF, for which there is no other converter.

    convert-t5gemma2.py DIRECTORY OUT.gguf [--outtype f32|f16|bf16|q8_0|q4_0]

Needs numpy. The file is llama.cpp's in everything that it has names for: tokenizer.ggml.*, and of the two networks the
tensors of a Gemma 3 behind "enc." and "dec.". What is ours:

    general.architecture                "t5gemma2"
    t5gemma2.enc.KEY, t5gemma2.dec.KEY  of encoder and decoder, KEY as after "gemma3.": block_count, context_length,
                                        embedding_length, feed_forward_length, attention.head_count,
                                        attention.head_count_kv, attention.key_length, attention.value_length,
                                        attention.sliding_window (of the encoder: both sides together),
                                        attention.sliding_window_pattern (a flag for each layer),
                                        attention.layer_norm_rms_epsilon, rope.freq_base, rope.freq_base_swa,
                                        rope.scaling.type, rope.scaling.factor, final_logit_softcapping; and
                                        attention.scale, what q k is multiplied by
    t5gemma2.decoder_start_token_id, .boi_token_id, .eoi_token_id, .image_token_id
    token_embd.weight                   of encoder, decoder and head
    eoi_embd.weight                     the row of eoi_token_id, which is not scaled
    enc.output_norm.weight, enc.blk.N.*, dec.output_norm.weight, dec.blk.N.*
                                        *: attn_norm, attn_q, attn_k, attn_v, attn_q_norm, attn_k_norm, attn_output,
                                        post_attention_norm, ffn_norm, ffn_gate, ffn_up, ffn_down, post_ffw_norm

What reads pictures is in the same file, under the names and keys that it has in an mmproj of Gemma 3:

    clip.has_vision_encoder, clip.projector_type ("gemma3"), clip.vision.*
    v.patch_embd, v.position_embd, v.blk.N.*, v.post_ln, mm.soft_emb_norm
    mm.input_projection (stored [inputs][outputs])

RMS norms are stored with the 1 that the network adds, as those of Gemma 3 are. --outtype is of the matrices; rows that
are no whole blocks of it become f16, and so does mm.input_projection. What patches begin with is f32.

A tensor that is missing, or that no T5Gemma 2 has, ends it with a message that names it. What is tied to another
tensor, can be computed, or is SigLIP's own head, which T5Gemma 2 does not use, is left out.
"""
import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent))   # for who imports this from elsewhere
import gguf_writer as gguf  # noqa: E402

TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
         "bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0,
         "q4_0": gguf.GGMLQuantizationType.Q4_0}
LAYER = {
    "pre_self_attn_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output", "post_self_attn_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "post_feedforward_layernorm": "post_ffw_norm",
}
ONCE = {"encoder.embed_tokens.weight": "token_embd.weight", "encoder.embed_tokens.eoi_embedding": "eoi_embd.weight",
        "encoder.norm.weight": "enc.output_norm.weight", "decoder.norm.weight": "dec.output_norm.weight"}
TOWER = {"embeddings.patch_embedding": "v.patch_embd", "embeddings.position_embedding": "v.position_embd",
         "post_layernorm": "v.post_ln"}
TOWER_LAYER = {
    "layer_norm1": "ln1", "layer_norm2": "ln2", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.out_proj": "attn_out", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
}
PROJECTION = "mm.input_projection.weight"
PROJECTOR = {"mm_input_projection_weight": PROJECTION, "mm_soft_emb_norm.weight": "mm.soft_emb_norm.weight"}
UNUSED = re.compile(r"lm_head\..+|decoder\.embed_tokens\..+|.+\.(inv_freq|position_ids)|.*vision_tower\..*head\..+")
DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6

# ---- tensors --------------------------------------------------------------------------------------------------------


def tower_name(name):
    part, _, kind = name.rpartition(".")
    found = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", part)
    if found and found[2] in TOWER_LAYER:
        return f"v.blk.{found[1]}.{TOWER_LAYER[found[2]]}.{kind}"
    return f"{TOWER[part]}.{kind}" if part in TOWER else None


def gguf_name(name):
    """None: there is no such tensor."""
    name = name.removeprefix("model.").replace("encoder.text_model.", "encoder.")
    if name in ONCE:
        return ONCE[name]
    found = re.fullmatch(r"(?:encoder\.)?multi_modal_projector\.(.+)", name)
    if found:
        return PROJECTOR.get(found[1])
    found = re.fullmatch(r"(?:encoder\.)?vision_tower\.(?:vision_model\.)?(.+)", name)
    if found:
        return tower_name(found[1])
    found = re.fullmatch(r"(enc|dec)oder\.layers\.(\d+)\.(.+)\.weight", name)
    return found and found[3] in LAYER and f"{found[1]}.blk.{found[2]}.{LAYER[found[3]]}.weight"


def find_tensors(directory):
    """[(name in the GGUF, name, path, where its bytes begin, entry of the header)]"""
    found = []
    for path in sorted(directory.glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        for name, entry in header.items():
            wanted = gguf_name(name)
            if name == "__metadata__" or not wanted and UNUSED.fullmatch(name.removeprefix("model.")):
                continue
            if not wanted:
                sys.exit(f"{path}: tensor {name} is none of T5Gemma 2's")
            if entry["dtype"] not in DTYPES:
                sys.exit(f"{path}: tensor {name} is of {entry['dtype']}; {', '.join(DTYPES)} are supported")
            found.append((wanted, name, path, 8 + length, entry))
    return found


def read_tensor(name, path, begin, entry):
    """float32"""
    first, end = entry["data_offsets"]
    dtype, n = DTYPES[entry["dtype"]], int(np.prod(entry["shape"]))
    if end - first != n * dtype.itemsize or path.stat().st_size < begin + end:
        sys.exit(f"{path}: tensor {name} of shape {entry['shape']} has other than {n * dtype.itemsize} bytes")
    x = np.memmap(path, dtype, "r", begin + first, n)
    x = (x.astype(np.uint32) << 16).view(np.float32) if entry["dtype"] == "BF16" else x.astype(np.float32)
    return x.reshape(entry["shape"])


def type_of(name, x, outtype):
    if x.ndim == 1 or name.startswith(("v.patch_embd", "v.position_embd")):
        return TYPES["f32"]
    return TYPES["f16"] if name == PROJECTION and outtype != "f32" else TYPES[outtype]


def wanted_names(config, pictures):
    """{name in the GGUF: in the directory}, as transformers calls it"""
    out = {ours: "model." + name for name, ours in ONCE.items()}
    for part, network in ("enc", config["encoder"]["text_config"]), ("dec", config["decoder"]):
        for i in range(network.get("num_hidden_layers", 26)):
            out |= {f"{part}.blk.{i}.{ours}.weight": f"model.{part}oder.layers.{i}.{name}.weight"
                    for name, ours in LAYER.items()}
    if pictures:
        tower = "model.encoder.vision_tower.vision_model."
        out |= {ours: "model.encoder.multi_modal_projector." + name for name, ours in PROJECTOR.items()}
        out |= {f"{ours}.{kind}": f"{tower}{name}.{kind}" for name, ours in TOWER.items() for kind in ("weight", "bias")
                if (ours, kind) != ("v.position_embd", "bias")}
        for i in range(config["encoder"].get("vision_config", {}).get("num_hidden_layers", 12)):
            out |= {f"v.blk.{i}.{ours}.{kind}": f"{tower}encoder.layers.{i}.{name}.{kind}"
                    for name, ours in TOWER_LAYER.items() for kind in ("weight", "bias")}
    return out


def check_names(directory, config, names):
    """Also what reads pictures is whole, or not there at all."""
    wanted = wanted_names(config, any(ours.startswith(("v.", "mm.")) for ours in names))
    missing = [theirs for ours, theirs in wanted.items() if ours not in names]
    if missing:
        others = f" and {len(missing) - 1} others are" if len(missing) > 1 else " is"
        sys.exit(f"{directory}: tensor {missing[0]}{others} missing")
    for ours, theirs in names.items():
        if ours not in wanted:
            sys.exit(f"{directory}: tensor {theirs} is of no layer that config.json has")


def add_tensors(out, directory, outtype, config):
    """Returns whether there was what reads pictures."""
    found = find_tensors(directory)
    check_names(directory, config, {wanted: name for wanted, name, *_ in found})
    for name, *where in found:
        x = read_tensor(*where)
        kind = type_of(name, x, outtype)
        if x.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = TYPES["f16"]
        if name.endswith("norm.weight"):
            x = x + np.float32(1)
        out.add_tensor(name, gguf.quantize(x, kind), raw_dtype=kind)
    return PROJECTION in {name for name, *_ in found}


# ---- metadata -------------------------------------------------------------------------------------------------------


def add_network(out, part, config):
    """What a config.json may leave out has the values of transformers' T5Gemma2TextConfig."""
    key = f"t5gemma2.{part}."
    n, head_dim = config.get("num_hidden_layers", 26), config.get("head_dim", 256)
    period = config.get("sliding_window_pattern", 6)
    types = config.get("layer_types") or [
        "sliding_attention" if (i + 1) % period else "full_attention" for i in range(n)]
    rope = config.get("rope_parameters") or {}
    full = {**(rope.get("full_attention") or {}), **(config.get("rope_scaling") or {})}
    sliding = rope.get("sliding_attention") or {}
    heads = config.get("num_attention_heads", 8)
    for name, value in {
            "block_count": n, "context_length": config.get("max_position_embeddings", 131072),
            "embedding_length": config.get("hidden_size", 2304),
            "feed_forward_length": config.get("intermediate_size", 9216),
            "attention.head_count": heads, "attention.head_count_kv": config.get("num_key_value_heads", 4),
            "attention.key_length": head_dim, "attention.value_length": head_dim,
            "attention.sliding_window": config.get("sliding_window", 4096)}.items():
        out.add_uint32(key + name, value)
    out.add_array(key + "attention.sliding_window_pattern", [t == "sliding_attention" for t in types])
    for name, value in {
            "attention.scale": config.get("query_pre_attn_scalar", 256) ** -.5,
            "attention.layer_norm_rms_epsilon": config.get("rms_norm_eps", 1e-6),
            "rope.freq_base": full.get("rope_theta", config.get("rope_theta", 1e6)),
            "rope.freq_base_swa": sliding.get("rope_theta", config.get("rope_local_base_freq", 1e4)),
            "final_logit_softcapping": config.get("final_logit_softcapping") or 0.}.items():
        out.add_float32(key + name, float(value))
    if full.get("rope_type", "default") == "linear":
        out.add_string(key + "rope.scaling.type", "linear")
        out.add_float32(key + "rope.scaling.factor", float(full["factor"]))


def add_pictures(out, config, directory):
    """What a config.json may leave out has the values of transformers' SiglipVisionConfig."""
    vision, processor = config["encoder"].get("vision_config", {}), {}
    for name in "processor_config.json", "preprocessor_config.json":
        if (directory / name).exists():
            read = json.loads((directory / name).read_text())
            processor.update(read.get("image_processor") or read)
    out.add_bool("clip.has_vision_encoder", True)
    out.add_string("clip.projector_type", "gemma3")
    for name, value in {
            "projection_dim": config["encoder"]["text_config"].get("hidden_size", 2304),
            "image_size": vision.get("image_size", 224), "patch_size": vision.get("patch_size", 16),
            "embedding_length": vision.get("hidden_size", 768),
            "feed_forward_length": vision.get("intermediate_size", 3072),
            "block_count": vision.get("num_hidden_layers", 12),
            "attention.head_count": vision.get("num_attention_heads", 12)}.items():
        out.add_uint32("clip.vision." + name, value)
    out.add_float32("clip.vision.attention.layer_norm_epsilon", vision.get("layer_norm_eps", 1e-6))
    for name in "image_mean", "image_std":
        out.add_array("clip.vision." + name, [float(x) for x in processor.get(name) or [.5] * 3])


def add_tokenizer(out, directory):
    """SentencePiece's scores are the order of the merges: the first that makes a piece ranks it."""
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    model = tokenizer["model"]
    size = max([*model["vocab"].values(), *(t["id"] for t in tokenizer["added_tokens"])]) + 1
    tokens, scores, types = [f"[PAD{i}]" for i in range(size)], [0.] * size, [5] * size     # 5: unused
    for piece, i in model["vocab"].items():
        tokens[i], types[i] = piece, BYTE if re.fullmatch(r"<0x[0-9A-F]{2}>", piece) else NORMAL
    for rank, merge in enumerate(model["merges"]):
        left, right = merge if isinstance(merge, list) else merge.split(" ", 1)
        i = model["vocab"][left + right]
        scores[i] = scores[i] or -1. - rank
    for token in tokenizer["added_tokens"]:
        i = token["id"]
        tokens[i], types[i] = token["content"], CONTROL if token["special"] else USER
    if model.get("unk_token") in model["vocab"]:
        types[model["vocab"][model["unk_token"]]] = UNKNOWN
    out.add_tokenizer_model("llama")
    out.add_token_list([t.encode() for t in tokens])
    out.add_token_scores(scores)
    out.add_token_types(types)
    out.add_add_space_prefix(False)


def add_ids(out, config, generation):
    encoder = config["encoder"]

    def find(key, otherwise):
        value = next((c[key] for c in (generation, config, config["decoder"]) if c.get(key) is not None), otherwise)
        return value[0] if isinstance(value, list) else value

    bos = find("bos_token_id", 2)
    out.add_bos_token_id(bos)
    out.add_eos_token_id(find("eos_token_id", 1))
    out.add_pad_token_id(find("pad_token_id", 0))
    out.add_uint32("t5gemma2.decoder_start_token_id", find("decoder_start_token_id", bos))
    out.add_uint32("t5gemma2.boi_token_id", encoder.get("boi_token_index", 255999))
    out.add_uint32("t5gemma2.eoi_token_id", encoder.get("eoi_token_index", 256000))
    out.add_uint32("t5gemma2.image_token_id", config.get("image_token_index", 256001))


def write(path, directory, outtype, describe=lambda out: None):
    """@describe adds to the writer what else the file is to say of itself."""
    config = json.loads((directory / "config.json").read_text())
    if config.get("model_type") != "t5gemma2":
        sys.exit(f"{directory}: model_type is {config.get('model_type')!r}; 't5gemma2' is supported")
    generation = directory / "generation_config.json"
    out = gguf.GGUFWriter(path, "t5gemma2")
    describe(out)
    add_network(out, "enc", config["encoder"]["text_config"])
    add_network(out, "dec", config["decoder"])
    add_ids(out, config, json.loads(generation.read_text()) if generation.exists() else {})
    add_tokenizer(out, directory)
    if add_tensors(out, directory, outtype, config):
        add_pictures(out, config, directory)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("directory", type=Path)
    ap.add_argument("out")
    ap.add_argument("--outtype", choices=TYPES, default="bf16")
    args = ap.parse_args()
    write(args.out, args.directory, args.outtype)


if __name__ == "__main__":
    main()
