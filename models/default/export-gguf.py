#!/usr/bin/env python3
"""Write a checkpoint's averaged weights as the GGUF pair that the plugin ships, and on request as a Hugging Face directory.

    export-gguf.py --from DIR/checkpoint.pt --out models/default [--hf DIR]

Q8_0 for the big matrices, F16 where llama.cpp does not quantize (altup, laurel, per_layer_model_proj, the picture
encoder), F32 for the rest. A checkpoint that has seen no pictures makes a pair without eyes; --vision lends it
train-vision.py's.
The Hugging Face directory holds exactly the values that the GGUF pair dequantizes to.
"""
import argparse
import json
import os
from pathlib import Path

import gguf
import numpy as np
import torch

import mobilenet_v5
import model
import tokenizer as tok

Q8, F16, F32 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.F32
TEMPLATE = """{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}
{% if m.content is string %}{{ m.content | trim }}{% else %}{% for part in m.content %}{% if part.type == 'audio' %}\
<audio_soft_token>{% elif part.type == 'image' %}<image_soft_token>{% else %}{{ part.text | trim }}{% endif %}{% endfor %}\
{% endif %}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


def kind(name, shape):
    if len(shape) == 1 or any(k in name for k in ("conv1d", "conv_dw", "coef", "router", "conv_stem")):
        return F32
    if any(k in name for k in ("altup", "laurel", "per_layer_model_proj", "mm.a.embedding", "mm.embedding")) or shape[-1] % 32:
        return F16
    return Q8


def quantize(weights):
    """{name: (type, stored array, the float32 values it stands for)}"""
    out = {}
    for name, w in weights.items():
        w = w.detach().float().numpy()
        t = kind(name, w.shape)
        data = gguf.quants.quantize(w, t)
        out[name] = t, data, gguf.quants.dequantize(data, t).reshape(w.shape).astype(np.float32)
    return out


def write_text(path, tensors, c, about):
    g = gguf.GGUFWriter(path, "gemma3n")
    g.add_type("model")
    g.add_name("gst-gemma default")
    g.add_description(about)
    g.add_license("cc-by-sa-3.0")
    g.add_block_count(c.layers)
    g.add_context_length(c.context)
    g.add_embedding_length(c.hidden)
    g.add_feed_forward_length([c.ffn] * c.layers)
    g.add_head_count(c.heads)
    g.add_head_count_kv(c.kv_heads)
    g.add_rope_freq_base(1e6)
    g.add_float32("gemma3n.rope.freq_base_swa", 1e4)
    g.add_layer_norm_rms_eps(1e-6)
    g.add_key_length(c.head_dim)
    g.add_value_length(c.head_dim)
    g.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    g.add_final_logit_softcapping(30.)
    g.add_sliding_window(c.window)
    g.add_uint32("gemma3n.altup.active_idx", 0)
    g.add_uint32("gemma3n.altup.num_inputs", c.altup)
    g.add_uint32("gemma3n.embedding_length_per_layer_input", c.ple)
    g.add_uint32("gemma3n.attention.shared_kv_layers", c.shared)
    g.add_uint32("gemma.alignment.layer", c.alignment[0])
    g.add_uint32("gemma.alignment.head", c.alignment[1])
    g.add_bool("gemma.translation.chained", False)      # speech is translated better without its transcript
    g.add_array("gemma3n.activation_sparsity_scale", [float(model.PHI[s]) for s in c.sparsity])
    g.add_array("gemma3n.attention.sliding_window_pattern", list(c.sliding))
    g.add_quantization_version(gguf.GGML_QUANT_VERSION)
    pieces = list(tok.Tokenizer().pieces())
    g.add_tokenizer_model("llama")
    g.add_tokenizer_pre("default")
    g.add_token_list([p[0] for p in pieces])
    g.add_token_scores([p[1] for p in pieces])
    g.add_token_types([p[2] for p in pieces])
    g.add_bos_token_id(tok.BOS)
    g.add_eos_token_id(tok.EOS)
    g.add_eot_token_id(tok.END_OF_TURN)
    g.add_unk_token_id(tok.UNK)
    g.add_pad_token_id(tok.PAD)
    g.add_add_bos_token(True)
    g.add_add_eos_token(False)
    g.add_add_space_prefix(False)
    g.add_chat_template(TEMPLATE)
    finish(g, tensors)


def write_mmproj(path, tensors, c, about):
    vision = any(map(mobilenet_v5.mine, tensors))
    g = gguf.GGUFWriter(path, "clip")
    g.add_type("mmproj")
    g.add_name("gst-gemma default")
    g.add_description(about)
    g.add_license("cc-by-sa-3.0")
    g.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    g.add_bool("clip.has_vision_encoder", vision)
    g.add_bool("clip.has_audio_encoder", True)
    for key, value in {"projection_dim": c.hidden, "embedding_length": c.a_hidden, "feed_forward_length": 4 * c.a_hidden,
                       "block_count": c.a_layers, "attention.head_count": c.a_heads, "num_mel_bins": model.MELS}.items():
        g.add_uint32(f"clip.audio.{key}", value)
    g.add_string("clip.audio.projector_type", "gemma3na")
    g.add_float32("clip.audio.attention.layer_norm_epsilon", 1e-6)
    g.add_bool("gemma.audio.pad_clip", False)           # trained on clips as long as they are, not padded to 188 tokens
    g.add_float32("gemma.audio.no_speech_threshold", .05)       # trained to end an answer at once where nothing is said
    if vision:
        for key, value in mobilenet_v5.gguf_keys(c.hidden).items():
            g.add_uint32(f"clip.vision.{key}", value)
        g.add_array("clip.vision.image_mean", [0., 0., 0.])
        g.add_array("clip.vision.image_std", [1., 1., 1.])
        g.add_string("clip.vision.projector_type", "gemma3nv")
        g.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    g.add_quantization_version(gguf.GGML_QUANT_VERSION)
    finish(g, {k: (t, mobilenet_v5.stored(k, data), w) for k, (t, data, w) in tensors.items()})


def finish(g, tensors):
    for name, (t, data, _) in tensors.items():
        g.add_tensor(name, data, raw_dtype=t)
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


# ---- Hugging Face -----------------------------------------------------------------------------------------

TEXT_NAMES = {
    "token_embd": "embed_tokens", "per_layer_token_embd": "embed_tokens_per_layer", "output_norm": "norm",
    "per_layer_model_proj": "per_layer_model_projection", "per_layer_proj_norm": "per_layer_projection_norm",
    "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
    "post_norm": "post_per_layer_input_norm", "inp_gate": "per_layer_input_gate", "proj": "per_layer_projection",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "laurel_l": "laurel.linear_left", "laurel_r": "laurel.linear_right", "laurel_post_norm": "laurel.post_laurel_norm",
    "altup_router": "altup.modality_router", "altup_router_norm": "altup.router_norm",
    "altup_correct_scale": "altup.correct_output_scale", "altup_predict_coef": "altup.prediction_coefs",
    "altup_correct_coef": "altup.correction_coefs"}
AUDIO_NAMES = {
    "ffn_norm": "ffw_layer_start.pre_layer_norm", "ffn_up": "ffw_layer_start.ffw_layer_1",
    "ffn_down": "ffw_layer_start.ffw_layer_2", "ffn_post_norm": "ffw_layer_start.post_layer_norm",
    "ffn_norm_1": "ffw_layer_end.pre_layer_norm", "ffn_up_1": "ffw_layer_end.ffw_layer_1",
    "ffn_down_1": "ffw_layer_end.ffw_layer_2", "ffn_post_norm_1": "ffw_layer_end.post_layer_norm",
    "ln1": "attention.pre_attn_norm", "ln2": "attention.post_norm", "attn_out": "attention.post",
    "attn_q": "attention.attn.q_proj", "attn_k": "attention.attn.k_proj", "attn_v": "attention.attn.v_proj",
    "linear_pos": "attention.attn.relative_position_embedding.pos_proj", "per_dim_scale": "attention.attn.per_dim_scale",
    "conv_norm": "lconv1d.pre_layer_norm", "conv_pw1": "lconv1d.linear_start", "conv_dw": "lconv1d.depthwise_conv1d",
    "norm_conv": "lconv1d.conv_norm", "conv_pw2": "lconv1d.linear_end", "layer_pre_norm": "norm"}
EMBED_NAMES = {"embedding": "embedding", "input_projection": "embedding_projection",
               "hard_emb_norm": "hard_embedding_norm", "soft_emb_norm": "soft_embedding_norm"}


def hf_name(name):
    parts = name.removesuffix(".weight").split(".")
    tail = "" if parts[-1] in ("per_dim_scale", "altup_correct_scale") else ".weight"
    if parts[:2] == ["a", "conv1d"]:
        return f"model.audio_tower.subsample_conv_projection.conv_{parts[2]}.{'norm' if len(parts) > 3 else 'conv'}.weight"
    if parts[:2] == ["a", "pre_encode"]:
        return "model.audio_tower.subsample_conv_projection.input_proj_linear.weight"
    if parts[:2] == ["a", "blk"]:
        return f"model.audio_tower.conformer.{parts[2]}.{AUDIO_NAMES[parts[3]]}{tail}"
    if parts[0] == "mm":
        return f"model.embed_{'audio' if parts[1] == 'a' else 'vision'}.{EMBED_NAMES[parts[-1]]}.weight"
    if parts[0] == "v":
        return "model.vision_tower.timm_model." + name.removeprefix("v.").replace("blk.", "blocks.", 1)
    if parts[0] == "blk":
        return f"model.language_model.layers.{parts[1]}.{TEXT_NAMES[parts[2]]}{tail}"
    return f"model.language_model.{TEXT_NAMES[parts[0]]}.weight"


def hf_tensors(values):
    out = {}
    for name, w in values.items():
        w = torch.from_numpy(np.ascontiguousarray(w))
        if name.startswith("altup_"):
            stem = "altup_projections" if name == "altup_proj.weight" else "altup_unembed_projections"
            out.update({f"model.language_model.{stem}.{i}.weight": w[i].contiguous() for i in range(len(w))})
        elif name == "per_layer_token_embd.weight":
            out[hf_name(name)] = w[:tok.TEXT_VOCAB].contiguous()
        else:
            out[hf_name(name)] = w
    return out


def hf_config(c):
    return {
        "architectures": ["Gemma3nForConditionalGeneration"], "model_type": "gemma3n", "dtype": "float32",
        "audio_soft_tokens_per_image": 188, "vision_soft_tokens_per_image": 256, "tie_word_embeddings": True,
        "boi_token_id": tok.BOI, "eoi_token_id": tok.EOI, "image_token_id": tok.IMAGE,
        "boa_token_id": tok.BOA, "eoa_token_id": tok.EOA, "audio_token_id": tok.AUDIO,
        "eos_token_id": [tok.EOS, tok.END_OF_TURN],
        "text_config": {
            "model_type": "gemma3n_text", "hidden_size": c.hidden, "num_hidden_layers": c.layers,
            "intermediate_size": [c.ffn] * c.layers, "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads,
            "head_dim": c.head_dim, "vocab_size": c.vocab, "vocab_size_per_layer_input": tok.TEXT_VOCAB,
            "hidden_size_per_layer_input": c.ple, "laurel_rank": c.laurel, "num_kv_shared_layers": c.shared,
            "sliding_window": c.window, "max_position_embeddings": c.context, "altup_num_inputs": c.altup,
            "altup_active_idx": 0, "altup_correct_scale": True, "altup_coef_clip": 120.0, "rms_norm_eps": 1e-6,
            "rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": None, "final_logit_softcapping": 30.0,
            "activation_sparsity_pattern": list(c.sparsity), "hidden_activation": "gelu_pytorch_tanh",
            "layer_types": ["sliding_attention" if s else "full_attention" for s in c.sliding],
            "pad_token_id": tok.PAD, "bos_token_id": tok.BOS, "eos_token_id": tok.EOS},
        "audio_config": {
            "model_type": "gemma3n_audio", "hidden_size": c.a_hidden, "conf_num_hidden_layers": c.a_layers,
            "conf_num_attention_heads": c.a_heads, "sscp_conv_channel_size": list(c.a_conv), "input_feat_size": model.MELS,
            "vocab_size": tok.RESERVED, "vocab_offset": tok.TEXT_VOCAB + tok.RESERVED},
        "vision_config": {
            "model_type": "gemma3n_vision", "vocab_size": tok.RESERVED, "vocab_offset": tok.TEXT_VOCAB,
            "architecture": "mobilenetv5_300m_enc", "hidden_size": mobilenet_v5.WIDTH, "do_pooling": False,
            "rms_norm_eps": 1e-6, "model_args": {"stem_size": mobilenet_v5.STEM, "fix_stem": True,
                                                 "block_args": [list(stage) for stage in mobilenet_v5.STAGES]}}}


def tokenizer_json(t):
    """The same tokenizer in the tokenizers library's form: every split of a piece is a merge, best piece first."""
    pieces = list(t.pieces())
    vocab = {p[0]: i for i, p in enumerate(pieces)}
    merges = []
    for i, (p, score, kind_) in enumerate(pieces):
        if kind_ == 1 or (kind_ == 4 and set(p) == {"▁"}):
            merges += [(-score, i, vocab[p[:k]], p[:k], p[k:]) for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
    added = [{"id": i, "content": p, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": kind_ == 3} for i, (p, _, kind_) in enumerate(pieces) if kind_ in (2, 3, 4)]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {"<bos>": {"id": "<bos>", "ids": [tok.BOS], "tokens": ["<bos>"]}}},
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                         {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": vocab, "merges": [[m[3], m[4]] for m in sorted(merges)]}}


def write_hf(out, values, c):
    from safetensors.torch import save_file
    out.mkdir(parents=True, exist_ok=True)
    save_file(hf_tensors(values), out / "model.safetensors", metadata={"format": "pt"})
    t = tok.Tokenizer()
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>",
             "boa_token": "<start_of_audio>", "eoa_token": "<end_of_audio>", "audio_token": "<audio_soft_token>"}
    files = {
        "config.json": hf_config(c),
        "generation_config.json": {"bos_token_id": tok.BOS, "eos_token_id": [tok.EOS, tok.END_OF_TURN],
                                   "pad_token_id": tok.PAD, "do_sample": False},
        "tokenizer.json": tokenizer_json(t),
        "tokenizer_config.json": {
            "tokenizer_class": "GemmaTokenizer", "processor_class": "Gemma3nProcessor", "add_bos_token": True,
            "add_eos_token": False, "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
            "clean_up_tokenization_spaces": False, "spaces_between_special_tokens": False, **named,
            "extra_special_tokens": named},
        "preprocessor_config.json": {
            "processor_class": "Gemma3nProcessor", "feature_extractor_type": "Gemma3nAudioFeatureExtractor",
            "image_processor_type": "SiglipImageProcessorFast", "do_resize": True, "size": {"height": mobilenet_v5.SIDE, "width": mobilenet_v5.SIDE},
            "do_rescale": True, "do_normalize": False, "feature_size": 128, "sampling_rate": 16000, "frame_length": 512,
            "hop_length": 160, "fft_length": 1024, "fft_overdrive": True, "min_frequency": 125.0, "max_frequency": 7600.0,
            "preemphasis": 0.97, "preemphasis_htk_flavor": True, "mel_floor": 1e-05, "dither": 0.0,
            "input_scale_factor": 1.0, "padding_side": "right", "padding_value": 0.0, "per_bin_mean": None,
            "per_bin_stddev": None, "return_attention_mask": False},
        "processor_config.json": {"processor_class": "Gemma3nProcessor", "audio_seq_length": 188, "image_seq_length": 256}}
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, ensure_ascii=False, indent=1))
    (out / "chat_template.jinja").write_text(TEMPLATE)
    (out / "tokenizer.model").write_bytes(t.blob)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--from", dest="source", type=Path, default=Path.home() / ".cache/gst-gemma/train/checkpoint.pt",
                    help="train.py's checkpoint; 'random' for fresh weights")
    ap.add_argument("--vision", type=Path, help="train-vision.py's checkpoint, for a --from without a picture encoder")
    ap.add_argument("--raw", action="store_true", help="the newest weights instead of their running average")
    ap.add_argument("--before", type=Path, help="the checkpoint of a training before it, whose averages count for two fifths")
    ap.add_argument("--out", type=Path, default=Path(__file__).parent)
    ap.add_argument("--hf", type=Path, help="also write a Hugging Face directory")
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    about = "Gemma 3n's architecture, trained on telephone prompts and on stamps of Tux Paint; see NOTICE"
    if str(a.source) == "random":
        c = model.Config()
        weights = model.init(c) | mobilenet_v5.init(c.hidden, tok.RESERVED)
    else:
        state = torch.load(a.source, weights_only=True, map_location="cpu")
        c = model.Config.of(state["config"])
        weights = state["weights" if a.raw else "average"]
        about += f" (step {state['step']})"
    if a.before:
        earlier = torch.load(a.before, weights_only=True, map_location="cpu")["average"]
        weights = {k: .6 * v + .4 * earlier[k] for k, v in weights.items()}
    if a.vision and not any(map(mobilenet_v5.mine, weights)):
        weights = weights | {k: v for k, v in torch.load(a.vision, weights_only=True)["average"].items() if mobilenet_v5.mine(k)}
    tensors = quantize({k: v for k, v in weights.items() if not k.startswith("ctc")})
    total = 0
    for stem, write, projector in (("gemma3n-default", write_text, False), ("mmproj-gemma3n-default", write_mmproj, True)):
        path = a.out / f"{stem}.gguf"
        write(path.with_suffix(".part"), {k: v for k, v in tensors.items() if k.startswith(("a.", "v.", "mm.")) == projector}, c, about)
        os.replace(path.with_suffix(".part"), path)
        total += path.stat().st_size
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    if a.hf:
        write_hf(a.hf, {k: v[2] for k, v in tensors.items()}, c)
        print(f"{a.hf}: Hugging Face directory")
    print(f"{sum(v[2].size for v in tensors.values()) / 1e6:.2f} M parameters, {total / 1e6:.2f} MB; gguf, torch {torch.__version__}")


if __name__ == "__main__":
    main()
