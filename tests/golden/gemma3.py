"""Gemma 3's language model on seeded weights, in float32, from transformers' Gemma3ForCausalLM.

Three sizes: tiny (a text model alone, with the vocabulary of ../tokenizer), small (18 layers inside of a multimodal
config.json, with linear rope scaling and a query_pre_attn_scalar that is not the head dimension, as in the larger
models) and 270m, a sliding and a full layer at the widths of google/gemma-3-270m. language.py lists the files.

Norms multiply by 1 + w. Their weights are chosen as in gemma3n.py, so that rounding does not grow.
"""
import re

import numpy as np
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

import language
from language import SEED

SIZES = {
    "tiny": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
                 num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=16, period=3,
                 vocab_size=4034, positions=72),
    "small": dict(hidden_size=256, intermediate_size=512, num_hidden_layers=18, num_attention_heads=4,
                  num_key_value_heads=1, head_dim=64, query_pre_attn_scalar=48, sliding_window=64, period=6,
                  vocab_size=512, positions=104, rope_scaling={"factor": 8.0, "rope_type": "linear"}),
    "270m": dict(hidden_size=640, intermediate_size=2048, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=1, head_dim=256, query_pre_attn_scalar=256, sliding_window=512, period=2,
                 vocab_size=256, positions=560),
}
ROWS = {"tiny": [*range(20), *range(30, 72, 4)], "small": [0, 1, 40, 63, 64, 103], "270m": [0, 1, 511, 512, 559]}
LOGIT_ROWS = {"tiny": [0, 15, 16, 71], "small": [0, 20, 63, 64, 103], "270m": [0, 200, *range(509, 515), 559]}


def text_config(size):
    """In the Hub's form: rope_theta and rope_local_base_freq, not today's rope_parameters."""
    c = dict(SIZES[size])
    period = c.pop("period")
    c.pop("positions")
    c.update(model_type="gemma3_text", rope_theta=1e6, rope_local_base_freq=1e4, rms_norm_eps=1e-6,
             final_logit_softcapping=None, attn_logit_softcapping=None, hidden_activation="gelu_pytorch_tanh",
             max_position_embeddings=4096, bos_token_id=2, eos_token_id=1, pad_token_id=0, attention_bias=False)
    if period == 6:
        c["sliding_window_pattern"] = 6
    else:
        c["layer_types"] = ["full_attention" if (i + 1) % period == 0 else "sliding_attention"
                            for i in range(c["num_hidden_layers"])]
    return c


def hub_config(size):
    if size != "small":
        return {"architectures": ["Gemma3ForCausalLM"], **text_config(size)}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
            "text_config": text_config(size), "vision_config": {"model_type": "siglip_vision_model"},
            "boi_token_index": 505, "eoi_token_index": 506, "image_token_index": 510, "eos_token_id": [1, 106]}


def rule(name, shape, config):
    """(mean, std): the first pattern that matches."""
    rules = [
        (r"model\.norm\.weight", -1., 8.),          # of both signs, or the tied head echoes its input
        (r"post_(attention|feedforward).*norm", -.7, .03),
        (r"self_attn\.[qk]_norm", .5, .1),
        (r"embed_tokens\.weight", 0., .5 * config.hidden_size ** -.5),
    ]
    for pattern, mean, std in rules:
        if re.search(pattern, name):
            return mean, std
    return (0., .1) if len(shape) == 1 else (0., shape[-1] ** -.5)


@torch.no_grad()
def run(model, ids):
    text, states = model.model, []
    ids = torch.tensor(np.asarray(ids, np.int64))[None]
    hooks = [layer.register_forward_hook(lambda m, a, out: states.append(out[0])) for layer in text.layers]
    norm = text(input_ids=ids, use_cache=False).last_hidden_state[0]
    for hook in hooks:
        hook.remove()
    return torch.stack([text.embed_tokens(ids)[0], *states, norm]).numpy(), model.lm_head(norm).numpy()


def make_size(out, size):
    config = Gemma3TextConfig(**text_config(size), attn_implementation="eager")
    model = Gemma3ForCausalLM(config).eval()
    prefix = "model.language_model." if size == "small" else "model."
    tensors = [(prefix + n.removeprefix("model."), tuple(v.shape), *rule(n, v.shape, config))
               for n, v in sorted(model.state_dict().items()) if n != "lm_head.weight"]
    language.load(model, tensors, lambda name: "model." + name.removeprefix(prefix), False)
    language.save_model(out, hub_config(size), tensors)
    n_text = 510 if size == "small" else config.vocab_size
    ids = language.random_ids(min(n_text, 500), SIZES[size]["positions"])
    language.save_run(out, lambda ids: run(model, ids), ids, ROWS[size], LOGIT_ROWS[size])
    if size != "270m":
        language.save_greedy(out, lambda ids: run(model, ids), ids, n_text)


def make(out):
    for size in SIZES:
        make_size(out / size, size)
    return {"seed": SEED, "weights": "float32"}
