"""Parts of Gemma 3n (MatFormer): checkpoints sliced beforehand, which transformers' Gemma3nForCausalLM runs in float32.

The whole models are those of gemma3n.py; a case keeps some layers with the first part of their FFN, as Google's
slicing script does. For each case C what language.py lists, ids and weights apart, layers counted as those kept, and

    C/table.txt         the choice, as our submodel files have it
    C/switched.npy      [2][vocabulary], of "shared" only: logits of the two last ids in the whole model, whose cache
                        has the keys and values that the part made of the ids before
"""
import re

import numpy as np
import torch
from transformers import DynamicCache, Gemma3nForCausalLM, Gemma3nTextConfig

import gemma3n
import language

# size, positions, rows that are kept, table (0: skipped). Layers whose keys and values others read stay: 2 and 3 of tiny,
# 18 and 19 of small.
CASES = {
    "shared": ("tiny", 40, [0, 15, 16, 39], [64, 32, 128, 96, 0, 48]),
    "owned": ("tiny", 40, [0, 15, 16, 39], [0, 128, 64, 16, 32, 128]),
    "small": ("small", 104, [0, 64, 103], [256] * 10 + [512] * 5 + [256] * 5 + [0] * 3 + [512, 256]),
}


def kept(table):
    """The layers that a table keeps, 0 being one that is skipped."""
    return [i for i, width in enumerate(table) if width]


def sliced_config(config, table):
    layers, owned = kept(table), config.num_hidden_layers - config.num_kv_shared_layers
    return Gemma3nTextConfig(**{
        **config.to_dict(), "num_hidden_layers": len(layers), "intermediate_size": [table[i] for i in layers],
        "num_kv_shared_layers": sum(i >= owned for i in layers), "layer_types": [config.layer_types[i] for i in layers],
        "activation_sparsity_pattern": [config.activation_sparsity_pattern[i] for i in layers]},
        attn_implementation="eager")


def whole_name(name, table):
    """What the whole model calls the part's tensor: it counts the skipped layers, too."""
    return re.sub(r"(?<=\blayers\.)\d+", lambda layer: str(kept(table)[int(layer[0])]), name)


def sliced_tensor(name, x, config, table):
    """What the part has of the whole model's tensor of that name; x may be some of a table's rows."""
    layer, dim = re.search(r"\blayers\.(\d+)\.mlp\.", name), config.hidden_size_per_layer_input
    if layer and "down_proj" in name:
        return x[:, :table[int(layer[1])]]
    if layer:
        return x[:table[int(layer[1])]]
    if "embed_tokens_per_layer" in name:
        return x.unflatten(1, (-1, dim))[:, kept(table)].flatten(1)
    if "per_layer_model_projection" in name:
        return x.unflatten(0, (-1, dim))[kept(table)].flatten(0, 1)
    return x


def sliced(model, config, table):
    """The checkpoint that has only what table keeps."""
    result, whole = Gemma3nForCausalLM(sliced_config(config, table)).eval(), model.state_dict()
    names = {name: whole_name(name, table) for name in result.state_dict() if name != "lm_head.weight"}
    missing, _ = result.load_state_dict(
        {name: sliced_tensor(own, whole[own], config, table) for name, own in names.items()}, strict=False)
    assert all(name == "lm_head.weight" for name in missing), missing
    result.tie_weights()
    return result


@torch.no_grad()
def switched(whole, part, ids):
    """Only layers that own keys and values have a cache: the same ones in both, if none of them is skipped."""
    ids = torch.tensor(np.asarray(ids, np.int64))[None]
    cache = DynamicCache(config=part.config)
    part(input_ids=ids[:, :-2], past_key_values=cache, use_cache=True)
    logits = []
    for i in -2, -1:
        out = whole(input_ids=ids[:, ids.shape[1] + i:][:, :1], past_key_values=cache, use_cache=True)
        logits.append(out.logits[0, -1].numpy())
    return np.stack(logits)


def make(out):
    for case, (size, positions, rows, table) in CASES.items():
        c, text, mm = gemma3n.text_config(size)
        config = Gemma3nTextConfig(**c, attn_implementation="eager")
        whole = Gemma3nForCausalLM(config).eval()
        language.load(whole, gemma3n.tensor_list(whole, config),
                      lambda name: name.replace("model.language_model.", "model.", 1), False)
        part = sliced(whole, config, table)
        folder = out / case
        folder.mkdir(exist_ok=True)
        lines = [f"{i} {width or 'skip'}" for i, width in enumerate(table) if width != config.intermediate_size[i]]
        (folder / "table.txt").write_text("\n".join([f"# a part of {size}", *lines]) + "\n")
        ids = language.random_ids(text - 2, positions)
        language.save_run(folder, lambda ids: gemma3n.run(part, ids), ids, rows, rows)
        language.save_greedy(folder, lambda ids: gemma3n.run(part, ids), ids, text)
        if case == "shared":
            language.save(folder, "switched", switched(whole, part, ids), np.float32)
            changed = np.abs(switched(whole, part, ids)[-1] - gemma3n.run(whole, ids)[1][-1]).max()
            print("a cache of the whole model would change the logits by", changed)
    return {"seed": language.SEED, "weights": "float32"}
