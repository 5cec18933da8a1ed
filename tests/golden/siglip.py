"""Gemma 3 and T5Gemma 2 with pictures on seeded weights, in float32, from transformers' Gemma3ForConditionalGeneration
and T5Gemma2ForConditionalGeneration, SigLIP included. Besides what language.py lists (of T5Gemma 2 with the source, as
t5gemma2.py has it), for each

    S/preprocessor_config.json      how pixels are normalized
    S/R.txt, S/R.npy                samples (sampled.py) of SigLIP's embeddings, layers, last norm and soft tokens, of
                                    pixels in [0, 1] at the model's own resolution R

Prompts have pictures: Gemma 3's two, the second the first's negative; T5Gemma 2's source one. The greedy ids follow the
whole of it. Gemma 3's window is shorter than a picture. Heads and widths are no multiples of anything.
"""
import json
import re

import numpy as np
import torch
from transformers import (Gemma3Config, Gemma3ForConditionalGeneration, T5Gemma2Config,
                          T5Gemma2ForConditionalGeneration)
from transformers.modeling_outputs import BaseModelOutputWithPooling

import gemma3
import language
import sampled
import t5gemma2
from language import SEED

IMAGE, BOI, EOI = 4032, 4030, 4031
TOKENS = 256
VISION = {
    "gemma3": dict(hidden_size=60, intermediate_size=100, num_hidden_layers=3, num_attention_heads=5, patch_size=14,
                   image_size=448),
    "t5gemma2": dict(hidden_size=72, intermediate_size=150, num_hidden_layers=2, num_attention_heads=4, patch_size=4,
                     image_size=192),
}
NORMALIZE = {"gemma3": {"image_mean": [.5] * 3, "image_std": [.5] * 3},
             "t5gemma2": {"image_mean": [.4, .5, .6], "image_std": [.25, .5, .75]}}


def vision_config(size):
    return dict(model_type="siglip_vision_model", vision_use_head=False, **VISION[size])


def gemma3_config():
    """In the Hub's form."""
    text = {**gemma3.text_config("tiny"), "sliding_window": 100}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text,
            "vision_config": vision_config("gemma3"), "mm_tokens_per_image": TOKENS, "boi_token_index": BOI,
            "eoi_token_index": EOI, "image_token_index": IMAGE, "eos_token_id": [1, 106]}


def t5gemma2_config():
    ids = dict(boi_token_index=BOI, eoi_token_index=EOI, image_token_index=IMAGE)
    encoder = dict(text_config=t5gemma2.text_config("tiny", "encoder"), vision_config=vision_config("t5gemma2"),
                   mm_tokens_per_image=TOKENS, **ids)
    return T5Gemma2Config(encoder=encoder, decoder=t5gemma2.text_config("tiny", "decoder"), image_token_index=IMAGE,
                          bos_token_id=2, eos_token_id=1, pad_token_id=0,
                          architectures=["T5Gemma2ForConditionalGeneration"])


def is_of_pictures(name):
    return re.search(r"vision_tower|multi_modal_projector", name) is not None


def rule(name, shape, text_rule):
    if not is_of_pictures(name):
        return text_rule(name, shape)
    if "layer_norm" in name or "layernorm" in name:
        return (1., .1) if name.endswith("weight") else (0., .1)
    if "mm_soft_emb_norm" in name:
        return 0., .1
    if len(shape) == 1:
        return 0., .1
    if "mm_input_projection" in name:
        return 0., .5 * shape[0] ** -.5         # [inputs][outputs]
    return 0., (2. if re.search("[qk]_proj", name) else 1.) * int(np.prod(shape[1:])) ** -.5


def hub_name(name):
    name = re.sub(r"vision_tower\.(vision_model\.)?", "vision_tower.vision_model.", name)
    return name.replace("encoder.text_model.", "encoder.")


def list_tensors(model, text_rule):
    """(name on the Hub, shape, mean, deviation) of all, and the module's own name for each."""
    state = model.state_dict()
    own = {hub_name(n): n for n in state if not re.search(r"lm_head|decoder\.embed_tokens", n)}
    return [(n, tuple(state[own[n]].shape), *rule(n, state[own[n]].shape, text_rule)) for n in sorted(own)], own


def load(model, text_rule):
    tensors, own = list_tensors(model, text_rule)
    language.load(model, tensors, own.get, False)
    return tensors


def pictures(size, n):
    """[n][3][R][R] in [0, 1], and normalized."""
    one = sampled.pixels(VISION[size]["image_size"])
    both = torch.stack([one, 1 - one][:n])
    mean, std = (torch.tensor(NORMALIZE[size][k])[:, None, None] for k in ("image_mean", "image_std"))
    return (both - mean) / std


