"""Gemma 3n's architecture (USM and language model) for training: batched, differentiable, weights in a dict by GGUF name.

Padding needs no masks: everything in the encoder and the model is causal, so what stands to the right of a clip's or a
sentence's end changes nothing before it. check-equality.py proves the numbers equal to transformers'.
B batch, T mel frames, U conformer frames (40 ms), C channels, H heads, L text positions.
"""
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

import mobilenet_v5
import tokenizer as tok
from rms import rms


@dataclass
class Config:
    # USM
    a_hidden: int = 192
    a_layers: int = 5
    a_heads: int = 4
    a_conv: tuple = (32, 16)
    # language model
    hidden: int = 192
    layers: int = 5
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 512
    ple: int = 32
    laurel: int = 32
    shared: int = 1
    window: int = 128
    context: int = 2048
    sliding: tuple = (True, True, False, True, False)
    sparsity: tuple = (0.95, 0., 0., 0., 0.)
    alignment: tuple = (4, 0)                               # layer and head that attend to where the next token is said
    vocab: int = tok.VOCAB
    altup: int = 4

    def dict(self):
        return asdict(self)

    @staticmethod
    def of(d):
        return Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in d.items()})


MELS, LEFT, CHUNK, REDUCTION = 128, 12, 12, 4
PHI = {0.: 0., 0.95: 1.6448536269514722}


# ---- weights ----------------------------------------------------------------------------------------------

def shapes(c):
    """{GGUF name: shape, slowest first}"""
    h, s = c.hidden, {}
    s["token_embd"] = (c.vocab, h)
    s["per_layer_token_embd"] = (c.vocab, c.layers * c.ple)
    s["per_layer_model_proj"] = (c.layers * c.ple, h)
    s["per_layer_proj_norm"] = (c.ple,)
    s["output_norm"] = (h,)
    s["altup_proj"] = s["altup_unembd_proj"] = (c.altup - 1, h, h)
    for i in range(c.layers):
        for name, shape in {
                "attn_norm": (h,), "post_attention_norm": (h,), "ffn_norm": (h,), "post_ffw_norm": (h,), "post_norm": (h,),
                "attn_q": (c.heads * c.head_dim, h), "attn_k": (c.kv_heads * c.head_dim, h),
                "attn_v": (c.kv_heads * c.head_dim, h), "attn_output": (h, c.heads * c.head_dim),
                "attn_q_norm": (c.head_dim,), "attn_k_norm": (c.head_dim,),
                "ffn_gate": (c.ffn, h), "ffn_up": (c.ffn, h), "ffn_down": (h, c.ffn),
                "laurel_l": (c.laurel, h), "laurel_r": (h, c.laurel), "laurel_post_norm": (h,),
                "inp_gate": (c.ple, h), "proj": (h, c.ple),
                "altup_router": (c.altup, h), "altup_router_norm": (h,), "altup_correct_scale": (h,),
                "altup_predict_coef": (c.altup ** 2, c.altup), "altup_correct_coef": (c.altup, c.altup)}.items():
            s[f"blk.{i}.{name}"] = shape
    a, (c0, c1) = c.a_hidden, c.a_conv
    s["a.conv1d.0"], s["a.conv1d.0.norm"] = (c0, 1, 3, 3), (c0,)
    s["a.conv1d.1"], s["a.conv1d.1.norm"] = (c1, c0, 3, 3), (c1,)
    s["a.pre_encode.out"] = (a, MELS // 4 * c1)
    for i in range(c.a_layers):
        for name, shape in {
                "ffn_norm": (a,), "ffn_up": (4 * a, a), "ffn_down": (a, 4 * a), "ffn_post_norm": (a,),
                "ln1": (a,), "attn_q": (a, a), "attn_k": (a, a), "attn_v": (a, a), "attn_out": (a, a), "linear_pos": (a, a),
                "per_dim_scale": (a // c.a_heads,), "ln2": (a,),
                "conv_norm": (a,), "conv_pw1": (2 * a, a), "conv_dw": (a, 1, 5), "norm_conv": (a,), "conv_pw2": (a, a),
                "ffn_norm_1": (a,), "ffn_up_1": (4 * a, a), "ffn_down_1": (a, 4 * a), "ffn_post_norm_1": (a,),
                "layer_pre_norm": (a,)}.items():
            s[f"a.blk.{i}.{name}"] = shape
    s["mm.a.embedding"], s["mm.a.hard_emb_norm"], s["mm.a.soft_emb_norm"] = (tok.RESERVED, a), (a,), (a,)
    s["mm.a.input_projection"] = (h, a)
    return {k if k.endswith("per_dim_scale") else k + ".weight": v for k, v in s.items()}


def init(c, seed=0):
    g = torch.Generator().manual_seed(seed)
    w = {}
    for name, shape in shapes(c).items():
        key = name.removesuffix(".weight").split(".")[-1]
        std, mean = math.prod(shape[1:]) ** -.5 if len(shape) > 1 else 0., 0. if len(shape) > 1 else 1.
        if name == "token_embd.weight":
            std = c.hidden ** -.5
        elif name == "per_layer_token_embd.weight":
            std = c.ple ** -.5
        elif name == "mm.a.embedding.weight":
            std = 1.
        elif name.startswith("altup"):
            std = c.hidden ** -.5
        elif key in ("attn_q_norm", "attn_k_norm"):
            mean = 1.5 * c.head_dim ** -.25
        elif key in ("post_attention_norm", "post_ffw_norm", "ln2"):
            mean = .5
        elif key == "post_norm":
            mean = .2
        elif key == "laurel_post_norm":
            mean = .2
        elif key == "altup_router":
            std = .3 * c.hidden ** .5
        elif key in ("altup_predict_coef", "altup_correct_coef"):
            std = .02
        elif key == "per_dim_scale":
            mean = 0.
        elif name.startswith("a.conv1d") and len(shape) == 4:
            std = (2. / math.prod(shape[1:])) ** .5
        w[name] = (torch.randn(shape, generator=g) * std + mean).requires_grad_()
    return w


def read_gguf(path):
    """{name: float32 values}"""
    import gguf
    out = {}
    for t in gguf.GGUFReader(path).tensors:
        shape = [int(n) for n in reversed(t.shape)]
        out[t.name] = torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).reshape(shape).copy()).float()
    return out


