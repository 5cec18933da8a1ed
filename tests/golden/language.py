"""What the golden data of all language models have in common: loading of seeded weights, greedy ids, the files.

For a size S, `run (ids)` being the states [layers + 2][T][hidden] and the logits [T][vocabulary] of the reference:

    S/config.json   as on the Hub           S/tensors.txt   list of seeded tensors (seeded.py)
    S/ids.npy       [T] random ids, longer than the window
    S/rows.npy      positions of which states are kept; S/states.npy [(layers + 2) * rows][hidden]: the embeddings,
                    the state after every layer, the normed output
    S/logit-rows.npy and S/logits.npy [rows][vocabulary]
    S/greedy.npy    greedy text ids after ids[:PROMPT]; S/margins.npy best less second-best logit of each
"""
import json

import numpy as np
import torch

import seeded

SEED = 3
PROMPT, GREEDY = 24, 64


def load(model, tensors, to_own_name, bf16):
    own = model.state_dict()
    with torch.no_grad():
        for name, shape, mean, std in tensors:
            name_here = to_own_name(name)
            if name_here in own:
                own[name_here].copy_(torch.from_numpy(seeded.fill(name, shape, SEED, mean, std, bf16)))
    model.tie_weights()


def random_ids(below, n):
    ids = np.random.default_rng(SEED).integers(3, below, n)
    ids[0] = 2
    return ids


def save(out, name, x, kind):
    np.save(out / f"{name}.npy", np.ascontiguousarray(x, kind))


def save_model(out, config, tensors):
    out.mkdir(exist_ok=True)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    seeded.write_list(out / "tensors.txt", tensors)


def save_run(out, run, ids, rows, logit_rows):
    states, logits = run(ids)
    save(out, "ids", ids, np.int32)
    save(out, "rows", list(rows), np.int32)
    save(out, "states", states[:, list(rows)].reshape(-1, states.shape[-1]), np.float32)
    save(out, "logit-rows", list(logit_rows), np.int32)
    save(out, "logits", logits[list(logit_rows)], np.float32)
    print(out.name, "logits std", logits.std(), "state rms",
          [round(float(np.sqrt((s ** 2).mean())), 2) for s in states])


def save_greedy(out, run, ids, n_text, prompt=PROMPT):
    """Of the first n_text ids only: a soft id could not be fed back."""
    ids, margins = list(ids[:prompt]), []
    for _ in range(GREEDY):
        last = run(ids)[1][-1][:n_text]
        best = np.sort(last)
        ids.append(int(last.argmax()))
        margins.append(best[-1] - best[-2])
    save(out, "greedy", ids[-GREEDY:], np.int32)
    save(out, "margins", margins, np.float32)
    print(out.name, "smallest margin", min(margins), "different ids", len(set(ids[-GREEDY:])))
