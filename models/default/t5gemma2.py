"""T5Gemma 2's text network for training: batched, differentiable, weights in a dict by the names of our GGUF.

Sources and answers are padded on the right; the encoder sees in both directions, so what is padding is masked.
check-equality-t5gemma2.py proves the numbers equal to transformers'.
B batch, S ids of the source, T of the answer, C channels, H heads, G key and value heads, D their width.
"""
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

import tokenizer as tok
from rms import rms

EPS, BASE, BASE_LOCAL = 1e-6, 1e6, 1e4


@dataclass
class Config:
    hidden: int = 192
    layers: int = 3                             # of the encoder, and of the decoder
    heads: int = 6
    kv_heads: int = 3
    head_dim: int = 32
    ffn: int = 512
    window: int = 64                            # of the encoder: both sides together
    sliding: tuple = (True, False, True)
    context: int = 512
    vocab: int = tok.Translator.VOCAB

    def dict(self):
        return asdict(self)

    @staticmethod
    def of(d):
        return Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in d.items()})


# ---- weights ----------------------------------------------------------------------------------------------

def shapes(c):
    """{GGUF name: shape, slowest first}; norms are what is multiplied by, so 1 more than in a Hugging Face file"""
    h, s = c.hidden, {"token_embd.weight": (c.vocab, c.hidden)}
    for part in ("enc", "dec"):
        s[f"{part}.output_norm.weight"] = (h,)
        for i in range(c.layers):
            for name, shape in {
                    "attn_norm": (h,), "post_attention_norm": (h,), "ffn_norm": (h,), "post_ffw_norm": (h,),
                    "attn_q": (c.heads * c.head_dim, h), "attn_k": (c.kv_heads * c.head_dim, h),
                    "attn_v": (c.kv_heads * c.head_dim, h), "attn_output": (h, c.heads * c.head_dim),
                    "attn_q_norm": (c.head_dim,), "attn_k_norm": (c.head_dim,),
                    "ffn_gate": (c.ffn, h), "ffn_up": (c.ffn, h), "ffn_down": (h, c.ffn)}.items():
                s[f"{part}.blk.{i}.{name}.weight"] = shape
    return s


def init(c, seed=0):
    g, w = torch.Generator().manual_seed(seed), {}
    for name, shape in shapes(c).items():
        if len(shape) == 1:
            w[name] = torch.ones(shape)
        else:
            w[name] = torch.randn(shape, generator=g) * math.sqrt(1 / shape[1])
    return w


# ---- pieces -----------------------------------------------------------------------------------------------

def look_up(ids, w, c):
    return F.embedding(ids, w["token_embd.weight"]) * c.hidden ** .5


def turns(c, first, n):
    """{sliding: (cos, sin) [n,D]} of the positions from @first"""
    out = {}
    for sliding, base in ((True, BASE_LOCAL), (False, BASE)):
        speed = base ** (-torch.arange(0, c.head_dim, 2) / c.head_dim)
        angle = torch.outer(torch.arange(first, first + n).float(), speed).repeat(1, 2)
        out[sliding] = angle.cos(), angle.sin()
    return out


def turn(x, tables):
    """x [B,T,H,D]: rotated by position, the halves of a head together"""
    cos, sin = (t[:, None] for t in tables)
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def merged(x, names, w):
    """One product by several matrices"""
    return F.linear(x, torch.cat([w[n + ".weight"] for n in names]))


def keys_values(kv, layer, w, c, tables=None):
    """kv [B,T,2 G D] -> normed keys, rotated or not, and values [B,G,T,D]"""
    k, v = kv.unflatten(-1, (2 * c.kv_heads, c.head_dim)).chunk(2, 2)
    k = rms(k, w[layer + "attn_k_norm.weight"], EPS)
    return (turn(k, tables) if tables else k).transpose(1, 2), v.transpose(1, 2)


def project(x, layer, w, c, tables):
    """-> queries [B,H,T,D], keys and values [B,G,T,D]"""
    qkv = merged(x, [layer + n for n in ("attn_q", "attn_k", "attn_v")], w)
    q, kv = qkv.split([c.heads * c.head_dim, 2 * c.kv_heads * c.head_dim], -1)
    q = rms(q.unflatten(-1, (c.heads, c.head_dim)), w[layer + "attn_q_norm.weight"], EPS)
    return turn(q, tables).transpose(1, 2), *keys_values(kv, layer, w, c, tables)


def attend(q, k, v, bias, layer, w, c):
    """@bias: [B or 1,1,T,keys], 0 or minus infinity"""
    b, h, t, d = q.shape
    q = q.reshape(b, c.kv_heads, -1, d)                         # heads that share keys, one after another
    scores = (q * c.head_dim ** -.5) @ k.transpose(2, 3)
    p = (scores.view(b, h, t, -1) + bias).softmax(-1)
    out = (p.view(b, c.kv_heads, -1, k.shape[2]) @ v).view(b, h, t, d).transpose(1, 2).flatten(2)
    return F.linear(out, w[layer + "attn_output.weight"])


