"""A narrow MobileNet-V5 for training: the blocks of timm's mobilenetv5_300m_enc and Gemma 3n's picture embedder.

Weights are in a dict by llama.cpp's mmproj names (v.*, mm.*). check-equality.py proves the numbers equal to timm's.
Everything is [B,H,W,C]: 1x1 convolutions are products, RmsNorm2d is a norm over the last axis.
The architecture is written in timm's block strings: er edge residual, uir universal inverted residual, mqa multi-query
attention; k, a kernel sizes (of the middle, of the start), s stride, e expansion, c channels, h heads, d their width,
v stride of keys and values.
"""
import math
import re

import torch
import torch.nn.functional as F

from rms import rms, rms_gelu

STEM = 8
STAGES = (
    ("er_r1_k3_s2_e4_c16",),
    ("uir_r1_a3_k5_s2_e3_c32", "uir_r1_a3_k0_s1_e2_c32"),
    ("uir_r1_a3_k5_s2_e3_c64", "uir_r1_a5_k0_s1_e3_c64", "mqa_r1_k3_h4_v2_s1_d16_c64", "uir_r1_a0_k0_s1_e2_c64"),
    ("uir_r1_a5_k5_s2_e4_c128", "mqa_r1_k3_h4_s1_d32_c128", "uir_r1_a0_k0_s1_e4_c128",
     "mqa_r1_k3_h4_s1_d32_c128", "uir_r1_a0_k0_s1_e4_c128"),
)
WIDTH = 128             # of the fused features, which the embedder takes
GRID = 16               # soft tokens of a picture: GRID * GRID, row by row
SIDE = 256              # of the pictures that it is trained on


def parse(text):
    """ "uir_r1_a3_k5_s2_e4_c32" -> ("uir", {"a": 3, "k": 5, ...})"""
    kind, *rest = text.split("_")
    return kind, {m[1]: int(m[2]) for m in (re.fullmatch(r"([a-z])(\d+)", t) for t in rest)}


def blocks():
    """(prefix, kind, numbers, channels in) of every block, in order"""
    width = STEM
    for s, stage in enumerate(STAGES):
        for b, text in enumerate(stage):
            kind, n = parse(text)
            yield f"v.blk.{s}.{b}.", kind, n, width
            width = n["c"]


def shapes(hidden, reserved):
    """{GGUF name: shape, slowest first}; @hidden: of the language model, @reserved: hard embeddings"""
    s = {"v.conv_stem.conv.weight": (STEM, 3, 3, 3), "v.conv_stem.conv.bias": (STEM,), "v.conv_stem.bn.weight": (STEM,)}
    for p, kind, n, width in blocks():
        out, mid = n["c"], width * n.get("e", 1)
        if kind == "er":
            s |= {p + "conv_exp.weight": (mid, width, n["k"], n["k"]), p + "bn1.weight": (mid,),
                  p + "conv_pwl.weight": (out, mid, 1, 1), p + "bn2.weight": (out,)}
            continue
        if kind == "uir":
            if n["a"]:
                s |= {p + "dw_start.conv.weight": (width, 1, n["a"], n["a"]), p + "dw_start.bn.weight": (width,)}
            s |= {p + "pw_exp.conv.weight": (mid, width, 1, 1), p + "pw_exp.bn.weight": (mid,)}
            if n["k"]:
                s |= {p + "dw_mid.conv.weight": (mid, 1, n["k"], n["k"]), p + "dw_mid.bn.weight": (mid,)}
            s |= {p + "pw_proj.conv.weight": (out, mid, 1, 1), p + "pw_proj.bn.weight": (out,)}
        else:
            s |= {p + "norm.weight": (width,), p + "attn.query.proj.weight": (n["h"] * n["d"], width, 1, 1),
                  p + "attn.output.proj.weight": (out, n["h"] * n["d"], 1, 1)}
            for which in ("key", "value"):
                if n.get("v", 1) > 1:
                    s |= {f"{p}attn.{which}.down_conv.weight": (width, 1, n["k"], n["k"]),
                          f"{p}attn.{which}.norm.weight": (width,)}
                s[f"{p}attn.{which}.proj.weight"] = (n["d"], width, 1, 1)
        s[p + "layer_scale.gamma"] = (out,)
    fused = sum(parse(stage[-1])[1]["c"] for stage in STAGES[-2:])
    s |= {"v.msfa.ffn.pw_exp.conv.weight": (2 * fused, fused, 1, 1), "v.msfa.ffn.pw_exp.bn.weight": (2 * fused,),
          "v.msfa.ffn.pw_proj.conv.weight": (WIDTH, 2 * fused, 1, 1), "v.msfa.ffn.pw_proj.bn.weight": (WIDTH,),
          "v.msfa.norm.weight": (WIDTH,),
          "mm.embedding.weight": (reserved, WIDTH), "mm.hard_emb_norm.weight": (WIDTH,),
          "mm.soft_emb_norm.weight": (WIDTH,), "mm.input_projection.weight": (hidden, WIDTH)}
    return s


