"""Gemma 3n's language model on seeded weights, in float32, from transformers' Gemma3nForCausalLM.

Three sizes: tiny (all positions of all layers), small (25 layers) and e2b, three layers at the full widths of
google/gemma-3n-E2B: a sparse sliding one, a full one and one that shares K and V. For each size S what language.py
lists, the state being stream 0, and

    S/soft-ids.npy, S/soft-logits.npy       the last position's logits with soft tokens in the middle, whose rows are
                    the seeded tensor "soft_rows" (std 1)

Norm weights are chosen so that the residual stream changes little a layer and rounding does not grow (all norms at 1
make 25 random layers chaotic), while every branch stays audible in the logits.
"""
import re

import numpy as np
import torch
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig

import language
import seeded
from language import PROMPT, SEED

SIZES = {
    "tiny": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
                 num_key_value_heads=2, head_dim=16, num_kv_shared_layers=2, hidden_size_per_layer_input=16,
                 laurel_rank=8, sliding_window=16, sparse=2, period=3, text_vocab=256, mm_vocab=16, positions=72),
    "small": dict(hidden_size=256, intermediate_size=512, num_hidden_layers=25, num_attention_heads=4,
                  num_key_value_heads=2, head_dim=64, num_kv_shared_layers=5, hidden_size_per_layer_input=64,
                  laurel_rank=32, sliding_window=64, sparse=10, period=5, text_vocab=608, mm_vocab=16, positions=104),
    "e2b": dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=3, num_attention_heads=8,
                num_key_value_heads=2, head_dim=256, num_kv_shared_layers=1, hidden_size_per_layer_input=256,
                laurel_rank=64, sliding_window=512, sparse=1, period=2, text_vocab=480, mm_vocab=16, positions=560),
}
ROWS = {"tiny": range(72), "small": [0, 1, 40, 63, 64, 103], "e2b": [0, 1, 200, 511, 512, 559]}
LOGIT_ROWS = {"tiny": range(72), "small": [*range(20), *range(84, 104)], "e2b": [0, 1, 200, *range(505, 515), 559]}


