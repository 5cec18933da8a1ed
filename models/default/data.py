"""Batches for training: clips drawn, joined and roughened, with the tasks asked about them.

Batch k depends on (seed, k) and the shards present only, so a training that is killed resumes with the same data.
"""
import functools
import json
import math
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.signal
import torch

import corpus
import mel as melmod
import mobilenet_v5
import model
import pictures
import tokenizer as tok

RATE = corpus.RATE
NOISE_BANK = 120 * RATE
HEARD = 2.5                                                                 # a word's worst, in nats a letter, to be used apart
GATE = 48 * RATE // 100                                                     # that ends one for a voice gate (segment-silence)
PAUSE = RATE // 8                                                           # that ends an utterance, or nearly
QUIET = 160                                                                 # samples over which loudness is taken
TOKEN = 640 * model.REDUCTION                                               # samples of an audio token
ASIDE = "music", "heldout-voice"                                            # shards whose clips are not transcribed


@dataclass
class Speech:
    x: np.ndarray                                                           # samples
    said: str
    meant: dict                                                             # {language: its translation}
    times: list                                                             # of each word: its first sample and the one behind its
                                                                            # last, or None; [] if nothing is known


@dataclass
class Clip:
    mel: torch.Tensor
    asked: list                                                             # [(instruction, answer)]; a transcript is the first
    said: str
    times: list                                                             # as Speech's


class Shards:
    """Clips of prepare-data.py, mapped; items sorted by length."""

    def __init__(self, directory, wanted):
        self.items, self.maps = [], {}
        for path in sorted(Path(directory).glob("*.json")):
            if path.stem == "texts" or not wanted(path.stem):
                continue
            self.maps[path.stem] = np.memmap(path.with_suffix(".i16"), np.int16, "r")
            cuts = path.with_suffix(".cuts")
            known = json.loads(cuts.read_text()) if cuts.exists() else {}
            for item in json.loads(path.read_text()):
                item["shard"] = path.stem
                item.update(known.get(f"{item['lang']} {item['name']}") or {"cuts": None})
                self.items.append(item)
        self.order()

    def order(self):
        self.items.sort(key=lambda i: (i["n"], i["shard"], i["lang"], i["name"]))
        self.lengths = [i["n"] for i in self.items]
        self.until = np.cumsum([0] + self.lengths)                          # all samples of the items before
        self.cut = {lang: [i for i in self.items if i["cuts"] and i["lang"] == lang] for lang in corpus.LANGUAGES}

    def samples(self, item):
        return self.maps[item["shard"]][item["at"]:item["at"] + item["n"]]


def aligned(item):
    """-> words of a clip, the samples between which each is, by how much each is not what is heard there, a letter"""
    words = item["text"].split()
    return words, [0, *(c[0] for c in item["cuts"]), item["n"]], [w / len(t) for w, t in zip(item["worse"], words)]


def loudness(x):
    n = len(x) // QUIET
    return np.sqrt(np.square(x[:n * QUIET].astype(np.float32)).reshape(n, QUIET).mean(1))


def silence(loud):
    """What is not louder is a pause."""
    return max(.03 * float(np.quantile(loud, .95)), 1.5 * float(np.quantile(loud, .02)))


def word_times(item, x):
    """As Speech.times, of all words of an aligned clip: without the pauses around them. Pieces of a clip ask again and again."""
    if "times" not in item:
        item["times"] = find_words(item, x)
    return item["times"]


