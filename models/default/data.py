"""Batches for training: clips drawn, joined and roughened, with the tasks asked about them.

Batch k depends on (seed, k) and the shards present only, so a training that is killed resumes with the same data.
"""
import json
import random
import zlib
from bisect import bisect_left
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
import torch

import corpus
import mel as melmod
import model
import tokenizer as tok

RATE = corpus.RATE


class Shards:
    """Clips of prepare-data.py, mapped; items sorted by length."""

    def __init__(self, directory, wanted):
        self.items, self.maps, self.version = [], {}, 0
        for path in sorted(Path(directory).glob("*.json")):
            if path.stem == "texts" or not wanted(path.stem):
                continue
            self.maps[path.stem] = np.memmap(path.with_suffix(".i16"), np.int16, "r")
            for item in json.loads(path.read_text()):
                item["shard"] = path.stem
                self.items.append(item)
        self.items.sort(key=lambda i: (i["n"], i["shard"], i["lang"], i["name"]))
        self.lengths = [i["n"] for i in self.items]

    def samples(self, item):
        return self.maps[item["shard"]][item["at"]:item["at"] + item["n"]]


def only(shards, keep):
    out = object.__new__(Shards)
    out.maps, out.items = shards.maps, [i for i in shards.items if keep(i)]
    out.lengths = [i["n"] for i in out.items]
    return out


def alphabet(texts):
    """Characters of the CTC head; 0 is its blank."""
    return "\0 " + "".join(sorted({ch for t in texts.values() for s in t.values() for w in corpus.words(s) for ch in w}))


# ---- roughening -------------------------------------------------------------------------------------------

def band(x, low, high):
    n = scipy.fft.next_fast_len(len(x), real=True)
    f = scipy.fft.rfft(x, n)
    hz = scipy.fft.rfftfreq(n, 1 / RATE)
    f[(hz < low) | (hz > high)] *= 0.01
    return scipy.fft.irfft(f, n)[:len(x)].astype(np.float32)


def coloured(n, rng, slope):
    """Noise whose amplitude falls with f^-slope."""
    fast = scipy.fft.next_fast_len(n, real=True)
    f = scipy.fft.rfft(rng.standard_normal(fast, np.float32))
    f[1:] *= np.arange(1, len(f), dtype=np.float32) ** -slope
    f[0] = 0
    x = scipy.fft.irfft(f, fast)[:n]
    return (x / (x.std() + 1e-9)).astype(np.float32)


def room(x, rng):
    t = rng.uniform(.1, .5)
    n = int(t * RATE)
    h = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(.02, .12)
    h[0] = 1.
    return scipy.signal.fftconvolve(x, h)[:len(x)].astype(np.float32)


def level(x):
    return float(np.sqrt(np.mean(np.square(x)) + 1e-12))


def add_noise(x, snr, rng, slope):
    return x + coloured(len(x), rng, slope) * level(x) * 10 ** (-snr / 20)


def stretch(x, factor):
    """Speed and pitch together."""
    n = int(len(x) / factor)
    return np.interp(np.arange(n) * factor, np.arange(len(x)), x).astype(np.float32)


def roughen(x, rng, human):
    x = stretch(x, rng.uniform(.9, 1.1))
    before, after = int(rng.uniform(0, .6) * RATE), int(rng.uniform(0, .6) * RATE)
    x = np.concatenate([np.zeros(before, np.float32), x, np.zeros(after, np.float32)])
    if rng.random() < .12:
        x = room(x, rng)
    if rng.random() < (.06 if human else .15):
        x = band(x, rng.uniform(150, 400), rng.uniform(3000, 4000))
    elif rng.random() < .3:                                                 # a tilt, as of another microphone
        x = scipy.signal.lfilter([1., rng.uniform(-.5, .5)], [1.], x).astype(np.float32)
    if rng.random() < .3:
        x = add_noise(x, rng.uniform(8, 32), rng, rng.choice([0., .5, 1.]))
    elif rng.random() < .5:
        x = add_noise(x, rng.uniform(30, 50), rng, .5)
    peak = np.abs(x).max() + 1e-6
    return x * (10 ** (rng.uniform(-20, -.5) / 20) / peak)