def from_gguf(directory, c):
    """The float32 values of a shipped pair."""
    out = {}
    for name in ("gemma3n-default.gguf", "mmproj-gemma3n-default.gguf"):
        out |= read_gguf(Path(directory) / name)
    wanted = shapes(c) | (mobilenet_v5.shapes(c.hidden, tok.RESERVED) if any(map(mobilenet_v5.mine, out)) else {})
    for name, shape in wanted.items():
        if name not in out or out[name].numel() != math.prod(shape):
            raise SystemExit(f"{name}: {tuple(out[name].shape) if name in out else 'nothing'} in the GGUF, {shape} wanted")
        out[name] = out[name].reshape(shape)                # some vectors are stored with axes of length 1
    return out


def init_ctc(c, symbols, seed=1):
    """The auxiliary heads, which are not exported: one on the conformer's frames teaches alignment, one reads the letters
    of REDUCTION frames from each token, so that tokens hold what was heard in a form that a linear map can read."""
    g = torch.Generator().manual_seed(seed)
    rows = {"ctc": symbols, "ctc_token": REDUCTION * symbols}
    return {f"{head}.{what}": t.requires_grad_() for head, n in rows.items() for what, t in (
        ("weight", torch.randn(n, c.a_hidden, generator=g) * c.a_hidden ** -.5), ("bias", torch.zeros(n)))}


def letters(x, w, head):
    """@head: "ctc" of frames [B,U,C], "ctc_token" of tokens [B,U/4,C] -> log probabilities of the symbols [B,U,S]"""
    y = F.linear(x, w[head + ".weight"], w[head + ".bias"])
    return F.log_softmax(y.view(len(y), -1, len(w["ctc.bias"])), -1)


# ---- USM --------------------------------------------------------------------------------------------------

def cumulative_norm(x, weight):
    """x [B,ch,T,F]: over channels and frequencies and all time so far; each frame's variance about the mean of its own time."""
    count = x.shape[1] * x.shape[3] * torch.arange(1, x.shape[2] + 1, dtype=torch.float32)
    mean = x.sum((1, 3)).cumsum(1) / count                                  # [B,T]
    x = x - mean[:, None, :, None]
    var = x.square().sum((1, 3)).cumsum(1) / count
    return x * torch.rsqrt(var + 1e-3)[:, None, :, None] * weight[:, None, None]


_SIN = {}


def sinusoid(channels):
    """[13,C]: distances 12..0"""
    if channels not in _SIN:
        half = channels // 2
        rate = torch.exp(torch.arange(half) * -(math.log(1e4) / max(half - 1, 1)))
        at = torch.arange(LEFT, -1, -1)[:, None] * rate
        _SIN[channels] = torch.cat([at.sin(), at.cos()], 1)
    return _SIN[channels]


_BAND = torch.ones(CHUNK, CHUNK + LEFT, dtype=torch.bool).tril(LEFT).triu(0)    # [query, key]