def find_words(item, x):
    _, _, worse = aligned(item)
    loud = loudness(x)
    sounding = np.flatnonzero(loud > silence(loud))
    first, last = (int(sounding[0]) * QUIET, int(sounding[-1] + 1) * QUIET) if len(sounding) else (0, len(x))
    starts = [first, *(at + quiet // 2 for at, quiet in item["cuts"])]
    ends = [*(at - quiet // 2 for at, quiet in item["cuts"]), last]
    return [(s, e) if w <= HEARD and s < e else None for s, e, w in zip(starts, ends, worse)]


def moved(times, by, factor=1.):
    return [t and (t[0] / factor + by, t[1] / factor + by) for t in times]


def well_heard(worse):
    """Whether a text is what is heard there, by each word's worst"""
    return max(worse) < 5 and np.mean(worse) < 1.5


def bare(word):
    return " ".join(corpus.words(word))


def spoken(shards):
    """-> {language: {word: [(item, which of its words)]}} of what is well heard"""
    out = {lang: {} for lang in corpus.LANGUAGES}
    for item in shards.items:
        if item["cuts"] is not None:
            words, at, worse = aligned(item)
            for k, word in enumerate(words):
                if worse[k] <= HEARD and at[k + 1] - at[k] > RATE / 16:
                    out[item["lang"]].setdefault(bare(word), []).append((item, k))
    return out


class Strip:
    """Pieces of clips, one behind the other"""

    def __init__(self, shards, rng):
        self.shards, self.rng, self.parts, self.said, self.times, self.length = shards, rng, [], [], [], 0

    def add(self, item, first, last, words):
        """Words @first to before @last of a clip, spelled as @words -> samples"""
        _, at, _ = aligned(item)
        whole = self.shards.samples(item)
        x = np.array(whole[at[first]:at[last]], np.float32)
        edge = np.linspace(0, 1, 80, dtype=np.float32)
        x[:80] *= edge
        x[-80:] *= edge[::-1]
        if self.parts and self.rng.random() < .4:
            self.parts.append(np.zeros(int(self.rng.uniform(0, .2) * RATE), np.float32))
            self.length += len(self.parts[-1])
        self.times += moved(word_times(item, whole)[first:last], self.length - at[first])
        self.parts.append(x)
        self.length += len(x)
        self.said += words
        return len(x)

    def whole(self):
        return Speech(np.concatenate(self.parts), " ".join(self.said), {}, self.times)


def only(shards, keep):
    out = object.__new__(Shards)
    out.maps, out.items = shards.maps, [i for i in shards.items if keep(i)]
    out.order()
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


@functools.cache
def noise_bank(slope):
    f = scipy.fft.rfft(np.random.default_rng(int(10 * slope)).standard_normal(NOISE_BANK, np.float32))
    f[1:] *= np.arange(1, len(f), dtype=np.float32) ** -slope
    f[0] = 0
    return scipy.fft.irfft(f, NOISE_BANK)


def coloured(n, rng, slope):
    """Noise whose amplitude falls with f^-slope, a stretch of two minutes of it."""
    at = int(rng.integers(0, NOISE_BANK - n))
    x = noise_bank(float(slope))[at:at + n]
    x = x - x.mean()
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


def roughen(speech, rng, human):
    """-> samples between -1 and 1, Speech.times there"""
    factor = rng.uniform(.9, 1.1)
    x = stretch(speech.x.astype(np.float32) / 32768, factor)
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
    return x * (10 ** (rng.uniform(-20, -.5) / 20) / peak), moved(speech.times, before, factor)


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

def arguments(ap):
    """What clips are drawn"""
    for name, default, about in (("seconds", 13., "of audio in a part of a batch"), ("human", .45, "share of recordings among the clips"),
                                 ("extra", .25, "share of clips with a second task (translate, chain)"),
                                 ("made", .5, "share of the recordings' clips that are put together of words"),
                                 ("longest", 11., "clip, in seconds; longer ones are cut"),
                                 ("wordless", .06, "share of clips that are music, noise or silence, with an empty answer"),
                                 ("over_music", .1, "share of the other clips that have music behind them")):
        ap.add_argument("--" + name.replace("_", "-"), type=float, default=default, help=about)


def batches(a, texts, letters):
    return Batches(a.dir / "data", texts, letters, a.seed, a.seconds, a.human, a.extra, a.longest, a.made,
                   a.wordless, a.over_music)


class Batches(torch.utils.data.Dataset):
    def __init__(self, directory, texts, letters, seed=0, seconds=56., human=.45, extra=.5, longest=11., made=.5,
                 wordless=.06, over_music=.1, length=1 << 30):
        every = only(Shards(directory, lambda s: s not in ASIDE),
                     lambda i: i["cuts"] or i["n"] < 1.5 * longest * RATE)
        self.human = only(every, lambda i: i["shard"] == "human" and not corpus.held_out(i["name"]))
        self.voices = only(every, lambda i: i["shard"] != "human")
        self.spoken, self.voiced = spoken(self.human), spoken(self.voices)
        self.music = Shards(directory, lambda s: s == "music")
        self.texts, self.letters = texts, {ch: k for k, ch in enumerate(letters)}
        recorded = {(i["lang"], i["name"]) for i in self.human.items}
        self.unrecorded = {t: [name for name in names if (t, name) not in recorded] for t, names in texts.items()}
        self.seed, self.seconds, self.p_human, self.extra = seed, seconds, human, extra
        self.longest, self.made, self.length = longest, made, length
        self.wordless, self.over_music = wordless, over_music if self.music.items else 0.
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

    def whole(self, shards, item):
        """-> Speech"""
        texts = {t: self.texts[t][item["name"]] for t in self.texts if item["name"] in self.texts[t]}
        x = shards.samples(item)
        return Speech(x, self.texts[item["lang"]][item["name"]], texts, [] if item["cuts"] is None else word_times(item, x))

    def piece(self, item, target, rng):
        """About @target seconds of a clip, from a pause to a pause, now and then between any words -> first and last word"""
        (words, at, _), kind = aligned(item), rng.random()
        inside = range(1, len(words))
        if kind < .4:
            inside = corpus.sentence_ends(words)
        elif kind < .85:
            inside = [k for k in inside if item["cuts"][k - 1][1] >= PAUSE]
        places = [0, *inside, len(words)]
        first = places[int(rng.integers(0, len(places) - 1))]
        last = min((k for k in places if k > first), key=lambda k: abs(at[k] - at[first] - target * RATE))
        return first, last

    def heard(self, shards, item, target, rng):
        """-> Speech of a piece whose text is what is heard there; None if none was found"""
        words, at, every = aligned(item)
        for _ in range(6):
            first, last = self.piece(item, target, rng)
            if RATE / 4 < at[last] - at[first] < 1.5 * self.longest * RATE and well_heard(every[first:last]):
                return self.part(shards, item, first, last)
        return None

    def part(self, shards, item, first, last):
        """-> Speech of the words @first to before @last of an aligned clip"""
        words, at, _ = aligned(item)
        x = shards.samples(item)
        return Speech(x[at[first]:at[last]], " ".join(words[first:last]), self.meant(item, first, last),
                      moved(word_times(item, x)[first:last], -at[first]))

    def meant(self, item, first, last):
        """{language: those words' translation}: of whole sentences, if there are as many in the other language"""
        def ends(text):
            words = text.split()
            return [0, *corpus.sentence_ends(words), len(words)]
        mine, out = ends(item["text"]), {}
        if first in mine and last in mine:
            i, j = mine.index(first), mine.index(last)
            for t in self.texts:
                text = self.texts[t].get(item["name"], "")
                theirs = ends(text)
                if len(theirs) == len(mine):
                    out[t] = " ".join(text.split()[theirs[i]:theirs[j]])
        return out

    def scraps(self, shards, target, rng):
        """About @target seconds of a few words each from clips of one language: what nobody says, so that the model must
        listen and not remember. -> Speech, language"""
        lang = str(rng.choice([k for k, pool in shards.cut.items() if pool]))
        strip, left = Strip(shards, rng), target * RATE
        while not strip.parts or left > RATE / 3:
            item = shards.cut[lang][int(rng.integers(len(shards.cut[lang])))]
            words, at, worse = aligned(item)
            first = int(rng.integers(len(words)))
            last = min(len(words), first + int(rng.integers(1, 5)))
            if RATE / 8 < at[last] - at[first] < max(RATE, left) and max(worse[first:last]) <= HEARD:
                left -= strip.add(item, first, last, words[first:last])
        return strip.whole(), lang

    def retold(self, target, rng):
        """About @target seconds of texts in a recorded voice, out of words from its other recordings, half of them texts that it
        never said, which are then as likely as those it did; half of the time but one text. Words that it never said are
        another voice's. -> as scraps()"""
        lang = str(rng.choice([k for k, words in self.spoken.items() if words]))
        every, unrecorded, spoken = list(self.texts[lang]), self.unrecorded[lang], self.spoken[lang]
        strip, left, alone = Strip(self.human, rng), target * RATE, rng.random() < .5
        while not strip.parts or left > RATE / 3 and not alone:
            names = unrecorded if unrecorded and rng.random() < .5 else every
            name = names[int(rng.integers(len(names)))]
            words = self.texts[lang][name].split()
            ends = corpus.sentence_ends(words)
            k = int(rng.choice([0, *ends] if rng.random() < .8 else len(words)))
            while k < len(words) and (left > 0 or not strip.parts):
                places = [p for p in spoken.get(bare(words[k]), ()) if p[0]["name"] != name]
                places = places or self.voiced[lang].get(bare(words[k]))
                if not places:
                    break
                item, at, n = max((self.run(*places[int(rng.integers(len(places)))], words[k:]) for _ in range(4)), key=lambda r: r[2])
                left -= strip.add(item, at, at + n, words[k:k + n])
                k += n
                if k in ends and rng.random() < .4:
                    break
        return strip.whole(), lang

    @staticmethod
    def run(item, at, words):
        """How many of @words a clip says from its word @at on"""
        mine, _, worse = aligned(item)
        n = 1
        while n < len(words) and at + n < len(mine) and bare(mine[at + n]) == bare(words[n]) and worse[at + n] <= HEARD:
            n += 1
        return item, at, n

    def utterances(self, item):
        """-> [Speech] of a recording as a voice gate cuts it; what is not well heard is left out"""
        if item["cuts"] is None:
            return [self.whole(self.human, item)]
        words, at, worse = aligned(item)
        places = [0, *(k for k in range(1, len(words)) if item["cuts"][k - 1][1] >= GATE), len(words)]
        if len(places) == 2:
            return [self.whole(self.human, item)]
        return [self.part(self.human, item, a, b) for a, b in zip(places, places[1:]) if well_heard(worse[a:b])]

    def recordings(self, first, n, turn):
        """-> as clips(), of @n recordings from the @first in order of length: every one once a @turn"""
        rng, out = np.random.default_rng([self.seed, first, turn, 9]), []
        for item in self.human.items[first:first + n]:
            for speech in self.utterances(item):
                x, times = roughen(speech, rng, True)
                out.append(Clip(melmod.log_mel(torch.from_numpy(x)), self.tasks(item["lang"], speech, rng), speech.said, times))
        return sorted(out, key=lambda clip: len(clip.mel))

    def longer(self, shards, seconds, rng):
        """An item of more than that, the longer the likelier"""
        low = shards.until[bisect_left(shards.lengths, seconds * RATE)]
        at = int(rng.integers(min(low, shards.until[-1] - 1), shards.until[-1]))
        return shards.items[int(np.searchsorted(shards.until, at, "right")) - 1]

    def clip(self, target, rng):
        """-> Speech, language, human"""
        human, how = rng.random() < self.p_human, rng.random()
        shards = self.human if human else self.voices
        if how > 1 - (self.made if human else .25) and target > .8 and any(shards.cut.values()):
            return *(self.retold(target, rng) if human and how < .85 else self.scraps(shards, target, rng)), human
        if how < .15 and target > 1.5:                                      # join short ones
            items = [self.draw(shards, .3, .7 * target, rng)]
            left = target - items[0]["n"] / RATE
            while left > .5 and len(items) < 8:
                nxt = self.draw(shards, .3, max(.6, left * 1.1), rng, items[0])
                if nxt is None:
                    break
                items.append(nxt)
                left -= nxt["n"] / RATE
        elif how < .4 and target > .8:
            items = [self.longer(shards, 1.3 * target, rng)]
        else:
            items = [self.draw(shards, .8 * target, 1.05 * target, rng)]
        parts, spoken, times, length = [], [], [], 0
        for i, item in enumerate(items):
            cut = item["cuts"] and item["n"] > 1.3 * target * RATE
            found = self.heard(shards, item, target, rng) if cut else self.whole(shards, item)
            if found is None:
                return self.clip(target, rng)
            if i and rng.random() < .6:
                parts.append(np.zeros(int(rng.uniform(0, .35) * RATE), np.float32))
                length += len(parts[-1])
            times += moved(found.times, length) or [None] * len(found.said.split())
            parts.append(found.x)
            length += len(found.x)
            spoken.append(found)
        meant = {t: " ".join(s.meant[t] for s in spoken) for t in self.texts if all(t in s.meant for s in spoken)}
        return Speech(np.concatenate(parts), " ".join(s.said for s in spoken), meant, times), items[0]["lang"], human

    def tasks(self, lang, speech, rng):
        """[(instruction, answer)]: transcribing, and now and then a second one"""
        said, meant = speech.said, speech.meant
        out = [(corpus.instruction("transcribe", lang), said)]
        if rng.random() < self.extra:
            target = str(rng.choice([t for s, t in corpus.PAIRS if s == lang]))
            if target in meant:
                task = "translate" if rng.random() < .6 else "chain"
                out.append((corpus.instruction(task, lang, target), corpus.answer(task, said, meant[target], target)))
        return out

    def some_music(self, n, rng):
        """-> samples of any place in any piece, as loud as 1 in the mean"""
        item = self.music.items[int(rng.integers(len(self.music.items)))]
        at = int(rng.integers(0, max(1, item["n"] - n)))
        x = np.zeros(n, np.float32)
        piece = self.music.samples(item)[at:at + n]
        x[:len(piece)] = piece
        return x / (level(x) + 1e-6)

    def with_music(self, x, times, rng):
        """Speech with music behind it, which may begin before it and go on after it -> as roughen()"""
        before, after = (int(rng.uniform(0, 4) * RATE) if rng.random() < .4 else 0 for _ in range(2))
        loud = level(x) * 10 ** (-rng.uniform(4, 30) / 20)
        x = np.pad(x, (before, after))
        return x + self.some_music(len(x), rng) * np.float32(loud), moved(times, before)

    def no_words(self, seconds, rng):
        """-> samples of silence, noise, or music, two thirds of all where there is any"""
        n, how = int(seconds * RATE), rng.random()
        if how < .67 and self.music.items:
            x = stretch(self.some_music(int(n * 1.25) + 2, rng), rng.uniform(.8, 1.25))[:n] * .25
            x = x + coloured(n, rng, .5) * rng.choice([0., 1e-3, 1e-2])
            return np.clip(x.astype(np.float32) * np.float32(10 ** (rng.uniform(-30, 0) / 20)), -1, 1)
        x = coloured(n, rng, rng.choice([0., .5, 1.])) * 10 ** (rng.uniform(-80, -20) / 20)
        return x if how < .9 else np.zeros_like(x)

    def __getitem__(self, k):
        torch.set_num_threads(1)
        return doubt(collate(self.clips(k), self.tok, self.letters), np.random.default_rng([self.seed, k, 7]))

    def clips(self, k):
        """-> [Clip]"""
        rng = np.random.default_rng([self.seed, k])
        target = max(.6, self.draw(self.human if rng.random() < .5 else self.voices, 0, 1e9, rng)["n"] / RATE)
        if target > self.longest or rng.random() < .4:                      # most clips are short, most words are in long ones
            target = rng.uniform(1, self.longest)
        n = max(1, min(32, int(self.seconds / (target + .6))))
        clips = []
        for _ in range(n):
            if rng.random() < self.wordless:
                lang = str(rng.choice(list(corpus.LANGUAGES)))
                x = self.no_words(rng.uniform(target, 28) if rng.random() < .5 else target, rng)    # music goes on and on
                clips.append(Clip(melmod.log_mel(torch.from_numpy(x)), [(corpus.instruction("transcribe", lang), "")], "", []))
                continue
            speech, lang, human = self.clip(target, rng)
            x, times = roughen(speech, rng, human)
            if rng.random() < self.over_music:
                x, times = self.with_music(x, times, rng)
            m = melmod.log_mel(torch.from_numpy(x))
            m = melmod.scaled(m, rng.uniform(.88, 1.13)) if rng.random() < .4 else m
            clips.append(Clip(mask(m, rng) if rng.random() < .25 else m, self.tasks(lang, speech, rng), speech.said, times))
        return clips


def doubt(batch, rng, share=.3):
    """Some words of the answers so far become others: what comes next must be heard, not remembered."""
    row, col = (t[:-1] for t in batch["select"])
    # an answer's token at a place that predicts the next one; the first such place is the prompt's end
    inside = (row == batch["select"][0][1:]) & (col + 1 == batch["select"][1][1:])
    at = torch.nonzero(inside & torch.from_numpy(rng.random(len(row)) < share))[:, 0] + 1
    others = batch["label"][torch.from_numpy(rng.integers(0, len(batch["label"]), len(at)))]
    batch["ids"][batch["select"][0][at], batch["select"][1][at]] = others
    return batch


def rows_of(clips, t):
    """What is asked about Batches.clips() -> rows for sequences()"""
    return [(i, model.n_tokens(len(clip.mel)), t.before(instruction), *t.after(answer))
            for i, clip in enumerate(clips) for instruction, answer in clip.asked]


def spans_of(clips, t):
    """When each id of the answers of rows_of() is said, where that is known: [(begin, end) in audio tokens, or (-1, -1)].
    An id has its letters' share of its word's time."""
    out = []
    for clip in clips:
        for k, (_, answer) in enumerate(clip.asked):
            pieces, words = [t.sp.id_to_piece(i) for i in t.after(answer)[1][:-1]], []
            for piece in pieces:
                if piece[0] == "\u2581" or not words:
                    words.append([])
                words[-1].append(max(1, len(piece.lstrip("\u2581"))))
            times = clip.times if k == 0 and len(clip.times) == len(words) else [None] * len(words)
            edges = [np.interp(np.cumsum([0, *n]), [0, sum(n)], time or [-TOKEN] * 2) / TOKEN for n, time in zip(words, times)]
            out.append([span for at in edges for span in zip(at[:-1].tolist(), at[1:].tolist())] + [(-1., -1.)])
    return out


def collate(clips, t, letters):
    """Batches.clips() -> one batch of tensors"""
    frames = [len(c.mel) for c in clips]
    targets = [[letters[ch] for ch in " ".join(corpus.words(c.said)) if ch in letters] for c in clips]
    return {"mel": melmod.padded([c.mel for c in clips]), "frames": torch.tensor(frames), "ctc": torch.tensor(sum(targets, [])),
            "ctc_n": torch.tensor([len(x) for x in targets]), **sequences(rows_of(clips, t), tok.AUDIO, spans_of(clips, t))}


def sequences(rows, soft, spans=()):
    """[(clip, its number of soft tokens, ids before them, from their end on, of the answer)] -> ids, and where what goes in them;
    @spans: spans_of() these rows"""
    whole = [before + [soft] * n + given + reply for _, n, before, given, reply in rows]
    ids = torch.zeros(len(rows), max(map(len, whole)), dtype=torch.long)
    at_row, at_col, source, token, sel_row, sel_col, label, end = ([] for _ in range(8))
    for r, ((i, n, before, _, reply), seq) in enumerate(zip(rows, whole)):
        ids[r, :len(seq)] = torch.tensor(seq)
        at_row += [r] * n
        at_col += range(len(before), len(before) + n)
        end.append(len(before) + n)
        source += [i] * n
        token += range(n)
        sel_row += [r] * len(reply)
        sel_col += range(len(seq) - len(reply) - 1, len(seq) - 1)
        label += reply
    lt = torch.tensor
    return {"ids": ids, "at": (lt(at_row), lt(at_col)), "soft": (lt(source), lt(token)),
            "end": (torch.arange(len(rows)), lt(end)), "select": (lt(sel_row), lt(sel_col)), "label": lt(label),
            "begin": lt([len(before) for _, _, before, *_ in rows]), "spans": lt([s for row in spans for s in row])}


# ---- pictures ---------------------------------------------------------------------------------------------

class PictureBatches(torch.utils.data.Dataset):
    """Compositions and what is to be said about them; part k depends on (seed, k) only.

    A picture, what precedes it and the beginning of all instructions are one prefix; each language asked about it is a row
    that follows one: English and drawn others. The model's time goes into soft tokens, so that it is shown @tokens of them
    (a power of 2), one of each stretch, at their true places and with the weight of those that are left out. Every
    description is met once before one is met again, in the company of ones of its length.
    """

    def __init__(self, stamps, seed=0, count=4, languages=6, tokens=mobilenet_v5.GRID ** 2, features=None):
        """@features: kept.Features, instead of compositions"""
        self.stamps, self.seed, self.count, self.languages, self.tokens = stamps, seed, count, languages, tokens
        self.features = features
        self.tok = tok.Tokenizer()
        given = [self.asked(lang)[0] for lang in corpus.CAPTIONS]
        self.shared = next(i for i, ids in enumerate(zip(*given)) if len(set(ids)) > 1)
        self.lengths = np.array([max(len(self.asked(*t)[1]) for t in texts.items()) for texts in stamps.texts])

    def asked(self, lang, text=""):
        return self.tok.after(text, "image", corpus.instruction("describe", None, lang))

    def labels(self, k):
        """Of part k"""
        parts = len(self.lengths) // self.count
        rng = np.random.default_rng([self.seed, k // parts, 5])
        order = np.argsort(rng.permutation(self.lengths.size))                      # those left over are others each time
        order = order[np.argsort(self.lengths[order] * rng.uniform(.9, 1.1, order.size), kind="stable")]
        start = int(rng.integers(order.size - parts * self.count + 1)) + self.count * int(rng.permutation(parts)[k % parts])
        return order[start:start + self.count]

    def __getitem__(self, k):
        rng = np.random.default_rng([self.seed, k, 1])
        every = mobilenet_v5.GRID ** 2
        room = every // self.tokens
        seen = np.arange(self.tokens) * room + rng.integers(0, room, self.tokens)
        shown, rows, of = [], [], []
        for i, label in enumerate(self.labels(k)):
            texts = self.stamps.texts[label]
            others = rng.permutation([lang for lang in texts if lang != "en"])[:self.languages - 1]
            for lang in ("en", *map(str, others)):
                given, answer = self.asked(lang, texts[lang])
                rows.append((i, 0, [], given[self.shared:], answer))
                of.append(i)
            shown.append(self.features.of(label, rng, seen) if self.features else
                         pictures.compose(self.stamps, self.stamps.draw(rng, int(label)), rng))
        before, after = self.tok.before(what="image"), self.asked("en")[0][:self.shared]
        seen = torch.from_numpy(seen)
        first, last = len(before), len(before) + every
        places = torch.cat([torch.arange(first), first + seen, torch.arange(last, last + self.shared)])
        bias = torch.zeros(len(places))
        bias[first:first + len(seen)] = math.log(every / len(seen))
        prefix = torch.tensor(before + [tok.IMAGE] * len(seen) + after).expand(self.count, -1)
        return {"features" if self.features else "pictures": torch.from_numpy(np.stack(shown)), "seen": seen, "first": first, "places": places, "bias": bias,
                "prefix": prefix, "of": torch.tensor(of), **sequences(rows, tok.IMAGE)}


class Mixed(torch.utils.data.Dataset):
    """Parts of clips, and evenly between them @share of parts of pictures."""

    def __init__(self, clips, of_pictures, share):
        self.clips, self.pictures, self.share = clips, of_pictures, share

    def __getitem__(self, k):
        before, after = int(k * self.share), int((k + 1) * self.share)
        return self.pictures[before] if after > before else self.clips[k]
