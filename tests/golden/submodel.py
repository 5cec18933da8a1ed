"""Parts of Gemma 3n (MatFormer): checkpoints sliced beforehand, which transformers' Gemma3nForCausalLM runs in float32.

The whole models are those of gemma3n.py; a case keeps some layers with the first part of their FFN, as Google's
slicing script does. For each case C what language.py lists, ids and weights apart, layers counted as those kept, and

    C/table.txt         the choice, as our submodel files have it
    C/switched.npy      [2][vocabulary], of "shared" only: logits of the two last ids in the whole model, whose cache
                        has the keys and values that the part made of the ids before
"""
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


def sliced(model, config, table):
    """The checkpoint that has only what table keeps."""
    kept = [i for i, width in enumerate(table) if width]
    owned, dim = config.num_hidden_layers - config.num_kv_shared_layers, config.hidden_size_per_layer_input
    part = Gemma3nTextConfig(**{
        **config.to_dict(), "num_hidden_layers": len(kept), "intermediate_size": [table[i] for i in kept],
        "num_kv_shared_layers": sum(i >= owned for i in kept), "layer_types": [config.layer_types[i] for i in kept],
        "activation_sparsity_pattern": [config.activation_sparsity_pattern[i] for i in kept]},
        attn_implementation="eager")
    columns = torch.cat([torch.arange(i * dim, (i + 1) * dim) for i in kept])
    state = {}
    for name, x in model.state_dict().items():
        words = name.split(".")
        if "layers" in words:
            at = words.index("layers") + 1
            layer = int(words[at])
            if layer not in kept:
                continue
            words[at] = str(kept.index(layer))
            if words[-2] in ("gate_proj", "up_proj"):
                x = x[:table[layer]]
            elif words[-2] == "down_proj":
                x = x[:, :table[layer]]
        elif words[-2] == "embed_tokens_per_layer":
            x = x[:, columns]
        elif words[-2] == "per_layer_model_projection":
            x = x[columns]
        state[".".join(words)] = x
    result = Gemma3nForCausalLM(part).eval()
    missing, unknown = result.load_state_dict(state, strict=False)
    assert not unknown and all(name == "lm_head.weight" for name in missing), (missing, unknown)
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