def feed_forward(x, layer, w):
    gate, up = merged(x, [layer + "ffn_gate", layer + "ffn_up"], w).chunk(2, -1)
    return F.linear(F.gelu(gate, approximate="tanh") * up, w[layer + "ffn_down.weight"])


def add(x, branch, layer, norm, w, rate):
    """@rate: of channels of a whole sequence that are dropped"""
    y = rms(branch, w[f"{layer}{norm}.weight"], EPS)
    return torch.addcmul(x, y, F.dropout(torch.ones(len(y), 1, y.shape[2]), rate)) if rate else x + y


def hide(visible):
    return torch.zeros(visible.shape).masked_fill_(~visible, -torch.inf)


def finish_layer(x, attended, layer, w, rate):
    x = add(x, attended, layer, "post_attention_norm", w, rate)
    return add(x, feed_forward(rms(x, w[layer + "ffn_norm.weight"], EPS), layer, w), layer, "post_ffw_norm", w, rate)


# ---- the network ------------------------------------------------------------------------------------------

def encode(ids, w, c, rate=0.):
    """ids [B,S] -> [B,S,C], of which what belongs to padding means nothing"""
    x, s = look_up(ids, w, c), ids.shape[1]
    tables, there = turns(c, 0, s), (ids != tok.PAD)[:, None, None]
    apart = torch.arange(s)[:, None] - torch.arange(s)
    near = (apart >= -(c.window // 2)) & (apart <= (c.window + 1) // 2 - 1)
    # one's own key is always seen: a row of padding has to have some
    bias = {sliding: hide(there & (near if sliding else near | True) | (apart == 0)) for sliding in (True, False)}
    for i, sliding in enumerate(c.sliding):
        layer = f"enc.blk.{i}."
        q, k, v = project(rms(x, w[layer + "attn_norm.weight"], EPS), layer, w, c, tables[sliding])
        x = finish_layer(x, attend(q, k, v, bias[sliding], layer, w, c), layer, w, rate)
    return rms(x, w["enc.output_norm.weight"], EPS)


def remember(encoded, w, c):
    """The keys and values that each layer of the decoder has of the source"""
    names = [[f"dec.blk.{i}.{n}" for n in ("attn_k", "attn_v")] for i in range(c.layers)]
    return [keys_values(merged(encoded, n, w), f"dec.blk.{i}.", w, c) for i, n in enumerate(names)]


def decode(ids, source, memory, w, c, cache=None, rate=0.):
    """ids [B,T], @source: the ids that @memory is of -> [B,T,C] before the head.

    @cache: {layer: keys and values}, which it adds to
    """
    cache = {} if cache is None else cache
    past, t = (cache[0][0].shape[2] if cache else 0), ids.shape[1]
    x, tables = look_up(ids, w, c), turns(c, past, t)
    apart = torch.arange(past, past + t)[:, None] - torch.arange(past + t)
    there = hide((source != tok.PAD)[:, None, None]).expand(-1, 1, t, -1)
    bias = {sliding: torch.cat([hide((apart >= 0) & (apart < (c.window if sliding else past + t)))
                                .expand(len(ids), 1, -1, -1), there], -1) for sliding in (True, False)}
    for i, sliding in enumerate(c.sliding):
        layer = f"dec.blk.{i}."
        q, k, v = project(rms(x, w[layer + "attn_norm.weight"], EPS), layer, w, c, tables[sliding])
        if i in cache:
            k, v = torch.cat([cache[i][0], k], 2), torch.cat([cache[i][1], v], 2)
        cache[i] = k, v
        k, v = torch.cat([k, memory[i][0]], 2), torch.cat([v, memory[i][1]], 2)
        x = finish_layer(x, attend(q, k, v, bias[sliding], layer, w, c), layer, w, rate)
    return rms(x, w["dec.output_norm.weight"], EPS)


def head(x, w):
    return F.linear(x, w["token_embd.weight"])


@torch.no_grad()
def generate(questions, w, c, batch=64):
    """[ids] -> [ids], greedily, without the <eos>"""
    out, order = [None] * len(questions), sorted(range(len(questions)), key=lambda i: len(questions[i]))
    for at in range(0, len(order), batch):
        group = order[at:at + batch]
        source = torch.nn.utils.rnn.pad_sequence([torch.tensor(questions[i]) for i in group], True, tok.PAD)
        memory, cache, said = remember(encode(source, w, c), w, c), {}, [[] for _ in group]
        last, done = torch.full((len(group), 1), tok.BOS), [False] * len(group)
        for _ in range(16 + 2 * source.shape[1]):
            last = head(decode(last, source, memory, w, c, cache)[:, -1], w).argmax(-1, keepdim=True)
            for r, token in enumerate(last.flatten().tolist()):
                done[r] = done[r] or token == tok.EOS
                if not done[r]:
                    said[r].append(token)
            if all(done):
                break
        for i, ids in zip(group, said):
            out[i] = ids
    return out
