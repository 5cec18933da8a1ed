"""T5Gemma 2's encoder and decoder on seeded weights, in float32, from transformers' T5Gemma2ForConditionalGeneration.

Two sizes: tiny (other numbers of layers and heads in encoder and decoder, an odd window, linear rope scaling of full
layers, the vocabulary of ../tokenizer), and 270m, a sliding and a full layer of each at the widths of
google/t5gemma-2-270m-270m. Of what language.py lists, ids, rows, states and logits are the decoder's; besides

    S/source.npy        [N] random ids for the encoder, longer than its window; of the greedy ids, the first PROMPT
    S/source-rows.npy   positions of which the encoder's states are kept
    S/source-states.npy [(layers + 2) * rows][hidden]: its embeddings, the state after every layer, the normed output

Norms multiply by 1 + w. Their weights are chosen as in gemma3n.py, so that rounding does not grow. Both sides have the
end of a picture among their ids, whose embedding is apart.
"""
import json
import re

import numpy as np
import torch
from transformers import T5Gemma2Config, T5Gemma2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

import language
from language import PROMPT, SEED

SIZES = {
    "tiny": dict(hidden_size=64, head_dim=16, query_pre_attn_scalar=24, vocab_size=4034, eoi=4031, source=72, target=40,
                 encoder=dict(num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128,
                              sliding_window=15, period=2),
                 decoder=dict(num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=1, intermediate_size=96,
                              sliding_window=16, period=3)),
    "270m": dict(hidden_size=640, head_dim=256, query_pre_attn_scalar=256, vocab_size=256, eoi=254, source=560,
                 target=12,
                 encoder=dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, intermediate_size=2048,
                              sliding_window=512, period=2),
                 decoder=dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, intermediate_size=2048,
                              sliding_window=512, period=2)),
}
ROWS = {"tiny": [*range(0, 12), 35, *range(60, 72)], "270m": [0, 255, 256, 303, 304, 559]}
TARGET_ROWS = {"tiny": [*range(6), 15, 16, 17, 39], "270m": [0, 1, 11]}
LOGIT_ROWS = {"tiny": [0, 1, 16, 39], "270m": [0, 1, 11]}


def text_config(size, stack):
    c = {k: SIZES[size][k] for k in ("hidden_size", "head_dim", "query_pre_attn_scalar", "vocab_size")}
    c.update(SIZES[size][stack])
    period = c.pop("period")
    c["layer_types"] = ["full_attention" if (i + 1) % period == 0 else "sliding_attention"
                        for i in range(c["num_hidden_layers"])]
    c["rope_parameters"] = {"full_attention": {"rope_type": "linear", "factor": 8., "rope_theta": 1e6},
                            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    return {**c, "max_position_embeddings": 4096}


def make_config(size):
    eoi = SIZES[size]["eoi"]
    vision = dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                  num_attention_heads=2, image_size=56, patch_size=14, vision_use_head=False)
    return T5Gemma2Config(
        encoder=dict(text_config=text_config(size, "encoder"), vision_config=vision, mm_tokens_per_image=1,
                     boi_token_index=eoi - 1, eoi_token_index=eoi, image_token_index=eoi + 1),
        decoder=text_config(size, "decoder"), image_token_index=eoi + 1, bos_token_id=2, eos_token_id=1, pad_token_id=0,
        architectures=["T5Gemma2ForConditionalGeneration"])


def rule(name, shape, hidden):
    """(mean, std): the first pattern that matches."""
    rules = [
        (r"decoder\.norm\.weight", -1., 8.),        # of both signs, or the tied head echoes its input
        (r"post_(self_attn|feedforward).*norm", -.7, .03),
        (r"self_attn\.[qk]_norm", .5, .1),
        (r"embed_tokens\.weight", 0., .5 * hidden ** -.5),
        (r"eoi_embedding", 0., .5),
    ]
    for pattern, mean, std in rules:
        if re.search(pattern, name):
            return mean, std
    return (0., .1) if len(shape) == 1 else (0., shape[-1] ** -.5)


def list_tensors(model, hidden):
    """The text network's, as the Hub names them."""
    for name, value in sorted(model.state_dict().items()):
        if re.search(r"vision_tower|multi_modal_projector|lm_head|decoder\.embed_tokens", name):
            continue
        hub = name.replace("encoder.text_model.", "encoder.")
        yield hub, tuple(value.shape), *rule(hub, value.shape, hidden)


def hooked(layers, call):
    """What @call returns, and the states after each of the layers."""
    states = []
    hooks = [layer.register_forward_hook(lambda m, a, out: states.append(out[0])) for layer in layers]
    result = call()
    for hook in hooks:
        hook.remove()
    return result, states


@torch.no_grad()
def encode(model, ids):
    """[layers + 2][N][hidden]."""
    text = model.model.encoder.text_model
    ids = torch.tensor(np.asarray(ids, np.int64))[None]
    out, states = hooked(text.layers, lambda: text(input_ids=ids).last_hidden_state[0])
    return torch.stack([text.embed_tokens(ids)[0], *states, out])


@torch.no_grad()
def decode(model, memory, ids):
    decoder = model.model.decoder
    ids = torch.tensor(np.asarray(ids, np.int64))[None]
    norm, states = hooked(decoder.layers, lambda: decoder(
        input_ids=ids, encoder_hidden_states=memory[None], use_cache=False).last_hidden_state[0])
    logits = model(encoder_outputs=BaseModelOutput(last_hidden_state=memory[None]), decoder_input_ids=ids).logits[0]
    return torch.stack([decoder.embed_tokens(ids)[0], *states, norm]).numpy(), logits.numpy()


def make_size(out, size):
    s, config = SIZES[size], make_config(size)
    config._attn_implementation = "eager"
    model = T5Gemma2ForConditionalGeneration(config).eval()
    tensors = list(list_tensors(model, s["hidden_size"]))
    language.load(model, tensors, lambda name: name.replace("model.encoder.", "model.encoder.text_model."), False)
    language.save_model(out, json.loads(config.to_json_string()), tensors)

    below = min(s["vocab_size"] - 3, 500)
    source, target = language.random_ids(below, s["source"]), language.random_ids(below, s["target"])[::-1].copy()
    source[5] = target[3] = s["eoi"]
    target[0] = 2
    states = encode(model, source)
    language.save(out, "source", source, np.int32)
    language.save(out, "source-rows", ROWS[size], np.int32)
    language.save(out, "source-states", states[:, ROWS[size]].reshape(-1, states.shape[-1]), np.float32)
    language.save_run(out, lambda ids: decode(model, states[-1], ids), target, TARGET_ROWS[size], LOGIT_ROWS[size])
    if size == "tiny":
        memory = encode(model, source[:PROMPT])[-1]
        language.save_greedy(out, lambda ids: decode(model, memory, ids), target, s["vocab_size"], 1)


def make(out):
    for size in SIZES:
        make_size(out / size, size)
    return {"seed": SEED, "weights": "float32"}
