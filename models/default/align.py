#!/usr/bin/env python3
"""Where the words of each clip are: train.py then cuts long clips into pieces, as a voice gate does.

    align.py --dir DIR [--jobs 2]

Writes DIR/data/NAME.cuts for each NAME.json of prepare-data.py that has none, with DIR/checkpoint.pt's CTC head: for
each clip the places between its words and how long it is quiet there (in samples), and how badly each word fits what
is heard: some recordings say more than their texts, or something else. The path through the characters is the most
likely one (Graves et al. 2006, by Viterbi).
"""
import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

import corpus
import data
import mel as melmod
import model
from progress import progress

FRAME = 640                                             # samples of the CTC head's frames


def path(log, labels):
    """log [U,symbols], labels [n] -> the frame at which each label is most likely, log probability of the path [U];
    None if there are too few frames"""
    states = np.zeros(2 * len(labels) + 1, np.int64)
    states[1::2] = labels
    skip = np.zeros(len(states), bool)
    skip[3::2] = labels[1:] != labels[:-1]
    score = np.full(len(states), -np.inf, np.float32)
    score[:2] = log[0, states[:2]]
    came = np.zeros((len(log), len(states)), np.int8)
    for u in range(1, len(log)):
        before, jump = np.r_[-np.inf, score[:-1]], np.r_[-np.inf, -np.inf, score[:-2]]
        ways = np.stack([score, before, np.where(skip, jump, -np.inf)])
        came[u] = ways.argmax(0)
        score = ways.max(0) + log[u, states]
    s = len(states) - 1 - int(score[-2] > score[-1])
    if not np.isfinite(score[s]):
        return None
    peak, best = np.zeros(len(labels), np.int64), np.full(len(labels), -np.inf, np.float32)
    along = np.zeros(len(log), np.float32)
    for u in range(len(log) - 1, -1, -1):
        k, along[u] = s // 2, log[u, states[s]]
        if s % 2 and log[u, labels[k]] > best[k]:
            best[k], peak[k] = log[u, labels[k]], u
        s -= int(came[u, s])
    return peak, along


def quietest(loud, first, last):
    """The quietest moment of a stretch, or the middle of the pause that it lies in; and how long that is"""
    a, b = min(first * FRAME // data.QUIET, len(loud) - 1), min(last * FRAME // data.QUIET + 1, len(loud))
    at = a + int(loud[a:max(b, a + 1)].argmin())
    limit = data.silence(loud)
    if loud[at] > limit:
        return at * data.QUIET + data.QUIET // 2, 0
    low = high = at
    while low > 0 and loud[low - 1] <= limit:
        low -= 1
    while high + 1 < len(loud) and loud[high + 1] <= limit:
        high += 1
    return (low + high + 1) * data.QUIET // 2, (high + 1 - low) * data.QUIET


def cuts(x, text, log, letters):
    """-> {"cuts": [[sample, quiet samples] between one blank-separated word and the next],
    "worse": [by how much the text's path is less likely than what is heard, for each word]}, or None"""
    labels, ends, starts, words = [], [], [], text.split()
    for word in words:                                  # a word may have several parts ("l'appel") or none ("-")
        parts = " ".join(corpus.words(word))
        if parts and labels:
            labels.append(letters[" "])
        starts.append(len(labels))
        labels += [letters[ch] for ch in parts if ch in letters]
        ends.append(max(len(labels) - 1, 0))
    found = path(log, np.array(labels)) if labels else None
    if found is None:
        return None
    peak, loud, worse = found[0], data.loudness(x), log.max(1) - found[1]
    places = [quietest(loud, int(peak[ends[i]]), int(peak[min(starts[i + 1], len(labels) - 1)]))
              for i in range(len(words) - 1)]
    frames = [0, *(p[0] // FRAME for p in places), len(log)]
    fit = [float(worse[a:max(b, a + 1)].sum()) for a, b in zip(frames, frames[1:])]
    return {"cuts": places, "worse": [round(f, 2) for f in fit]}


@torch.no_grad()
def align(shards, stem, w, c, letters, pool, ctc_layer):
    items = sorted((i for i in shards.items if i["shard"] == stem), key=lambda i: i["n"])
    wanted = [i for i in items if len(i["text"].split()) > 1]
    out, at = {}, 0
    while at < len(wanted):
        group = wanted[at:at + max(1, int(60 * data.RATE / wanted[at]["n"]))]
        at += len(group)
        xs = [np.array(shards.samples(i)) for i in group]
        mels = [melmod.log_mel(torch.from_numpy(x.astype(np.float32) / 32768)) for x in xs]
        _, tap = model.encode(melmod.padded(mels), w, c, ctc_layer)
        log = model.letters(tap, w, "ctc").numpy()
        jobs = [pool.submit(cuts, x, i["text"], log[r, :model.n_frames(len(m))], letters)
                for r, (i, x, m) in enumerate(zip(group, xs, mels))]
        for i, job in zip(group, jobs):
            out[f"{i['lang']} {i['name']}"] = job.result()
        progress(stem, at, len(wanted))
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train")
    ap.add_argument("--checkpoint", type=Path, help="default: DIR/checkpoint.pt")
    ap.add_argument("--ctc-layer", type=int, default=4)
    ap.add_argument("--jobs", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.jobs)
    state = torch.load(a.checkpoint or a.dir / "checkpoint.pt", weights_only=True)
    c, w = model.Config.of(state["config"]), state["average"]
    letters = {ch: k for k, ch in enumerate(state["letters"])}
    shards = data.Shards(a.dir / "data", lambda s: s not in data.ASIDE)
    with ThreadPoolExecutor(a.jobs) as pool:
        for stem in sorted(shards.maps, key=lambda s: s != "human"):
            target = a.dir / "data" / f"{stem}.cuts"
            if not target.exists():
                target.write_text(json.dumps(align(shards, stem, w, c, letters, pool, a.ctc_layer)))


if __name__ == "__main__":
    sys.exit(main())