def mine(name):
    """Is @name a weight of this file?"""
    return name.startswith("v.") or (name.startswith("mm.") and not name.startswith("mm.a."))


def gguf_keys(hidden):
    """clip.vision.* of the mmproj; as in converted files, most say nothing about this network"""
    return {"projection_dim": hidden, "image_size": SIDE, "patch_size": SIDE // (GRID * GRID), "embedding_length": WIDTH,
            "feed_forward_length": 4 * WIDTH, "block_count": sum(map(len, STAGES)), "attention.head_count": 4}


def stored(name, data):
    """As llama.cpp wants it: some vectors of channels have axes of height and width."""
    return data.reshape(1, -1, 1, 1) if name.endswith(("layer_scale.gamma", "conv_stem.conv.bias")) else data


def init(hidden, reserved, seed=0):
    g, w = torch.Generator().manual_seed(seed), {}
    skips = {p + "layer_scale.gamma" for p, kind, n, width in blocks() if n["s"] == 1 and n["c"] == width}
    for name, shape in shapes(hidden, reserved).items():
        if name.endswith("bias"):           # not 0: black would stay 0 through all norms, whose slope there is 1000
            w[name] = torch.randn(shape, generator=g) * .1
        elif len(shape) > 1:
            std = 1. if name == "mm.embedding.weight" else math.prod(shape[1:]) ** -.5
            w[name] = torch.randn(shape, generator=g) * std
        else:
            w[name] = torch.full(shape, .3 if name in skips else 1.)
        w[name].requires_grad_()
    return w


# ---- the network ------------------------------------------------------------------------------------------

def pointwise(x, weight):
    return F.linear(x, weight.flatten(1))