def audio_attention(x, w, heads):
    b, u, ch = x.shape
    d, n = ch // heads, -(-u // CHUNK)
    scale = d ** -.5 / math.log(2) * F.softplus(w["per_dim_scale"])
    q = (F.linear(x, w["attn_q.weight"]).view(b, u, heads, d) * scale)
    q = F.pad(q, (0, 0, 0, 0, 0, n * CHUNK - u)).view(b, n, CHUNK, heads, d).permute(0, 3, 1, 2, 4)    # [B,H,n,12,d]

    def blocks(name):                                                       # [B,H,n,24,d]: 12 before, 12 of the chunk
        y = F.linear(x, w[name]).view(b, u, heads, d)
        y = F.pad(y, (0, 0, 0, 0, LEFT, n * CHUNK - u)).view(b, n + 1, CHUNK, heads, d).permute(0, 3, 1, 2, 4)
        return torch.cat([y[:, :, :-1], y[:, :, 1:]], 3)

    r = (sinusoid(ch) @ w["linear_pos.weight"].T).view(LEFT + 1, heads, d).permute(1, 2, 0)        # [H,d,13]
    bd = (q.reshape(b, heads, n * CHUNK, d) @ r).view(b, heads, n, CHUNK, LEFT + 1)
    bd = F.pad(bd, (0, CHUNK)).flatten(3)[..., :CHUNK * (CHUNK + LEFT)].view(b, heads, n, CHUNK, CHUNK + LEFT)
    logits = 50 * torch.tanh((q @ blocks("attn_k.weight").transpose(-1, -2) + bd) / 50)
    band = _BAND.expand(n, -1, -1).clone()
    band[0, :, :LEFT] = False                                               # before the clip there is nothing
    prob = logits.masked_fill(~band, -1e30).softmax(-1)
    y = (prob @ blocks("attn_v.weight")).permute(0, 2, 3, 1, 4).reshape(b, n * CHUNK, ch)[:, :u]
    return F.linear(y, w["attn_out.weight"])


class CausalTaps(torch.autograd.Function):
    """Depthwise convolution over time that looks back: x [B,U,C], kernel [C,K] -> [B,U,C]"""

    @staticmethod
    def forward(ctx, x, kernel):
        n = kernel.shape[1]
        past = F.pad(x, (0, 0, n - 1, 0))
        ctx.save_for_backward(past, kernel)
        y = past[:, n - 1:] * kernel[:, n - 1]
        for k in range(n - 1):
            y.addcmul_(past[:, k:k + x.shape[1]], kernel[:, k])
        return y

    @staticmethod
    def backward(ctx, g):
        past, kernel = ctx.saved_tensors
        gx, u = torch.zeros_like(past), g.shape[1]
        for k in range(kernel.shape[1]):
            gx[:, k:k + u].addcmul_(g, kernel[:, k])
        gk = torch.stack([(g * past[:, k:k + u]).sum((0, 1)) for k in range(kernel.shape[1])], 1)
        return gx[:, kernel.shape[1] - 1:], gk


def drop(x, rate):
    return F.dropout(x, rate) if rate else x


def local(w, prefix):
    """The weights of one block, by the names that all blocks share."""
    return {k[len(prefix):]: v for k, v in w.items() if k.startswith(prefix)}


def audio_ffw(x, w, end, rate):
    y = F.linear(rms(x, w[f"ffn_norm{end}.weight"]), w[f"ffn_up{end}.weight"])
    y = drop(F.linear(F.silu(y), w[f"ffn_down{end}.weight"]), rate)
    return x + .5 * rms(y, w[f"ffn_post_norm{end}.weight"])


def conformer(x, w, heads, rate=0.):
    x = audio_ffw(x, w, "", rate)
    y = audio_attention(rms(x, w["ln1.weight"]), w, heads)
    x = x + drop(rms(y, w["ln2.weight"]), rate)
    y = F.glu(F.linear(rms(x, w["conv_norm.weight"]), w["conv_pw1.weight"]), -1)
    y = CausalTaps.apply(y, w["conv_dw.weight"][:, 0])
    y = F.linear(F.silu(rms(y, w["norm_conv.weight"])), w["conv_pw2.weight"])
    x = x + drop(y, rate)
    return rms(audio_ffw(x, w, "_1", rate), w["layer_pre_norm.weight"])


