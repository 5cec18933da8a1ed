#!/usr/bin/env python3
"""Train the embedded model on the CPU; stop it at any time, start it again and it goes on where it was.

    train.py --dir DIR [--steps N] [--init-gguf models/default] [options]

DIR/data comes from prepare-data.py. DIR/checkpoint.pt (weights, average, optimizer, step) is replaced every
--save-minutes and on SIGTERM; DIR/log.txt gets a line of losses every 20 steps and held-out error rates every
--eval-minutes. Without a checkpoint, --init-gguf starts from a shipped pair, and --init from checkpoints.
--learn encoder teaches the audio encoder by its CTC heads alone, --learn heads these, which are not exported; --learn model the
language model alone, by what kept.py has kept of the encoders. With --pictures a share of the parts are pictures with their descriptions, for which --init brings an
encoder that train-vision.py has taught to tell them apart.
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
import kept
import learning
import mobilenet_v5
import model
import pictures
import tokenizer as tok


EDGE = .25                              # audio tokens by which the times of words may be wrong
LATE = .425                             # a token has heard that much of the time before its own, and less of its own


def ctc(log, lengths, batch):
    """log [B,U,S] -> the mean loss of a letter"""
    loss = F.ctc_loss(log.transpose(0, 1), batch["ctc"], torch.tensor(lengths), batch["ctc_n"], zero_infinity=True, reduction="none")
    return (loss / batch["ctc_n"].clamp(min=1)).mean()


def listen(batch, w, c, a):
    """-> audio tokens, the CTC losses of frames and of tokens"""
    x, tap = model.encode(batch["mel"], w, c, a.ctc_layer, a.dropout)
    frames = batch["frames"].tolist()
    return x, {"ctc": ctc(model.letters(tap, w, "ctc"), [model.n_frames(n) for n in frames], batch),
               "token ctc": ctc(model.letters(x, w, "ctc_token"), [model.REDUCTION * model.n_tokens(n) for n in frames], batch)}


def misses(log, batch):
    """log [B,L,L]: weights of the alignment head -> the mean of -log of those on the tokens in which what comes next is said"""
    rows, cols = (t[known := batch["spans"][:, 0] >= 0] for t in batch["select"])
    if not len(rows):
        return log.new_zeros(())
    begin, end = (batch["spans"][known] + torch.tensor([LATE - EDGE, LATE + EDGE])).T[:, :, None]
    at = torch.arange(log.shape[2]) - batch["begin"][rows][:, None]
    share = torch.minimum(at + 1, end).sub(torch.maximum(at, begin)).clamp(0, 1)                 # of each token's time
    return -((log[rows, cols].exp() * share).sum(1) + 1e-4).log().mean()


def answers(batch, x, w, c, a, watched=None):
    """x [B,U/4,C]: audio tokens -> logits of the answers"""
    rows = torch.cat([model.soft_tokens(x[tuple(batch["soft"])], w), model.hard_tokens(torch.zeros_like(batch["end"][0]), w)])
    at = tuple(torch.cat([p, q]) for p, q in zip(batch["at"], batch["end"]))
    e, pli = model.embed(batch["ids"], rows, at, w, c)
    return model.forward(e, pli, w, c, tuple(batch["select"]), rate=a.dropout, watched=watched)


def sight(batch, w, c, a):
    """-> logits of the answers. A picture's keys and values are computed once, for all languages that it is described in."""
    x = batch["features"].float() if "features" in batch else \
        mobilenet_v5.tower(batch["pictures"].float() / 255, w).flatten(1, 2)[:, batch["seen"]]
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


def losses(batch, w, c, a):
    """-> what is minimized, what is reported"""
    watched, kind, loss = [], "", 0.
    if "mel" in batch:
        x, heard = listen(batch, w, c, a)
        report = {**heard, "/s clips": len(batch["mel"]), "/s s": batch["frames"].sum() / 100}
        loss = a.ctc * heard["ctc"] + a.token_ctc * heard["token ctc"]
        if a.learn in ("heads", "encoder"):
            return loss, report
        logits = answers(batch, x, w, c, a, watched)
    elif "tokens" in batch:
        logits, report = answers(batch, batch["tokens"].float(), w, c, a, watched), {"/s clips": len(batch["tokens"])}
    else:
        logits, kind, report = sight(batch, w, c, a), "picture ", {"/s answers": len(batch["of"])}
    if watched:
        report["aligned"] = misses(watched[0], batch)
        loss = loss + a.align * report["aligned"]
    lm = F.cross_entropy(logits, batch["label"], label_smoothing=a.smoothing)
    right = (logits.detach().argmax(-1) == batch["label"]).float().mean()
    return loss + lm, {kind + "lm": lm, kind + "right": right, **report}


