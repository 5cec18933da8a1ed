#!/usr/bin/env python3
"""Prove that model.py computes what transformers computes: same weights, same sound and picture, same tokens, float32.

    check-equality.py HF_DIR [WAV]

HF_DIR comes from export-gguf.py --hf. Fails if mel, audio or picture tokens, or logits differ by more than 1e-4 (norm of
the difference over norm of the reference), padded in a batch or alone.
"""
import argparse
import enum
import importlib.machinery
import importlib.metadata
import json
import sys
import types

import numpy as np
import torch
from safetensors.torch import load_file


def without_torchvision():
    """transformers builds a timm tower even if no picture is given, and timm wants torchvision's names at import."""
    import transformers.utils
    from transformers.utils import import_utils
    if import_utils.is_torchvision_available():
        return

    class Names(types.ModuleType):
        __path__ = []

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    for name in ("", ".ops", ".ops.misc", ".transforms", ".transforms.functional", ".models", ".datasets",
                 ".models.feature_extraction", ".utils"):
        m = Names("torchvision" + name)
        m.__spec__ = importlib.machinery.ModuleSpec(m.__name__, None, is_package=True)
        sys.modules[m.__name__] = m
        parent, _, leaf = m.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, m)
    mode = enum.Enum("InterpolationMode", "NEAREST LANCZOS BILINEAR BICUBIC BOX HAMMING", start=0)
    for name in ("torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name].InterpolationMode = mode
    import_utils.is_timm_available = transformers.utils.is_timm_available = lambda: True
    import_utils.BACKENDS_MAPPING["timm"] = (lambda: True, "")


def narrow_mobilenet(directory):
    """transformers' configuration of @directory, and a timm that builds its picture encoder: blocks come as timm's
    strings, and the fused features may have another width than 2048, which timm has no argument for."""
    import timm.models.mobilenetv5 as timm_model
    from timm.models._efficientnet_builder import decode_arch_def
    config = AutoConfig.from_pretrained(directory)
    config.vision_config.model_args["block_args"] = decode_arch_def(config.vision_config.model_args["block_args"])
    adapter = timm_model.MobileNetV5MultiScaleFusionAdapter
    timm_model.MobileNetV5MultiScaleFusionAdapter = lambda **a: adapter(**a | {"out_chs": config.vision_config.hidden_size})
    return config


without_torchvision()
from transformers import AutoConfig  # noqa: E402
from transformers import Gemma3nForConditionalGeneration  # noqa: E402
from transformers.models.gemma3n.feature_extraction_gemma3n import Gemma3nAudioFeatureExtractor  # noqa: E402

import corpus  # noqa: E402
import importlib.util  # noqa: E402
import mel as melmod  # noqa: E402
import mobilenet_v5  # noqa: E402
import model  # noqa: E402
import tokenizer as tok  # noqa: E402
from pathlib import Path  # noqa: E402

spec = importlib.util.spec_from_file_location("export_gguf", Path(__file__).with_name("export-gguf.py"))
export = importlib.util.module_from_spec(spec)
spec.loader.exec_module(export)


def load(directory, c):
    """Our weights from a Hugging Face directory."""
    files, w = load_file(f"{directory}/model.safetensors"), {}
    seeing = any("vision_tower" in k for k in files)
    for name, shape in (model.shapes(c) | (mobilenet_v5.shapes(c.hidden, tok.RESERVED) if seeing else {})).items():
        if name.startswith("altup_"):
            stem = "altup_projections" if name == "altup_proj.weight" else "altup_unembed_projections"
            w[name] = torch.stack([files[f"model.language_model.{stem}.{i}.weight"] for i in range(c.altup - 1)])
        else:
            w[name] = files[export.hf_name(name)]
        if name == "per_layer_token_embd.weight":
            w[name] = torch.nn.functional.pad(w[name], (0, 0, 0, c.vocab - tok.TEXT_VOCAB))
        assert tuple(w[name].shape) == shape, name
    return w


def relative(a, b):
    return float((a - b).norm() / b.norm())


def check_picture(hf, w, c, tk):
    """-> {what: relative difference}"""
    worst, side = {}, mobilenet_v5.SIDE
    pixels = torch.rand(2, side // 8, side // 8, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)
    pixels = (pixels + .1 * torch.rand(2, side, side, 3)).clamp(max=1)
    for size in (side, 2 * side):
        x = torch.nn.functional.interpolate(pixels.permute(0, 3, 1, 2), (size, size), mode="bilinear")
        ref = hf.model.vision_tower(x).last_hidden_state.permute(0, 2, 3, 1)
        worst[f"tower {size}"] = relative(mobilenet_v5.tower(x.permute(0, 2, 3, 1).contiguous(), w), ref)
    rows = model.soft_tokens(mobilenet_v5.tower(pixels, w).flatten(1, 2), w, "mm.")
    picture = pixels.permute(0, 3, 1, 2).contiguous()
    worst["picture rows"] = relative(rows, hf.model.get_image_features(picture).pooler_output)

    before, (given, reply) = tk.before(what="image"), tk.after("Un perro.", "image", corpus.instruction("describe", None, "es"))
    n = rows.shape[1]
    ids = torch.tensor(before + [tok.IMAGE] * n + given + reply)
    ref = hf(input_ids=ids[None], pixel_values=picture[:1], attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits[0]
    # as training computes it: what precedes the instruction first, then the rest
    first, cache = len(before) + n, {}
    zero = torch.zeros(n, dtype=torch.long)
    e, pli = model.embed(ids[None, :first], rows[0], (zero, torch.arange(len(before), first)), w, c)
    start = model.forward(e, pli, w, c, cache=cache)
    end = model.hard_tokens(torch.tensor([tok.EOI - tok.TEXT_VOCAB]), w, "mm.")
    e, pli = model.embed(ids[None, first:], end, (zero[:1], zero[:1]), w, c)
    worst["picture logits"] = relative(torch.cat([start, model.forward(e, pli, w, c, cache=cache, past=first)], 1)[0], ref)
    return worst


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir")
    ap.add_argument("wav", nargs="?", help="16 kHz mono 16 bit; default: noise and a chirp")
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(a.seed)
    c = model.Config()
    w = load(a.dir, c)
    hf = Gemma3nForConditionalGeneration.from_pretrained(a.dir, config=narrow_mobilenet(a.dir), dtype=torch.float32, attn_implementation="eager").eval()
    if a.wav:
        import scipy.io.wavfile
        x = torch.from_numpy(scipy.io.wavfile.read(a.wav)[1].astype(np.float32) / 32768)
    else:
        t = torch.arange(60000) / 16000
        x = .3 * torch.sin(2 * torch.pi * (200 + 400 * t) * t) * torch.rand(60000) + .01 * torch.randn(60000)
    worst = {}

    extractor = Gemma3nAudioFeatureExtractor(return_attention_mask=True, **{
        k: v for k, v in json.load(open(f"{a.dir}/preprocessor_config.json")).items()
        if k in ("feature_size", "sampling_rate", "padding_value", "fft_overdrive", "preemphasis", "mel_floor")})
    feats = extractor(x.numpy(), return_tensors="pt")
    m = melmod.log_mel(x)
    worst["mel"] = relative(m, feats["input_features"][0])

    # in a batch beside a longer clip
    both = torch.zeros(2, len(m) + 120, model.MELS)
    both[0, :len(m)], both[1] = m, torch.randn(len(m) + 120, model.MELS) * 3 - 5
    ours = model.encode(both, w, c)[0][0, :model.n_tokens(len(m))]
    ref = hf.model.audio_tower(m[None], torch.zeros(1, len(m), dtype=torch.bool)).last_hidden_state[0]
    assert len(ref) == len(ours), (len(ref), len(ours))
    worst["audio tower"] = relative(ours, ref)
    rows = model.soft_tokens(ours, w)
    worst["soft tokens"] = relative(rows, hf.model.embed_audio(inputs_embeds=ref[None])[0])

    tk = tok.Tokenizer()
    given, reply = tk.after("Please enter your password followed by the pound key. " * 12)
    before = tk.before(corpus.instruction("chain", "es", "en"))
    ids = torch.tensor(before + [tok.AUDIO] * len(rows) + given + reply)
    assert len(ids) > c.window, "long enough to see the sliding window"
    out = hf(input_ids=ids[None], input_features=m[None], input_features_mask=torch.ones(1, len(m), dtype=torch.bool),
             attention_mask=torch.ones(1, len(ids), dtype=torch.long)) if len(rows) == 188 else None
    if out is None:                             # the reference pads a clip to 188 tokens; give it ours as embeddings
        e = hf.model.get_input_embeddings()(ids.clamp(max=tok.TEXT_VOCAB - 1))
        hard = hf.model.embed_audio(input_ids=torch.tensor([[tok.EOA]]))[0, 0]
        e[ids == tok.EOA], e[ids == tok.AUDIO] = hard, rows
        pli = hf.model.language_model.get_per_layer_inputs(torch.where(ids < tok.TEXT_VOCAB, ids, 0)[None])
        h = hf.model.language_model(inputs_embeds=e[None], per_layer_inputs=pli).last_hidden_state
        logits = hf.lm_head(h)
        ref = (30 * torch.tanh(logits / 30))[0]
    else:
        ref = out.logits[0]
    audio_at = torch.arange(len(before), len(before) + len(rows) + 1)
    every = torch.cat([rows, model.hard_tokens(torch.tensor([tok.EOA - tok.TEXT_VOCAB - tok.RESERVED]), w)])
    ours_e, ours_p = model.embed(ids[None], every, (torch.zeros_like(audio_at), audio_at), w, c)
    ours = model.forward(ours_e, ours_p, w, c)[0]
    worst["logits"] = relative(ours, ref)

    # decoding a token at a time with a cache
    cache, n = {}, len(ids) - 5
    steps = [model.forward(ours_e[:, :n], ours_p[:, :n], w, c, cache=cache)[0, -1]]
    for i in range(n, len(ids)):
        steps.append(model.forward(ours_e[:, i:i + 1], ours_p[:, i:i + 1], w, c, cache=cache, past=i)[0, -1])
    worst["decoding"] = relative(torch.stack(steps), ref[n - 1:])

    if "mm.embedding.weight" in w:
        worst |= check_picture(hf, w, c, tk)
    for k, v in worst.items():
        print(f"{k:12s} {v:.2e} {'ok' if v <= 1e-4 else 'TOO FAR'}")
    print("torch", torch.__version__, "transformers", importlib.metadata.version("transformers"))
    sys.exit(any(v > 1e-4 for v in worst.values()))


if __name__ == "__main__":
    main()