def text_config(size):
    c = dict(SIZES[size])
    sparse, period, layers = c.pop("sparse"), c.pop("period"), c["num_hidden_layers"]
    text, mm = c.pop("text_vocab"), c.pop("mm_vocab")
    c.pop("positions")
    c.update(vocab_size=text + 2 * mm, vocab_size_per_layer_input=text,
             activation_sparsity_pattern=[0.95] * sparse + [0.0] * (layers - sparse),
             layer_types=["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(layers)])
    return c, text, mm


def hub_config(size):
    """config.json in the Hub's form: rope_theta and rope_local_base_freq, not today's rope_parameters."""
    c, text, mm = text_config(size)
    c.update(model_type="gemma3n_text", rope_theta=1e6, rope_local_base_freq=1e4, rope_scaling=None,
             rms_norm_eps=1e-6, final_logit_softcapping=30.0, altup_num_inputs=4, altup_active_idx=0,
             altup_correct_scale=True, hidden_activation="gelu_pytorch_tanh", max_position_embeddings=4096,
             bos_token_id=2, eos_token_id=1, pad_token_id=0, attention_bias=False)
    audio, vision = text + mm, text
    return {
        "architectures": ["Gemma3nForConditionalGeneration"], "model_type": "gemma3n", "text_config": c,
        "audio_config": {"model_type": "gemma3n_audio", "vocab_size": mm, "vocab_offset": audio},
        "vision_config": {"model_type": "gemma3n_vision", "vocab_size": mm, "vocab_offset": vision},
        "audio_token_id": audio + 1, "eoa_token_id": audio, "boa_token_id": text - 1,
        "image_token_id": vision + 1, "eoi_token_id": vision, "boi_token_id": text - 2,
        "eos_token_id": [1, 106], "audio_soft_tokens_per_image": 188, "vision_soft_tokens_per_image": 256}


def rule(name, shape, config):
    """(mean, std): the first pattern that matches."""
    head, hidden = config.head_dim, config.hidden_size
    rules = [
        (r"language_model\.norm\.weight", 0., 8.),          # of both signs, or the tied head echoes its input
        (r"post_(attention|feedforward|per_layer).*norm", .3, .03),
        (r"self_attn\.[qk]_norm", 1.5 * head ** -.25, .1 * head ** -.25),
        (r"correct_output_scale", 1., .1),
        (r"modality_router", 0., hidden ** .5),             # its input is divided by hidden
        (r"prediction_coefs", 0., .05),
        (r"correction_coefs", 0., .2),
        (r"embed_tokens\.weight", 0., .5 * hidden ** -.5),
        (r"embed_tokens_per_layer", 0., config.hidden_size_per_layer_input ** -.5),
    ]
    for pattern, mean, std in rules:
        if re.search(pattern, name):
            return mean, std
    return (1., .1) if len(shape) == 1 else (0., shape[-1] ** -.5)


def tensor_list(model, config):
    """What the Hub's file has, unused projections of layers that share K and V included."""
    shapes = {k.replace("model.", "model.language_model.", 1): tuple(v.shape)
              for k, v in model.state_dict().items() if k != "lm_head.weight"}
    kv = config.num_key_value_heads * config.head_dim
    for i in range(config.num_hidden_layers - config.num_kv_shared_layers, config.num_hidden_layers):
        attn = f"model.language_model.layers.{i}.self_attn."
        shapes[attn + "k_proj.weight"] = shapes[attn + "v_proj.weight"] = (kv, config.hidden_size)
        shapes[attn + "k_norm.weight"] = (config.head_dim,)
    return [(n, s, *rule(n, s, config)) for n, s in sorted(shapes.items())]


@torch.no_grad()
def run(model, ids, soft=None):
    """States [layers + 2][T][hidden] and logits [T][vocabulary]; soft: (first id, rows) of soft tokens."""
    text, states = model.model, []
    ids = torch.tensor(np.asarray(ids, np.int64))[None]
    embeds = text.embed_tokens(ids)
    if soft:
        embeds[ids >= soft[0]] = torch.from_numpy(soft[1])
    hooks = [layer.register_forward_hook(lambda m, a, out: states.append(out[0, 0])) for layer in text.layers]
    out = text(inputs_embeds=embeds, per_layer_inputs=text.get_per_layer_inputs(ids), use_cache=False)
    for hook in hooks:
        hook.remove()
    norm = out.last_hidden_state[0]
    cap = model.config.final_logit_softcapping
    logits = torch.tanh(model.lm_head(norm) / cap) * cap
    return torch.stack([embeds[0], *states, norm]).numpy(), logits.numpy()


def make_size(out, size, bf16):
    c, text, mm = text_config(size)
    config = Gemma3nTextConfig(**c, attn_implementation="eager")
    model = Gemma3nForCausalLM(config).eval()
    tensors = tensor_list(model, config)
    language.load(model, tensors, lambda name: name.replace("model.language_model.", "model.", 1), bf16)
    language.save_model(out, hub_config(size), tensors)
    ids = language.random_ids(text - 2, SIZES[size]["positions"])
    language.save_run(out, lambda ids: run(model, ids), ids, ROWS[size], LOGIT_ROWS[size])
    if size != "e2b":
        language.save_greedy(out, lambda ids: run(model, ids), ids, text)

    soft_ids = ids[:PROMPT].copy()
    soft_ids[10:18] = text + mm + 1
    soft_rows = seeded.fill("soft_rows", (8, config.hidden_size), SEED, 0., 1.)
    language.save(out, "soft-ids", soft_ids, np.int32)
    language.save(out, "soft-logits", run(model, soft_ids, (text, soft_rows))[1][-1:], np.float32)


def make(out):
    for size in SIZES:
        make_size(out / size, size, bf16=size == "e2b")
    return {"seed": SEED, "weights": "float32; e2b: rounded to bfloat16"}
