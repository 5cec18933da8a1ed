#!/usr/bin/env python3
"""Train the embedded model on the CPU; stop it at any time, start it again and it goes on where it was.

    train.py --dir DIR [--steps N] [--init-gguf models/default] [options]

DIR/data comes from prepare-data.py. DIR/checkpoint.pt (weights, average, optimizer, step) is replaced every
--save-minutes and on SIGTERM; DIR/log.txt gets a line of losses every 20 steps and held-out error rates every
--eval-minutes. Without a checkpoint, --init-gguf starts from a shipped pair.
With --pictures a share of the parts are pictures with their descriptions, for which --init-vision brings an encoder that
train-vision.py has taught to tell them apart; a checkpoint keeps it from then on.
Matrices inside the networks are stepped by Muon, everything else by AdamW; the rate warms up, stays, and falls to 0 over
the last --decay share of --steps (raise --steps to go on). What is exported is a running average of the weights.
"""
import argparse
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import data
import evaluate
import learning
import mobilenet_v5
import model
import pictures
import tokenizer as tok


def speech(batch, w, c, a):
    """-> logits of the answers, the CTC loss"""
    x, tap = model.encode(batch["mel"], w, c, a.ctc_layer, a.dropout)
    log = F.log_softmax(F.linear(tap, w["ctc.weight"], w["ctc.bias"]), -1)
    frames = torch.tensor([model.n_frames(int(n)) for n in batch["frames"]])
    ctc = F.ctc_loss(log.transpose(0, 1), batch["ctc"], frames, batch["ctc_n"], zero_infinity=True, reduction="none")
    rows = torch.cat([model.soft_tokens(x[tuple(batch["soft"])], w), model.hard_tokens(torch.zeros_like(batch["end"][0]), w)])
    at = tuple(torch.cat([p, q]) for p, q in zip(batch["at"], batch["end"]))
    e, pli = model.embed(batch["ids"], rows, at, w, c)
    return model.forward(e, pli, w, c, tuple(batch["select"]), rate=a.dropout), (ctc / batch["ctc_n"].clamp(min=1)).mean()


def sight(batch, w, c, a):
    """-> logits of the answers. A picture's keys and values are computed once, for all languages that it is described in."""
    with torch.set_grad_enabled(not a.freeze_vision):
        x = mobilenet_v5.tower(batch["pictures"].float() / 255, w).flatten(1, 2)[:, batch["seen"]]
    cache, prefix, places, nothing = {}, batch["prefix"], batch["places"], torch.zeros(0, dtype=torch.long)
    b, n = x.shape[:2]
    soft = torch.cat([model.soft_tokens(x, w, "mm."), model.hard_tokens(torch.zeros(b, 1, dtype=torch.long), w, "mm.")], 1)
    at = torch.arange(b).repeat_interleave(n + 1), torch.arange(batch["first"], batch["first"] + n + 1).repeat(b)
    e, pli = model.embed(prefix, soft.flatten(0, 1), at, w, c)
    model.forward(e, pli, w, c, (nothing, nothing), cache, rate=a.dropout, places=places, bias=batch["bias"])
    cache = {i: tuple(t[batch["of"]] for t in kv) for i, kv in cache.items()}
    e, pli = model.embed(batch["ids"], None, None, w, c)
    rest = torch.arange(batch["ids"].shape[1])
    places, bias = torch.cat([places, places[-1] + 1 + rest]), torch.cat([batch["bias"], torch.zeros(len(rest))])
    return model.forward(e, pli, w, c, tuple(batch["select"]), cache, prefix.shape[1], a.dropout, places, bias)


def gradients(batch, w, c, a):
    """One thread's share of a step."""
    names, seen = list(w), "pictures" in batch
    logits, ctc = (sight(batch, w, c, a), None) if seen else speech(batch, w, c, a)
    lm = F.cross_entropy(logits, batch["label"], label_smoothing=a.smoothing)
    loss = lm if seen else lm + a.ctc * ctc
    grads = torch.autograd.grad(loss, [w[k] for k in names], allow_unused=True)
    right = (logits.detach().argmax(-1) == batch["label"]).float().mean()
    if seen:
        report = {"picture lm": lm, "picture right": right, "/s pictures": len(batch["pictures"])}
    else:
        report = {"lm": lm, "ctc": ctc, "right": right, "/s clips": len(batch["mel"]), "/s s": batch["frames"].sum() / 100}
    return {k: g for k, g in zip(names, grads) if g is not None}, {k: float(torch.as_tensor(v).detach()) for k, v in report.items()}


