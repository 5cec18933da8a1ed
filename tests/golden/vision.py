"""MobileNet-V5 on seeded weights and seeded pixels, in float32, from timm's MobileNetV5Encoder and transformers'
Gemma3nMultimodalEmbedder. Variants: tiny and odd, narrow ones; full, mobilenetv5_300m_enc (bfloat16 weights).

    V/tensors.txt     list of seeded tensors (seeded.py)
    V/R.txt, V/R.npy  samples (sampled.py) of the stem, each block, msfa and soft at resolution R
"""
import numpy as np
import torch
import without_torchvision                                              # noqa: F401, before timm
import timm
from timm.layers import RmsNorm2d
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.mobilenetv5 import MobileNetV5Encoder, MobileNetV5MultiScaleFusionAdapter
from transformers.models.gemma3n.configuration_gemma3n import Gemma3nTextConfig, Gemma3nVisionConfig
from transformers.models.gemma3n.modeling_gemma3n import Gemma3nMultimodalEmbedder

import seeded
from sampled import SEED, pixels, sample, save

NARROW = {  # name: (stem, layer scale, width, text hidden, stages)
    "tiny": (16, 1., 96, 64, [
        ["er_r1_k3_s2_e4_c16", "er_r1_k3_s1_e4_c16"],
        ["uir_r1_a3_k5_s2_e6_c24", "uir_r1_a5_k0_s1_e4_c24"],
        ["uir_r1_a5_k5_s2_e6_c32", "uir_r1_a0_k0_s1_e1_c32", "mqa_r1_k3_h4_v2_s1_d16_c32", "uir_r1_a0_k0_s1_e2_c32"],
        ["uir_r1_a5_k5_s2_e6_c48", "mqa_r1_k3_h3_s1_d24_c48", "uir_r1_a0_k0_s1_e2_c48"]]),
    "odd": (24, None, 88, 40, [
        ["er_r1_k5_s2_e2_c40", "er_r1_k3_s1_e3_c40", "uir_r1_a3_k3_s1_e2_c40"],
        ["uir_r1_a5_k0_s2_e3_c56", "mqa_r1_k5_h5_v2_s1_d8_c56", "uir_r1_a0_k7_s1_e2_c56"],
        ["uir_r1_a0_k3_s2_e2_c72", "mqa_r1_k3_h2_s1_d40_c72", "uir_r1_a0_k0_s1_e2_c72"]]),
}
RESOLUTIONS = {"tiny": (256, 768), "odd": (200, 333), "full": (256, 512, 768)}


def encoder(variant):
    if variant == "full":
        return timm.create_model("mobilenetv5_300m_enc"), 2048, 2048
    stem, scale, width, hidden, stages = NARROW[variant]
    tower = MobileNetV5Encoder(decode_arch_def(stages), stem_size=stem, pad_type="same", layer_scale_init_value=scale)
    channels = tower.msfa_in_chs
    tower.msfa = MobileNetV5MultiScaleFusionAdapter(channels, width, 16, norm_layer=RmsNorm2d)
    return tower, width, hidden


def rule(name, shape):
    """Mean and standard deviation that keep activations near 1 and every path audible."""
    if "gamma" in name:
        return .5, .05
    if "bias" in name:
        return 0., .1
    if len(shape) == 1:
        return 1., .1
    return 0., (2. if "query" in name else 1.) * int(np.prod(shape[1:])) ** -.5     # 2: attention is no mere average


def build(variant):
    tower, width, hidden = encoder(variant)
    embed = Gemma3nMultimodalEmbedder(Gemma3nVisionConfig(hidden_size=width, vocab_size=8, vocab_offset=0),
                                      Gemma3nTextConfig(hidden_size=hidden))
    found = []
    for prefix, module in ("model.vision_tower.timm_model.", tower), ("model.embed_vision.", embed):
        state = {}
        for key, value in sorted(module.state_dict().items()):
            shape = tuple(value.shape)
            found.append((prefix + key, shape, *rule(key, shape)))
            values = seeded.fill(prefix + key, shape, SEED, *found[-1][2:], bf16=variant == "full")
            state[key] = torch.from_numpy(values)
        module.eval().load_state_dict(state, assign=True)
    return tower, embed, found


@torch.no_grad()
def encode(tower, embed, resolution):
    kept = {}
    hooks = [tower.conv_stem.register_forward_hook(lambda _m, _i, out: kept.__setitem__("stem", sample(out)))]
    for s, stage in enumerate(tower.blocks):
        for b, block in enumerate(stage):
            hooks.append(block.register_forward_hook(
                lambda _m, _i, out, name=f"block{s}.{b}": kept.__setitem__(name, sample(out))))
    out = tower(pixels(resolution)[None])
    for hook in hooks:
        hook.remove()
    kept["msfa"] = sample(out)
    width = out.shape[1]
    soft = embed(inputs_embeds=out.reshape(1, width, 256).permute(0, 2, 1) * width ** .5)
    kept["soft"] = sample(soft[0].T.reshape(1, -1, 16, 16))
    return kept


def make(out):
    for variant, resolutions in RESOLUTIONS.items():
        folder = out / variant
        folder.mkdir(exist_ok=True)
        tower, embed, found = build(variant)
        seeded.write_list(folder / "tensors.txt", found)
        for resolution in resolutions:
            kept = encode(tower, embed, resolution)
            save(folder, resolution, kept)
    return {"seed": SEED}