def mask(m, rng):
    """Hides bands and moments of a log-mel."""
    m, fill = m.clone(), m.mean()
    for _ in range(2):
        f = rng.integers(0, 20)
        at = rng.integers(0, melmod.BINS - f)
        m[:, at:at + f] = fill
    for _ in range(1 + len(m) // 150):
        t = rng.integers(0, 12)
        at = rng.integers(0, max(1, len(m) - t))
        m[at:at + t] = fill
    return m


# ---- batches ----------------------------------------------------------------------------------------------

class Batches(torch.utils.data.Dataset):
    def __init__(self, directory, texts, letters, seed=0, seconds=56., human=.45, extra=.5, longest=7., length=1 << 30):
        every = Shards(directory, lambda s: s != "heldout-voice")
        self.human = only(every, lambda i: i["shard"] == "human" and not corpus.held_out(i["name"]))
        self.voices = only(every, lambda i: i["shard"] != "human")
        self.texts, self.letters = texts, {ch: k for k, ch in enumerate(letters)}
        self.seed, self.seconds, self.p_human, self.extra = seed, seconds, human, extra
        self.longest, self.length = longest, length
        self.tok = tok.Tokenizer()

    def __len__(self):
        return self.length

    def draw(self, shards, low, high, rng, like=None):
        a, b = bisect_left(shards.lengths, low * RATE), bisect_left(shards.lengths, high * RATE)
        for _ in range(60):
            item = shards.items[int(rng.integers(a, b))] if b > a else shards.items[int(rng.integers(0, len(shards.items)))]
            if like is None or (item["lang"] == like["lang"] and item["shard"] == like["shard"]):
                return item
        return None

    def clip(self, target, rng):
        """-> samples, language, [names], human"""
        human = rng.random() < self.p_human
        shards = self.human if human else self.voices
        if rng.random() < .3 and target > 1.5:                              # join short ones
            items = [self.draw(shards, .3, .7 * target, rng)]
            left = target - items[0]["n"] / RATE
            while left > .5 and len(items) < 8:
                nxt = self.draw(shards, .3, max(.6, left * 1.1), rng, items[0])
                if nxt is None:
                    break
                items.append(nxt)
                left -= nxt["n"] / RATE
        else:
            items = [self.draw(shards, .8 * target, 1.05 * target, rng)]
        parts = []
        for i, item in enumerate(items):
            x = shards.samples(item).astype(np.float32) / 32768
            if i and rng.random() < .6:
                parts.append(np.zeros(int(rng.uniform(0, .35) * RATE), np.float32))
            parts.append(x)
        return np.concatenate(parts), items[0]["lang"], [i["name"] for i in items], human

    def tasks(self, lang, names, rng):
        """[(instruction, answer)]: transcribing, and now and then a second one"""
        said = " ".join(self.texts[lang][n] for n in names)
        out = [(corpus.instruction("transcribe", lang), said)]
        if rng.random() < self.extra:
            target = str(rng.choice([t for s, t in corpus.PAIRS if s == lang]))
            if all(n in self.texts[target] for n in names):
                meant = " ".join(self.texts[target][n] for n in names)
                task = "translate" if rng.random() < .6 else "chain"
                out.append((corpus.instruction(task, lang, target), corpus.answer(task, said, meant, target)))
        return out, said

    def __getitem__(self, k):
        torch.set_num_threads(1)
        rng = np.random.default_rng([self.seed, k])
        target = min(self.longest, max(.6, self.draw(self.human if rng.random() < .5 else self.voices, 0, 1e9, rng)["n"] / RATE))
        target *= 1.3 if rng.random() < .3 else 1.                          # joined clips make the batch longer now and then
        n = max(3, min(32, int(self.seconds / (target + .6))))
        clips = []
        for _ in range(n):
            if rng.random() < .025:
                x = coloured(int(target * RATE), rng, rng.choice([0., .5, 1.])) * 10 ** (rng.uniform(-80, -20) / 20)
                lang = str(rng.choice(list(corpus.LANGUAGES)))
                if rng.random() < .3:
                    x[:] = 0
                clips.append((melmod.log_mel(torch.from_numpy(x)), [(corpus.instruction("transcribe", lang), "")], ""))
                continue
            x, lang, names, human = self.clip(target, rng)
            m = melmod.log_mel(torch.from_numpy(roughen(x[:int((self.longest + 4) * RATE)], rng, human)))
            asked, said = self.tasks(lang, names, rng)
            clips.append((mask(m, rng) if rng.random() < .25 else m, asked, said))
        return doubt(collate(clips, self.tok, self.letters), rng)


def doubt(batch, rng, share=.2):
    """Some words of the answers so far become others: what comes next must be heard, not remembered."""
    row, col = (t[:-1] for t in batch["select"])
    # an answer's token at a place that predicts the next one; the first such place is the prompt's end
    inside = (row == batch["select"][0][1:]) & (col + 1 == batch["select"][1][1:])
    at = torch.nonzero(inside & torch.from_numpy(rng.random(len(row)) < share))[:, 0] + 1
    others = batch["label"][torch.from_numpy(rng.integers(0, len(batch["label"]), len(at)))]
    batch["ids"][batch["select"][0][at], batch["select"][1][at]] = others
    return batch


def collate(clips, t, letters):
    """[(mel, [(instruction, answer)], said)] -> one batch of tensors"""
    frames = [len(c[0]) for c in clips]
    mel = torch.zeros(len(clips), max(frames), melmod.BINS)
    rows, targets = [], []
    for i, (m, asked, said) in enumerate(clips):
        mel[i, :len(m)] = m
        targets.append([letters[ch] for ch in " ".join(corpus.words(said)) if ch in letters])
        n = model.n_tokens(len(m))
        for instruction, answer in asked:
            given, reply = t.after(answer)
            before = t.before(instruction)
            rows.append((i, len(before), n, before + [tok.AUDIO] * n + given + reply, len(reply)))
    ids = torch.zeros(len(rows), max(len(r[3]) for r in rows), dtype=torch.long)
    at_row, at_col, clip, token, sel_row, sel_col, label, weight = ([] for _ in range(8))
    for r, (i, start, n, seq, reply) in enumerate(rows):
        ids[r, :len(seq)] = torch.tensor(seq)
        at_row += [r] * n
        at_col += range(start, start + n)
        clip += [i] * n
        token += range(n)
        sel_row += [r] * reply
        sel_col += range(len(seq) - reply - 1, len(seq) - 1)
        label += seq[len(seq) - reply:]
    lt = torch.tensor
    return {"mel": mel, "frames": lt(frames), "ids": ids, "at": (lt(at_row), lt(at_col)), "soft": (lt(clip), lt(token)),
            "eoa": (lt([r for r in range(len(rows))]), lt([r[1] + r[2] for r in rows])),
            "select": (lt(sel_row), lt(sel_col)), "label": lt(label), "ctc": lt(sum(targets, [])),
            "ctc_n": lt([len(x) for x in targets])}
