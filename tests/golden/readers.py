"""Small files of each format as gguf-py and safetensors write them, their values, and pairs of tensor names.

    types.gguf          one tensor of each type that we compute with, one that we do not (MXFP4), one stacked, and a
                        key of each type of value
    types.safetensors   F32, F16, BF16, and an I64
    NAME.npy            what the tensor stands for, by gguf-py
    names.txt           Hugging Face's name, GGUF's name. Hugging Face's come from transformers' modules; GGUF's from
                        gguf-py for the text model, for the rest from llama.cpp's converter (NAMES below)
"""
import re

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers.models.gemma3n.configuration_gemma3n import Gemma3nAudioConfig, Gemma3nTextConfig
from transformers.models.gemma3n.modeling_gemma3n import (Gemma3nAudioEncoder, Gemma3nMultimodalEmbedder,
                                                          Gemma3nTextModel)

SEED = 11
Q = gguf.GGMLQuantizationType
TYPES = {"f32": Q.F32, "f16": Q.F16, "bf16": Q.BF16, "q8_0": Q.Q8_0, "q4_0": Q.Q4_0, "q5_1": Q.Q5_1,
         "mxfp4": Q.MXFP4}
COLS, ROWS = 96, 5

NAMES = {
    "attention.attn.k_proj.weight": "attn_k.weight", "attention.attn.per_dim_scale": "per_dim_scale",
    "attention.attn.q_proj.weight": "attn_q.weight", "attention.attn.v_proj.weight": "attn_v.weight",
    "attention.attn.relative_position_embedding.pos_proj.weight": "linear_pos.weight",
    "attention.post.weight": "attn_out.weight", "attention.post_norm.weight": "ln2.weight",
    "attention.pre_attn_norm.weight": "ln1.weight",
    "ffw_layer_start.ffw_layer_1.weight": "ffn_up.weight", "ffw_layer_start.ffw_layer_2.weight": "ffn_down.weight",
    "ffw_layer_start.pre_layer_norm.weight": "ffn_norm.weight",
    "ffw_layer_start.post_layer_norm.weight": "ffn_post_norm.weight",
    "ffw_layer_end.ffw_layer_1.weight": "ffn_up_1.weight", "ffw_layer_end.ffw_layer_2.weight": "ffn_down_1.weight",
    "ffw_layer_end.pre_layer_norm.weight": "ffn_norm_1.weight",
    "ffw_layer_end.post_layer_norm.weight": "ffn_post_norm_1.weight",
    "lconv1d.conv_norm.weight": "norm_conv.weight", "lconv1d.depthwise_conv1d.weight": "conv_dw.weight",
    "lconv1d.linear_end.weight": "conv_pw2.weight", "lconv1d.linear_start.weight": "conv_pw1.weight",
    "lconv1d.pre_layer_norm.weight": "conv_norm.weight", "norm.weight": "layer_pre_norm.weight",
    "subsample_conv_projection.conv_0.conv.weight": "a.conv1d.0.weight",
    "subsample_conv_projection.conv_0.norm.weight": "a.conv1d.0.norm.weight",
    "subsample_conv_projection.conv_1.conv.weight": "a.conv1d.1.weight",
    "subsample_conv_projection.conv_1.norm.weight": "a.conv1d.1.norm.weight",
    "subsample_conv_projection.input_proj_linear.weight": "a.pre_encode.out.weight",
    "embedding.weight": "embedding.weight", "embedding_projection.weight": "input_projection.weight",
    "hard_embedding_norm.weight": "hard_emb_norm.weight", "soft_embedding_norm.weight": "soft_emb_norm.weight",
}
VISION = {
    "blocks.0.0.conv_exp.weight": "blk.0.0.conv_exp.weight", "blocks.2.10.attn.key.proj.weight":
    "blk.2.10.attn.key.proj.weight", "blocks.3.38.layer_scale.gamma": "blk.3.38.layer_scale.gamma",
    "conv_stem.conv.bias": "conv_stem.conv.bias", "msfa.ffn.pw_exp.bn.weight": "msfa.ffn.pw_exp.bn.weight",
}