@torch.no_grad()
def see(out, size, owner, n):
    """What @owner, which has the tower, makes of @n pictures; samples of the first's layers are kept."""
    kept, tower = {}, owner.vision_tower
    tower = getattr(tower, "vision_model", tower)

    def keep(name):
        def hook(module, args, result):
            kept[name] = sampled.sample_rows(result)
        return hook
    hooks = [tower.embeddings.register_forward_hook(keep("embed"))]
    hooks += [layer.register_forward_hook(keep(f"layer{i}")) for i, layer in enumerate(tower.encoder.layers)]
    hooks.append(tower.post_layernorm.register_forward_hook(keep("norm")))
    pixels = pictures(size, n)
    owner.get_image_features(pixels[:1], return_dict=True)
    for hook in hooks:
        hook.remove()
    soft = owner.get_image_features(pixels, return_dict=True).pooler_output
    kept["soft"] = sampled.sample_rows(soft[:1])
    sampled.save(out, VISION[size]["image_size"], kept)
    return soft


def with_pictures(ids, places):
    """@ids with a picture before each of @places."""
    parts, last = [], 0
    for place in places:
        parts += [ids[last:place], [BOI], [IMAGE] * TOKENS, [EOI]]
        last = place
    return np.concatenate([*parts, ids[last:]]).astype(np.int64)


def finish(out, size, config, tensors):
    language.save_model(out, config, tensors)
    (out / "preprocessor_config.json").write_text(json.dumps(
        {"do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 2, **NORMALIZE[size]}) + "\n")


def make_gemma3(out):
    config = gemma3_config()
    model = Gemma3ForConditionalGeneration(Gemma3Config(
        **{k: v for k, v in config.items() if k != "model_type"}, attn_implementation="eager")).eval()
    text = model.config.text_config
    finish(out, "gemma3", config, load(
        model, lambda n, s: gemma3.rule(n.replace("language_model.", ""), s, text)))
    soft = BaseModelOutputWithPooling(pooler_output=see(out, "gemma3", model.model, 2))

    @torch.no_grad()
    def run(ids):
        ids = torch.tensor(np.asarray(ids, np.int64))[None]
        language_model, states = model.model.language_model, []
        hooks = [layer.register_forward_hook(lambda m, a, o: states.append(o[0])) for layer in language_model.layers]
        hooks.append(language_model.layers[0].register_forward_pre_hook(lambda m, a: states.append(a[0][0])))
        hooks.append(language_model.norm.register_forward_hook(lambda m, a, o: states.append(o[0])))
        logits = model(input_ids=ids, token_type_ids=(ids == IMAGE).long(), mm_encoder_outputs={"image": soft},
                       use_cache=False).logits[0]
        for hook in hooks:
            hook.remove()
        return torch.stack(states).numpy(), logits.numpy()

    ids = with_pictures(language.random_ids(500, 60), [9, 30])
    rows = [0, 9, 10, 11, 137, 264, 265, 266, 267, 285, 288, 289, 290, 400, 543, 544, 545, 546, 570, len(ids) - 1]
    language.save_run(out, run, ids, rows, [0, 10, 300, len(ids) - 1])
    language.save_greedy(out, run, ids, IMAGE, len(ids))


def make_t5gemma2(out):
    config = t5gemma2_config()
    config._attn_implementation = "eager"
    model = T5Gemma2ForConditionalGeneration(config).eval()
    finish(out, "t5gemma2", json.loads(config.to_json_string()),
           load(model, lambda n, s: t5gemma2.rule(n, s, t5gemma2.SIZES["tiny"]["hidden_size"])))
    encoder = model.model.encoder
    soft = see(out, "t5gemma2", encoder, 1)[0]
    source = with_pictures(language.random_ids(500, 40), [9])
    target = language.random_ids(500, 20)[::-1].copy()
    target[0] = 2
    with torch.no_grad():
        text, ids = encoder.text_model, torch.tensor(source)[None]
        embedded = text.embed_tokens(ids)
        embedded[ids == IMAGE] = soft
        norm, states = t5gemma2.hooked(text.layers, lambda: encoder(
            input_ids=ids, pixel_values=pictures("t5gemma2", 1)).last_hidden_state[0])
        states = torch.stack([embedded[0], *states, norm])
    rows = [0, 9, 10, 11, 12, 137, 264, 265, 266, 267, 280, len(source) - 1]
    language.save(out, "source", source, np.int32)
    language.save(out, "source-rows", rows, np.int32)
    language.save(out, "source-states", states[:, rows].reshape(-1, states.shape[-1]), np.float32)
    language.save_run(out, lambda ids: t5gemma2.decode(model, states[-1], ids), target, range(0, 20, 3), [0, 19])
    language.save_greedy(out, lambda ids: t5gemma2.decode(model, states[-1], ids), target, IMAGE, 1)


def make(out):
    for size, make_size in ("gemma3", make_gemma3), ("t5gemma2", make_t5gemma2):
        (out / size).mkdir(exist_ok=True)
        make_size(out / size)
    return {"seed": SEED, "weights": "float32"}