def gradients(batch, w, c, a):
    """One thread's share of a step."""
    loss, report = losses(batch, w, c, a)
    names = [k for k in w if w[k].requires_grad]
    grads = torch.autograd.grad(loss, [w[k] for k in names], allow_unused=True)
    return {k: g for k, g in zip(names, grads) if g is not None}, {k: float(torch.as_tensor(v).detach()) for k, v in report.items()}


def starting_weights(a, c, letters, state):
    """Fresh ones, those of the pair, and those of checkpoints, the later over the earlier; of the picture encoder if it is
    trained or has been."""
    known = model.from_gguf(a.init_gguf, c) if a.init_gguf and state is None else {}
    for path in a.init if state is None else ():
        known |= torch.load(path, weights_only=True)["average"]
    weights = {**model.init(c, a.seed), **model.init_ctc(c, len(letters))}
    if a.pictures or any(map(mobilenet_v5.mine, state["weights"] if state else known)):
        weights |= mobilenet_v5.init(c.hidden, tok.RESERVED, a.seed)
    learning.take(weights, known)
    for k in weights:
        weights[k].requires_grad_(taught(k, a))
    return weights


def taught(name, a):
    encoder = name.startswith(("a.", "ctc"))
    return {"heads": name.startswith("ctc"), "encoder": encoder, "model": not encoder and not name.startswith("v."),
            "all": not (a.freeze_vision and name.startswith("v."))}[a.learn]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train")
    learning.arguments(ap)
    data.arguments(ap)
    ap.add_argument("--pictures", type=float, default=0., metavar="SHARE", help="of the parts that are pictures")
    ap.add_argument("--picture-dir", type=Path, help="of pictures.py; default: DIR/pictures")
    ap.add_argument("--picture-count", type=int, default=8, help="pictures in a part of a batch")
    ap.add_argument("--picture-languages", type=int, default=4, help="asked about each picture, English among them")
    ap.add_argument("--picture-tokens", type=int, default=32, help="of a picture's 256 that the model is shown in training")
    ap.add_argument("--freeze-vision", action="store_true", help="leave the picture encoder as it is")
    ap.add_argument("--init", type=Path, nargs="+", default=[], metavar="CHECKPOINT", help="whose averages to start from")
    ap.add_argument("--learn", choices=("all", "heads", "encoder", "model"), default="all",
                    help="encoder: of sounds, by its CTC heads alone; heads: only these, of a shipped encoder; "
                         "model: by what kept.py has kept of both encoders")
    ap.add_argument("--ctc", type=float, default=.5)
    ap.add_argument("--token-ctc", type=float, default=.5)
    ap.add_argument("--align", type=float, default=.2, help="weight of the alignment head's loss")
    ap.add_argument("--begun", type=float, default=.25,
                    help="share of what kept.py has kept that is shown as it is while it is being said")
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

    remembered = a.learn == "model"
    rows, features = (kept.Clips(a.dir / "kept", a.seed, a.begun), kept.Features(a.dir / "kept")) if remembered else (None, None)

    def batches():                              # the shards are looked at anew, so that more can be added while this runs
        clips = rows or data.batches(a, texts, letters)
        if not a.pictures:
            return clips
        return data.Mixed(clips, data.PictureBatches(stamps, a.seed, a.picture_count, a.picture_languages, a.picture_tokens, features),
                          a.pictures)

    quick = evaluate.quick_set(a.dir / "data", a.seed), evaluate.quick_pictures(stamps, a.seed) if stamps else []
    training.run(batches, lambda batch: gradients(batch, weights, c, a), quick, lambda w, q:
                 evaluate.spelled(w, c, letters, q[0], a.ctc_layer) if a.learn in ("heads", "encoder") else evaluate.quick(w, c, *q))


if __name__ == "__main__":
    learning.keep_memory()
    sys.exit(main())