def values(name, shape):
    seed = [SEED, *name.encode()]
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def write_gguf(out):
    w = gguf.GGUFWriter(out / "types.gguf", "gemma3n")
    w.add_uint8("u8", 200)
    w.add_int8("i8", -100)
    w.add_uint16("u16", 60000)
    w.add_int16("i16", -30000)
    w.add_uint32("u32", 4000000000)
    w.add_int32("i32", -2000000000)
    w.add_uint64("u64", 1 << 62)
    w.add_int64("i64", -(1 << 62))
    w.add_float32("f32", 0.1)
    w.add_float64("f64", 0.1)
    w.add_bool("yes", True)
    w.add_bool("no", False)
    w.add_string("text", "añb\n▁")
    w.add_array("numbers", [1, -2, 3])
    w.add_array("floats", [0.5, -0.25])
    w.add_array("strings", ["", "<0x41>", "ñ▁"])
    for name, kind in TYPES.items():
        data = gguf.quantize(values(name, (ROWS, COLS)), kind)
        w.add_tensor(name, data, raw_dtype=kind)
        if name != "mxfp4":
            np.save(out / f"{name}.npy", gguf.dequantize(data, kind).astype(np.float32))
    stack = values("stack", (3, 4, 8)).astype(np.float16)
    w.add_tensor("altup_proj.weight", stack)
    np.save(out / "stack.npy", stack.astype(np.float32).reshape(12, 8))
    w.add_tensor("blk.0.gamma", values("gamma", (1, 6, 1, 1)))
    np.save(out / "gamma.npy", values("gamma", (1, 6)))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_safetensors(out):
    kinds = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    tensors = {k: torch.from_numpy(values(k, (ROWS, COLS))).to(d) for k, d in kinds.items()}
    tensors["model.language_model.altup_projections.1.weight"] = torch.from_numpy(
        values("stack", (3, 4, 8))[1]).to(torch.float16)
    tensors["ids"] = torch.arange(6).reshape(2, 3)
    save_file(tensors, out / "types.safetensors", metadata={"format": "pt"})


def text_pairs():
    config = Gemma3nTextConfig(num_hidden_layers=2, num_kv_shared_layers=0)
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3N, 2)
    with torch.device("meta"):
        names = sorted(Gemma3nTextModel(config).state_dict())
    for name in names:
        stacked = re.fullmatch(r"altup_(unembed_)?projections\.(\d)\.weight", name)
        if stacked:
            yield name, f"altup_{'unembd_' if stacked[1] else ''}proj.{stacked[2]}.weight"
            continue
        full = "model." + name
        found = table.get_name(full, try_suffixes=(".weight",))
        if found:           # correct_output_scale has no suffix in Hugging Face's name
            yield name, found if found.endswith(".weight") else found + ".weight"


def name_pairs():
    for name, to in text_pairs():
        for prefix in ("model.language_model.", "language_model.model.", "model."):
            yield prefix + name, to
    audio = Gemma3nAudioConfig(conf_num_hidden_layers=2)
    with torch.device("meta"):
        tower = sorted(Gemma3nAudioEncoder(audio).state_dict())
        embedder = sorted(Gemma3nMultimodalEmbedder(audio, Gemma3nTextConfig()).state_dict())
    for name in tower:
        block = re.fullmatch(r"conformer\.(\d+)\.(.*)", name)
        if block and block[2] in NAMES:
            yield "model.audio_tower." + name, f"a.blk.{block[1]}.{NAMES[block[2]]}"
        elif name in NAMES:
            yield "model.audio_tower." + name, NAMES[name]
    for name in embedder:
        if name in NAMES:
            yield "model.embed_audio." + name, "mm.a." + NAMES[name]
            yield "model.embed_vision." + name, "mm." + NAMES[name]
    for name, to in VISION.items():
        yield "model.vision_tower.timm_model." + name, "v." + to


def make(out):
    write_gguf(out)
    write_safetensors(out)
    pairs = list(name_pairs())
    (out / "names.txt").write_text("".join(f"{a} {b}\n" for a, b in pairs))
    return {"seed": SEED, "pairs": len(pairs)}
