#!/usr/bin/env python3
"""What the encoders make of clips and compositions, kept on disk: train.py --learn model then teaches the language model
by it, several times as fast as with the encoders before it.

    kept.py --dir DIR --checkpoint FILE ... [--parts N] [--turns N] [--compositions N]

Writes DIR/kept: clips-NNNN.pt, rows of what is asked about the clips of a few of train.py's parts, and clips-turnN-NNNN.pt, about
every recording: (audio tokens [n,C], ids before them, ids behind them that are given, ids of the answer, when these are said
(data.spans_of)); and pictures.npy, the picture encoder's features of so many compositions of each description. What is there
already stays.
"""
import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

import data
import learning
import mel as melmod
import mobilenet_v5
import model
import pictures
import tokenizer as tok
from progress import progress

PARTS = 20                                              # of clips in a file
RECORDINGS = 200                                        # in one
EDGE = .5                                               # audio tokens: of the last one a quarter has been heard, and a word
                                                        # may lack its last 40 ms


class Clips(torch.utils.data.Dataset):
    """Rows of all files by length, @positions of them in a part: few are padding, and operations are large. Each time they
    come round the parts are others, other words are doubted, and @begun of the transcripts end earlier, with what is heard."""

    def __init__(self, directory, seed=0, begun=.25, positions=2048):
        self.seed, self.begun, self.positions, self.rows = seed, begun, positions, []
        self.tok = tok.Tokenizer()
        for path in sorted(Path(directory).glob("clips-*.pt")):
            self.rows += torch.load(path, weights_only=True)
        if not self.rows:
            raise SystemExit(f"{directory}: no clips; kept.py writes them")
        self.lengths = np.array([sum(map(len, row[:4])) for row in self.rows])
        self.count, self.turn = len(self.parts(0)), None

    def parts(self, turn):
        rng = np.random.default_rng([self.seed, turn, 6])
        out, longest = [[]], 0
        for row in np.argsort(self.lengths * rng.uniform(.95, 1.05, self.lengths.size), kind="stable"):
            longest = max(longest, self.lengths[row])
            if longest * (len(out[-1]) + 1) > self.positions and out[-1]:
                out.append([])
                longest = self.lengths[row]
            out[-1].append(row)
        return [out[i] for i in rng.permutation(len(out))]

    def so_far(self, row, rng):
        """A row as it is while it is being said: its first tokens, and the words that are over by then."""
        tokens, before, given, reply, spans = row
        starts = [i for i, id in enumerate(reply[:-1]) if self.tok.sp.id_to_piece(id)[0] == "\u2581" or i == 0]
        if len(tokens) < 2 or (starts and min(spans[:-1])[0] < 0):
            return row
        n = int(rng.integers(1, len(tokens)))
        if not starts:                                  # music, noise: as little is said so far
            return tokens[:n], before, given, reply, spans
        ends = [*starts[1:], len(reply) - 1]
        said = sum(spans[end - 1][1] < n - EDGE for end in ends)
        last = starts[said] if said < len(starts) else len(reply) - 1
        return tokens[:n], before, given, reply[:last] + reply[-1:], spans[:last] + spans[-1:]

    def __getitem__(self, k):
        if self.turn is None or self.turn[0] != k // self.count:
            self.turn = k // self.count, self.parts(k // self.count)
        rng = np.random.default_rng([self.seed, k, 7])
        drawn = [self.rows[i] for i in self.turn[1][k % self.count % len(self.turn[1])]]
        drawn = [self.so_far(row, rng) if rng.random() < self.begun else row for row in drawn]
        batch = data.sequences([(r, len(tokens), *ids) for r, (tokens, *ids, _) in enumerate(drawn)], tok.AUDIO,
                               [row[-1] for row in drawn])
        batch["tokens"] = torch.nn.utils.rnn.pad_sequence([row[0] for row in drawn], batch_first=True)
        return data.doubt(batch, rng)