def starting_weights(a, c, letters, state):
    """Those of the pair or fresh ones; those of the picture encoder if they are trained or have been."""
    weights = {**model.init(c, a.seed), **model.init_ctc(c, len(letters))}
    seen = state["weights"] if state else {}
    if a.pictures or any(map(mobilenet_v5.mine, seen)):
        weights |= mobilenet_v5.init(c.hidden, tok.RESERVED, a.seed)
    known = model.from_gguf(a.init_gguf, c) if a.init_gguf and state is None else {}
    if a.init_vision and not any(map(mobilenet_v5.mine, seen)):
        known |= {k: v for k, v in torch.load(a.init_vision, weights_only=True)["average"].items() if mobilenet_v5.mine(k)}
    with torch.no_grad():
        for k in weights.keys() & known.keys():
            weights[k].copy_(known[k])
    return weights


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train")
    learning.arguments(ap)
    ap.add_argument("--seconds", type=float, default=13., help="of audio in a part of a batch")
    ap.add_argument("--human", type=float, default=.45, help="share of recordings among the clips")
    ap.add_argument("--extra", type=float, default=.25, help="share of clips with a second task (translate, chain)")
    ap.add_argument("--longest", type=float, default=11., help="clip, in seconds; longer ones are cut")
    ap.add_argument("--pictures", type=float, default=0., metavar="SHARE", help="of the parts that are pictures")
    ap.add_argument("--picture-dir", type=Path, help="of pictures.py; default: DIR/pictures")
    ap.add_argument("--picture-count", type=int, default=8, help="pictures in a part of a batch")
    ap.add_argument("--picture-languages", type=int, default=4, help="asked about each picture, English among them")
    ap.add_argument("--picture-tokens", type=int, default=32, help="of a picture's 256 that the model is shown in training")
    ap.add_argument("--freeze-vision", action="store_true", help="leave the picture encoder as it is")
    ap.add_argument("--init-vision", type=Path, help="train-vision.py's checkpoint, for one that has seen no pictures")
    ap.add_argument("--ctc", type=float, default=.5)
    ap.add_argument("--ctc-layer", type=int, default=4)
    ap.add_argument("--dropout", type=float, default=0.)
    ap.add_argument("--init-gguf", type=Path)
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    print("torch", torch.__version__, "seed", a.seed)
    texts = json.loads((a.dir / "data/texts.json").read_text())
    letters = data.alphabet(texts)
    c, state = model.Config(), learning.load(a.dir)
    weights = starting_weights(a, c, letters, state)
    unused = {f"blk.{i}.attn_{k}.weight" for i in range(c.layers - c.shared, c.layers) for k in "kv"}   # shared K and V
    training = learning.Training(a, weights, state, {"config": c.dict(), "letters": letters}, unused)
    print(f"{sum(v.numel() for k, v in weights.items() if not k.startswith('ctc')) / 1e6:.2f} M parameters, "
          f"from step {training.step}")
    stamps = pictures.Stamps(a.picture_dir or a.dir / "pictures") if a.pictures else None

    def batches():                              # the shards are looked at anew, so that more can be added while this runs
        clips = data.Batches(a.dir / "data", texts, letters, a.seed, a.seconds, a.human, a.extra, a.longest)
        if not a.pictures:
            return clips
        return data.Mixed(clips, data.PictureBatches(stamps, a.seed, a.picture_count, a.picture_languages, a.picture_tokens),
                          a.pictures)

    quick = evaluate.quick_set(a.dir / "data", a.seed), evaluate.quick_pictures(stamps, a.seed) if stamps else []
    training.run(batches, lambda batch: gradients(batch, weights, c, a), quick, lambda w, q: evaluate.quick(w, c, *q))


if __name__ == "__main__":
    learning.keep_memory()
    sys.exit(main())