def subsample(mel, w):
    x = mel[:, None]                                                        # [B,1,T,128]
    for i in range(2):
        x = F.conv2d(F.pad(x, (1, 1, 0, 2)), w[f"a.conv1d.{i}.weight"], stride=2)
        x = F.relu(cumulative_norm(x, w[f"a.conv1d.{i}.norm.weight"]))
    x = x.permute(0, 2, 3, 1).flatten(2)                                    # [B,T/4,32 ch1]
    return F.linear(x, w["a.pre_encode.out.weight"])


def encode(mel, w, c, ctc_layer=None, rate=0.):
    """mel [B,T,128] -> tokens [B,ceil(U/4),C], and what the CTC head sees [B,U,C]"""
    x, tap = subsample(mel, w), None
    for i in range(c.a_layers):
        x = conformer(x, local(w, f"a.blk.{i}."), c.a_heads, rate)
        if i + 1 == ctc_layer:
            tap = x
    return x[:, ::REDUCTION], tap


def n_frames(mel_frames):
    return -(-mel_frames // 4)


def n_tokens(mel_frames):
    return -(-n_frames(mel_frames) // REDUCTION)


def soft_tokens(x, w, embedder="mm.a."):
    """@embedder: "mm." for pictures"""
    return rms(F.linear(rms(x, w[embedder + "soft_emb_norm.weight"]), w[embedder + "input_projection.weight"]))


def hard_tokens(rows, w, embedder="mm.a."):
    """@rows: id - offset"""
    x = rms(w[embedder + "embedding.weight"][rows], w[embedder + "hard_emb_norm.weight"])
    return rms(F.linear(x, w[embedder + "input_projection.weight"]))


# ---- language model ---------------------------------------------------------------------------------------

_ROPE = {}


def rope_table(length, dim, base):
    if (dim, base) not in _ROPE or _ROPE[dim, base][0].shape[0] < length:
        n = max(512, length)
        at = torch.arange(n)[:, None] * base ** (-torch.arange(0, dim, 2) / dim)
        at = torch.cat([at, at], 1)
        _ROPE[dim, base] = at.cos(), at.sin()
    cos, sin = _ROPE[dim, base]
    return cos, sin


def rope(x, cos, sin):
    """x [B,H,L,d]"""
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def embed(ids, soft_rows, soft_at, w, c):
    """ids [B,L]; @soft_at (row, position) of each row of @soft_rows [N,hidden] -> embeddings, per-layer inputs"""
    e = F.embedding(ids, w["token_embd.weight"]) * math.sqrt(c.hidden)
    if soft_rows is not None:
        e = e.index_put(soft_at, soft_rows)
    token = F.embedding(torch.where(ids < tok.TEXT_VOCAB, ids, 0), w["per_layer_token_embd.weight"]) * math.sqrt(c.ple)
    proj = F.linear(e, w["per_layer_model_proj.weight"]) * c.hidden ** -.5
    b, n = ids.shape
    proj = rms(proj.view(b, n, c.layers, c.ple), w["per_layer_proj_norm.weight"])
    return e, (proj + token.view(b, n, c.layers, c.ple)) * 2 ** -.5


def magnitude(x):
    return x.square().mean(-1, keepdim=True)


def router(x, w):
    return torch.tanh(F.linear(rms(x, w["altup_router_norm.weight"]) / x.shape[-1], w["altup_router.weight"]))


def attended(q, k, mask):
    """One head's queries [B,L,d] and keys [B,past + L,d] -> log of its weights [B,L,past + L]"""
    scores = q @ k.transpose(1, 2)
    return (scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask).log_softmax(-1)


def attention(x, w, heads, kv_heads, kv, past_kv, cos, sin, mask, watched=None):
    """@kv: an earlier layer's keys and values for a layer that shares them; @past_kv: those of earlier positions;
    @watched: (head, list that gets what it attends to)"""
    b, n, _ = x.shape
    q = F.linear(x, w["attn_q.weight"]).view(b, n, heads, -1)
    q = rope(rms(q, w["attn_q_norm.weight"]).transpose(1, 2), cos, sin)
    if kv is None:
        k = F.linear(x, w["attn_k.weight"]).view(b, n, kv_heads, -1)
        v = F.linear(x, w["attn_v.weight"]).view(b, n, kv_heads, -1)
        k = rope(rms(k, w["attn_k_norm.weight"]).transpose(1, 2), cos, sin)
        v = rms(v).transpose(1, 2)
        if past_kv is not None:
            k, v = torch.cat([past_kv[0], k], 2), torch.cat([past_kv[1], v], 2)
        kv = k, v
    if watched:
        head, out = watched
        out.append(attended(q[:, head], kv[0][:, head * kv_heads // heads], mask))
    y = F.scaled_dot_product_attention(q, *kv, attn_mask=mask, scale=1., enable_gqa=True)
    return F.linear(y.transpose(1, 2).reshape(b, n, -1), w["attn_output.weight"]), kv


def mlp(x, w, sparsity):
    z = F.linear(x, w["ffn_gate.weight"])
    if sparsity:
        z = F.relu(z - (z.mean(-1, keepdim=True) + z.std(-1, keepdim=True, unbiased=False) * PHI[sparsity]))
    return F.linear(F.gelu(z, approximate="tanh") * F.linear(x, w["ffn_up.weight"]), w["ffn_down.weight"])


def layer(h, pli, w, heads, kv_heads, sparsity, kv, past_kv, cos, sin, mask, rate, watched=None):
    """h [B,L,4,hidden], pli [B,L,ple] -> the next h, keys and values"""
    n = h.shape[2]
    coef = F.linear(router(h[:, :, 0], w), w["altup_predict_coef.weight"]).unflatten(-1, (n, n))    # [B,L,y,x]
    pred = h + coef @ h
    active = pred[:, :, 0]
    a = rms(active, w["attn_norm.weight"])
    lau = a + rms(F.linear(F.linear(a, w["laurel_l.weight"]), w["laurel_r.weight"]), w["laurel_post_norm.weight"])
    att, kv = attention(a, w, heads, kv_heads, kv, past_kv, cos, sin, mask, watched)
    g = (active + drop(rms(att, w["post_attention_norm.weight"]), rate) + lau) * 2 ** -.5
    f = mlp(rms(g, w["ffn_norm.weight"]), w, sparsity)
    act = g + drop(rms(f, w["post_ffw_norm.weight"]), rate)
    corr = F.linear(router(act, w), w["altup_correct_coef.weight"]) + 1                     # [B,L,4]
    first, rest = (pred + corr[..., None] * (act - active)[:, :, None]).split([1, n - 1], 2)
    q = F.gelu(F.linear(first[:, :, 0] * w["altup_correct_scale.weight"], w["inp_gate.weight"]), approximate="tanh")
    q = rms(F.linear(q * pli, w["proj.weight"]), w["post_norm.weight"])
    return torch.cat([first, rest + q[:, :, None]], 2), kv


def forward(e, pli, w, c, select=None, cache=None, past=0, rate=0., places=None, bias=None, watched=None):
    """-> logits [B,L,vocab], or of the positions (rows, columns) in @select

    @cache {layer: (k, v)} of the first @past positions grows when decoding. If some between them are left out, @places are
    where these and the new ones stand in the prompt, and @bias is added to their logits as keys, so that those that are
    there weigh as much as all would. @watched: a list that gets the alignment head's weights, attended().
    """
    cache = {} if cache is None else cache
    n, first_shared = e.shape[1], c.layers - c.shared
    key = torch.arange(past + n) if places is None else places
    at = key[past:, None]
    masks = {False: key <= at, True: (key <= at) & (key > at - c.window)}                   # by "sliding"
    if bias is not None:
        masks = {s: torch.where(m, bias, -math.inf) for s, m in masks.items()}
    ropes = {s: [t[at[:, 0]] for t in rope_table(int(key[-1]) + 1, c.head_dim, 1e4 if s else 1e6)] for s in (False, True)}
    streams = [e]
    size = magnitude(e).sqrt()
    for k in range(c.altup - 1):
        x = F.linear(e, w["altup_proj.weight"][k])
        streams.append(x * size * torch.rsqrt(magnitude(x).clamp(min=1e-5)))
    h = torch.stack(streams, 2)
    for i in range(c.layers):
        s, kv = c.sliding[i], None
        if i >= first_shared:
            kv = cache[max(j for j in range(first_shared) if c.sliding[j] == s)]
        h, kv = layer(h, pli[:, :, i], local(w, f"blk.{i}."), c.heads, c.kv_heads, c.sparsity[i], kv,
                      cache.get(i), *ropes[s], masks[s], rate, watched is not None and i == c.alignment[0] and (c.alignment[1], watched))
        if i < first_shared:
            cache[i] = kv
    if select is not None:
        h = h[select]                                                       # [N,4,hidden]
    out = h[..., 0, :]
    size = magnitude(out).sqrt()
    for k in range(c.altup - 1):
        x = F.linear(h[..., k + 1, :], w["altup_unembd_proj.weight"][k])
        out = out + x * size * torch.rsqrt(magnitude(x).clamp(min=1e-5))
    out = rms(out / c.altup, w["output_norm.weight"])
    return 30 * torch.tanh(F.linear(drop(out, rate), w["token_embd.weight"]) / 30)