class Features:
    """[descriptions, compositions, tokens, channels], mapped"""

    def __init__(self, directory):
        self.every = np.load(Path(directory) / "pictures.npy", mmap_mode="r")

    def of(self, label, rng, seen):
        """Those of @seen tokens of one of a description's compositions"""
        return np.asarray(self.every[label, int(rng.integers(self.every.shape[1]))])[seen]


# ---- writing ----------------------------------------------------------------------------------------------

def start(a):
    """A worker's own copies"""
    global args, w, c, clips, stamps
    torch.set_num_threads(1)
    args, states = a, [torch.load(path, weights_only=True) for path in a.checkpoint]
    w, state = {k: v for s in states for k, v in s["average"].items()}, next(s for s in states if "letters" in s)
    c = model.Config.of(state["config"])
    texts = json.loads((a.dir / "data/texts.json").read_text())
    clips = data.batches(a, texts, state["letters"])
    stamps = pictures.Stamps(a.dir / "pictures") if a.compositions else None


@torch.no_grad()
def rows_of(part):
    tokens, _ = model.encode(melmod.padded([clip.mel for clip in part]), w, c)
    return [(tokens[i, :n].half(), *ids, spans)
            for (i, n, *ids), spans in zip(data.rows_of(part, clips.tok), data.spans_of(part, clips.tok))]


def write_clips(path, first):
    learning.save(path, [row for k in range(first, first + PARTS) for row in rows_of(clips.clips(k))])


def write_recordings(path, first, turn):
    heard = clips.recordings(first, RECORDINGS, turn)
    learning.save(path, [row for at in range(0, len(heard), 8) for row in rows_of(heard[at:at + 8])])


@torch.no_grad()
def features(label):
    rng = np.random.default_rng([args.seed, label, 8])
    composed = [pictures.compose(stamps, stamps.draw(rng, label), rng) for _ in range(args.compositions)]
    return mobilenet_v5.tower(torch.from_numpy(np.stack(composed)).float() / 255, w).flatten(1, 2).half().numpy()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", type=Path, default=Path.home() / ".cache/gst-gemma/train")
    ap.add_argument("--checkpoint", type=Path, nargs="+", required=True, help="the later's weights over the earlier's")
    ap.add_argument("--parts", type=int, default=3000)
    ap.add_argument("--turns", type=int, default=1, help="that every recording has besides, cut as a voice gate cuts it")
    ap.add_argument("--compositions", type=int, default=0, help="of each description")
    data.arguments(ap)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--jobs", type=int, default=2)
    a = ap.parse_args()
    out = a.dir / "kept"
    out.mkdir(exist_ok=True)
    with ProcessPoolExecutor(a.jobs, initializer=start, initargs=(a,)) as pool:
        wanted = [(out / f"clips-{k:04d}.pt", PARTS * k) for k in range(a.parts // PARTS)]
        running = [pool.submit(write_clips, *x) for x in wanted if not x[0].exists()]
        count = len(data.Shards(a.dir / "data", lambda s: s == "human").items)
        for turn in range(a.turns):
            for first in range(0, count, RECORDINGS):
                path = out / f"clips-turn{turn}-{first:04d}.pt"
                running += [] if path.exists() else [pool.submit(write_recordings, path, first, turn)]
        for i, job in enumerate(running, 1):
            job.result()
            progress("clips", i, len(running))
        if a.compositions and not (out / "pictures.npy").exists():
            labels = range(len(pictures.Stamps(a.dir / "pictures").texts))
            rows = []
            for i, row in enumerate(pool.map(features, labels), 1):
                rows.append(row)
                progress("pictures", i, len(labels))
            np.save(out / "pictures.part.npy", np.stack(rows))
            (out / "pictures.part.npy").rename(out / "pictures.npy")


if __name__ == "__main__":
    learning.keep_memory()
    sys.exit(main())