def conv(x, weight, stride=1, bias=None):
    """SAME padding: with a stride of 2 on even sizes one more to the right and below."""
    k, groups = weight.shape[2], x.shape[-1] // weight.shape[1]
    x = x.permute(0, 3, 1, 2)
    if stride == 1:
        x = F.conv2d(x, weight, bias, 1, k // 2, groups=groups)
    else:
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max(0, (-(-size // stride) - 1) * stride + k - size)
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), weight, bias, stride, groups=groups)
    return x.permute(0, 2, 3, 1)


def edge_residual(x, w, n):
    y = rms_gelu(conv(x, w["conv_exp.weight"], n["s"]), w["bn1.weight"])
    y = rms(pointwise(y, w["conv_pwl.weight"]), w["bn2.weight"])
    return x + y if x.shape == y.shape else y


def inverted_residual(x, w, n):
    y = x
    if n["a"]:
        y = rms(conv(y, w["dw_start.conv.weight"], 1 if n["k"] else n["s"]), w["dw_start.bn.weight"])
    y = rms_gelu(pointwise(y, w["pw_exp.conv.weight"]), w["pw_exp.bn.weight"])
    if n["k"]:
        y = rms_gelu(conv(y, w["dw_mid.conv.weight"], n["s"]), w["dw_mid.bn.weight"])
    y = rms(pointwise(y, w["pw_proj.conv.weight"]), w["pw_proj.bn.weight"]) * w["layer_scale.gamma"]
    return x + y if x.shape == y.shape else y


def attention(x, w, n):
    b, height, width, _ = x.shape
    y, parts = rms(x, w["norm.weight"]), []
    for which in ("key", "value"):
        z = y
        if n.get("v", 1) > 1:
            z = rms(conv(z, w[f"attn.{which}.down_conv.weight"], n["v"]), w[f"attn.{which}.norm.weight"])
        parts.append(pointwise(z, w[f"attn.{which}.proj.weight"]).flatten(1, 2)[:, None])              # [B,1,hw,d]
    q = pointwise(y, w["attn.query.proj.weight"]).view(b, height * width * n["h"], n["d"])[:, None]    # one key for all
    y = F.scaled_dot_product_attention(q, *parts)[:, 0].reshape(b, height, width, n["h"] * n["d"])
    return x + pointwise(y, w["attn.output.proj.weight"]) * w["layer_scale.gamma"]


KINDS = {"er": edge_residual, "uir": inverted_residual, "mqa": attention}


def tower(pixels, w, grid=GRID):
    """pixels [B,H,W,3] in [0, 1] -> [B,grid,grid,WIDTH]"""
    x = rms_gelu(conv(pixels, w["v.conv_stem.conv.weight"], 2, w["v.conv_stem.conv.bias"]), w["v.conv_stem.bn.weight"])
    last, ends = {f"v.blk.{s}.{len(stage) - 1}." for s, stage in enumerate(STAGES)}, []
    for p, kind, n, _ in blocks():
        x = KINDS[kind](x, {k[len(p):]: v for k, v in w.items() if k.startswith(p)}, n)
        if p in last:
            ends.append(x)
    fine, coarse = ends[-2:]
    coarse = coarse.repeat_interleave(fine.shape[1] // coarse.shape[1], 1)
    x = torch.cat([fine, coarse.repeat_interleave(fine.shape[2] // coarse.shape[2], 2)], -1)
    x = rms_gelu(pointwise(x, w["v.msfa.ffn.pw_exp.conv.weight"]), w["v.msfa.ffn.pw_exp.bn.weight"])
    x = rms(pointwise(x, w["v.msfa.ffn.pw_proj.conv.weight"]), w["v.msfa.ffn.pw_proj.bn.weight"])
    if x.shape[1] != grid:
        x = F.avg_pool2d(x.permute(0, 3, 1, 2), x.shape[1] // grid).permute(0, 2, 3, 1)
    return rms(x, w["v.msfa.norm.weight"])


def macs(side=SIDE):
    """Multiply-adds of a picture in convolutions and attention."""
    count = (side // 2) ** 2 * 27 * STEM
    side //= 2
    for _, kind, n, width in blocks():
        out_side, mid = side // n["s"], width * n.get("e", 1)
        here, there = side ** 2, out_side ** 2
        if kind == "er":
            count += there * (n["k"] ** 2 * width + n["c"]) * mid
        elif kind == "uir":
            count += here * (n["a"] ** 2 * width + width * mid) + there * (n["k"] ** 2 + n["c"]) * mid
        else:
            keys = here // n.get("v", 1) ** 2
            count += here * n["h"] * n["d"] * (width + n["c"] + 2 * keys) + keys * 2 * width * n["d"]
        side = out_side
    fused = sum(parse(stage[-1])[1]["c"] for stage in STAGES[-2:])
    return count + (side * 2) ** 2 * 2 * fused * (fused + WIDTH)
