"""Sentences and their translations: the prompts in four languages, and what the stamps are called in twelve.

Held out, in every pair of languages: prompts whose name has an MD5 that begins with 0, stamps whose English text has.

A small corpus is soon known by heart, so that most of what training is shown is made of it anew: runs of sentences, where
both sides have as many; prompts one after another, as Asterisk plays them; other digits on both sides; and, among the
four languages, phrases that an alignment of the words finds on both sides, by themselves or in the place of another
phrase that stands between the same words.
"""
import collections
import re

import numpy as np
import sentencepiece
import torch

import corpus
import pictures
import t5gemma2
import tokenizer as tok

# the names that models/task.c has for them
LANGUAGES = corpus.CAPTIONS | {"ca": "Catalan", "da": "Danish", "nl": "Dutch", "pl": "Polish", "ro": "Romanian", "sv": "Swedish"}
LONGEST = 120                   # words of a text, in training
RUN_ON = re.compile(r" \w+([-/]\w+)+: .*")     # two Italian texts go on with the lines after them, names and all


def prompt(text, source, target):
    """What models/task.c asks a model that wants no examples."""
    return f"{LANGUAGES[source]}: {text}\n{LANGUAGES[target]}:"


def translate(rows, w, c):
    """[(kind, source, target, text, ...)] -> what the model says"""
    t = tok.Translator()
    asked = [t.question(prompt(text, s, g)) for _, s, g, text, *_ in rows]
    return [t.decode(ids).strip() for ids in t5gemma2.generate(asked, w, c)]


# ---- texts ------------------------------------------------------------------------------------------------

def sentences(text):
    words = text.split()
    ends = [0, *corpus.sentence_ends(words), len(words)]
    return [" ".join(words[i:j]) for i, j in zip(ends, ends[1:])]


def read_prompts():
    """[(name, {language: text})]"""
    texts = corpus.read_texts()
    names = dict.fromkeys(name for lang in texts for name in texts[lang])
    return [(name, {lang: RUN_ON.sub("", texts[lang][name]) for lang in texts if name in texts[lang]}) for name in names]


def read_stamps(root=pictures.STAMPS):
    """[(English text, {language: text})], all sentences; stamps with the same English text are one."""
    out = {}
    for path in sorted(root.rglob("*.txt")):
        texts = {lang: corpus.normalise(t.translate(pictures.PLAIN), lang).lstrip("-, ")
                 for lang, t in pictures.lines(path).items() if lang in LANGUAGES}
        if texts.get("en"):
            for lang, text in texts.items():
                if text:
                    out.setdefault(texts["en"], {}).setdefault(lang, text)
    return list(out.items())


def split(texts):
    """-> those to learn from, those held out"""
    out = [], []
    for name, by_language in texts:
        out[corpus.held_out(name)].append(by_language)
    return out


def vocabulary(texts):
    """{language: the words of training}"""
    out = {lang: set() for lang in LANGUAGES}
    for by_language in texts:
        for lang, text in by_language.items():
            out[lang].update(corpus.words(text))
    return out


def aligned_sentences(by_language, s, t):
    """[(sentence, its translation)]; the whole texts where the numbers differ"""
    a, b = sentences(by_language[s]), sentences(by_language[t])
    return list(zip(a, b)) if len(a) == len(b) else [(by_language[s], by_language[t])]


def held_out_pairs(seed=0):
    """[(kind, source, target, text, its translation, all its words were met)]; sentences that training has are left out."""
    learned, out = {}, []
    for kind, texts in (("prompts", read_prompts()), ("stamps", read_stamps())):
        learned[kind], kept = split(texts)
        for by_language in kept:
            for s in by_language:
                for t in by_language:
                    if s != t and (kind == "prompts" or "en" in (s, t)):
                        out += [(kind, s, t, *pair) for pair in aligned_sentences(by_language, s, t)]
    every = learned["prompts"] + learned["stamps"]
    known = vocabulary(every)
    whole = {(lang, *corpus.words(part)) for texts in every for lang, text in texts.items() for part in [text, *sentences(text)]}
    seen, rows = set(), []
    for kind, s, t, a, b in out:
        words = corpus.words(a)
        if words and (s, *words) not in whole and (s, t, a) not in seen:
            seen.add((s, t, a))
            rows.append((kind, s, t, a, b, set(words) <= known[s] and set(corpus.words(b)) <= known[t]))
    return rows


# ---- phrases ----------------------------------------------------------------------------------------------

def word_table(pairs, rounds=6):
    """[(words, words)] -> {source: {target: how likely}}, by expectation maximization (IBM's first model)"""
    table = collections.defaultdict(lambda: collections.defaultdict(lambda: 1.))
    for _ in range(rounds):
        counts = collections.defaultdict(lambda: collections.defaultdict(float))
        for a, b in pairs:
            a = [None, *a]
            for y in b:
                each = [table[x][y] for x in a]
                total = sum(each)
                for x, p in zip(a, each):
                    counts[x][y] += p / total
        table = collections.defaultdict(lambda: collections.defaultdict(float))
        for x, row in counts.items():
            total = sum(row.values())
            table[x].update({y: n / total for y, n in row.items() if n / total > 1e-4})
    return table


def links(a, b, there, back):
    """[len a, len b] of places whose words mean each other, by both tables; then neighbours that one of them links"""
    slant = np.abs(np.arange(len(a))[:, None] / len(a) - np.arange(len(b)) / len(b))
    p = np.array([[there[x][y] for y in b] for x in a]) * np.exp(-2 * slant)
    q = np.array([[back[y][x] for y in b] for x in a]) * np.exp(-2 * slant)
    best_p, best_q = np.zeros(p.shape, bool), np.zeros(p.shape, bool)
    best_p[p.argmax(0), np.arange(len(b))] = p.max(0) > .01
    best_q[np.arange(len(a)), q.argmax(1)] = q.max(1) > .01
    both, either, more = best_p & best_q, best_p | best_q, True
    while more:
        near = np.pad(both, 1)
        near = near[:-2, 1:-1] | near[2:, 1:-1] | near[1:-1, :-2] | near[1:-1, 2:]
        free = ~both.any(1)[:, None] | ~both.any(0)
        added = either & ~both & near & free
        both, more = both | added, added.any()
    return both


def phrases(table, longest=8):
    """(i, j, k, l): words i to j mean words k to l and nothing else, and no word of them is without a meaning"""
    n = len(table)
    for i in range(n):
        for j in range(i + 1, min(n, i + longest) + 1):
            rows = table[i:j]
            if not rows.any(1).all():
                continue
            columns = np.flatnonzero(rows.any(0))
            k, l = columns[0], columns[-1] + 1
            if l - k <= longest and len(columns) == l - k and not table[:i, k:l].any() and not table[j:, k:l].any():
                yield i, j, int(k), int(l)


class Phrases:
    """What texts of two languages have in common, phrase by phrase."""

    def __init__(self, pairs):
        """@pairs: [(text, text)]"""
        self.words = [(a.split(), b.split()) for a, b in pairs]
        plain = [([x.lower().strip('.,;:!?"') for x in a], [y.lower().strip('.,;:!?"') for y in b]) for a, b in self.words]
        there, back = word_table(plain), word_table([(b, a) for a, b in plain])
        self.at, self.between = [], collections.defaultdict(list)
        for n, (a, b) in enumerate(plain):
            for i, j, k, l in phrases(links(a, b, there, back)):
                if (j - i, l - k) != (len(a), len(b)):
                    self.at.append((n, i, j, k, l))
                    self.between[self.around(*self.at[-1])].append(self.at[-1])
        # each as often as any other, however often it stands somewhere
        self.each = list({tuple(x.lower().strip(".,;:!?") for x in self.text(at)): at for at in self.at}.values())
        self.exchangeable = [at for at in self.at if len(self.between[self.around(*at)]) > 1]

    def around(self, n, i, j, k, l):
        """Of a phrase: the words before it, and the sign or word after it in the first language, on both sides where it ends the text"""
        a, b = self.words[n]
        end = (a[j].lower() if j < len(a) else "", l == len(b), a[j - 1][-1] in ".,;:!?", b[l - 1][-1] in ".,;:!?")
        return (a[i - 1].lower() if i else "", b[k - 1].lower() if k else "", *end)

    def text(self, at):
        n, i, j, k, l = at
        return " ".join(self.words[n][0][i:j]), " ".join(self.words[n][1][k:l])

    def draw(self, rng):
        return self.text(self.each[int(rng.integers(len(self.each)))])

    def exchange(self, rng):
        n, i, j, k, l = at = self.exchangeable[int(rng.integers(len(self.exchangeable)))]
        others = self.between[self.around(*at)]
        m, o, p, q, r = others[int(rng.integers(len(others)))]
        (a, b), (c, d) = self.words[n], self.words[m]
        return " ".join(a[:i] + c[o:p] + a[j:]), " ".join(b[:k] + d[q:r] + b[l:])


# ---- what training is shown ---------------------------------------------------------------------------------

DIGIT = re.compile(r"(?<![\w.])\d(?!\w)")


def other_digits(a, b, rng):
    """The same single figures on both sides become others."""
    if sorted(DIGIT.findall(a)) != sorted(DIGIT.findall(b)):
        return a, b
    new = rng.permutation(10)
    return tuple(DIGIT.sub(lambda m: str(new[int(m[0])]), x) for x in (a, b))


def roughen(a, b, rng):
    """As captions may write it: another case of the first letter, no sign at the end, on both sides."""
    if rng.random() < .08:
        a, b = a[:1].upper() + a[1:], b[:1].upper() + b[1:]
    elif rng.random() < .08:
        a, b = (x[:1].lower() + x[1:] for x in (a, b))
    if rng.random() < .08:
        a, b = (x.rstrip(".!") or x for x in (a, b))
    return a, b


class Pairs:
    """Draws a text and its translation."""

    def __init__(self, prompts=.7, align=True):
        """@prompts: their share"""
        self.share = prompts
        self.prompts, self.stamps = split(read_prompts())[0], split(read_stamps())[0]
        self.spoken = list(corpus.LANGUAGES)
        self.by_pair = {(s, t): [x for x in self.prompts if s in x and t in x] for s in self.spoken for t in self.spoken if s != t}
        self.named = {lang: [x for x in self.stamps if lang in x] for lang in LANGUAGES}
        self.phrases = {}
        for n, s in enumerate(self.spoken):
            for t in self.spoken[n + 1:] if align else ():
                texts = self.by_pair[s, t] + [x for x in self.stamps if s in x and t in x]
                self.phrases[s, t] = Phrases(list(dict.fromkeys(p for x in texts for p in aligned_sentences(x, s, t))))

    def texts(self):
        names = [f"{name}: {end}" for name in LANGUAGES.values() for end in (".\n", "a")]
        return names * 20 + [text for x in 4 * self.prompts + self.stamps for text in x.values()]

    def run(self, x, s, t, rng):
        """The text, or some of its sentences"""
        parts = aligned_sentences(x, s, t)
        if len(parts) == 1 or rng.random() < .4:
            return x[s], x[t]
        i, n = int(rng.integers(len(parts))), 1 + int(rng.integers(3))
        return tuple(" ".join(p) for p in zip(*parts[i:i + n]))

    def of_prompts(self, s, t, rng):
        known, kind = self.by_pair[s, t], rng.random()
        turned = (s, t) not in self.phrases
        if kind < .4:
            pair = self.run(known[int(rng.integers(len(known)))], s, t, rng)
        elif kind < .55:
            several = [self.run(known[int(rng.integers(len(known)))], s, t, rng) for _ in range(2 + int(rng.integers(2)))]
            pair = tuple(" ".join(p) for p in zip(*several))
        else:
            found = self.phrases[(t, s) if turned else (s, t)]
            pair = found.draw(rng) if kind < .75 else found.exchange(rng)
            pair = pair[::-1] if turned else pair
        return other_digits(*pair, rng) if rng.random() < .5 else pair

    def of_stamps(self, rng):
        """English is one side of two thirds, one of the four languages one side of all"""
        langs = list(LANGUAGES)
        a = "en" if rng.random() < .67 else self.spoken[1 + int(rng.integers(3))]
        b = a
        while b == a:
            b = langs[int(rng.integers(len(langs)))] if rng.random() < .6 else self.spoken[int(rng.integers(4))]
        s, t = (a, b) if rng.random() < .5 else (b, a)
        while t not in (x := self.named[s][int(rng.integers(len(self.named[s])))]):
            pass
        return s, t, self.run(x, s, t, rng)

    def draw(self, rng):
        """-> source language, target language, text, translation"""
        while True:
            if rng.random() < self.share:
                s, t = list(self.by_pair)[int(rng.integers(len(self.by_pair)))]
                pair = self.of_prompts(s, t, rng)
            else:
                s, t, pair = self.of_stamps(rng)
            a, b = roughen(*pair, rng)
            if a and b and max(a.count(" "), b.count(" ")) < LONGEST:
                return s, t, a, b


class Batches(torch.utils.data.Dataset):
    """Parts of about @tokens tokens, of texts of like lengths; part k depends on the seed and k only."""

    POOL = 8                    # parts whose texts are sorted together

    def __init__(self, pairs, tokens=2048, seed=0, dropout=.1, doubt=.1):
        """@dropout: of the merges of BPE, in half of the sources; @doubt: share of the answer so far that is replaced"""
        self.pairs, self.tokens, self.seed, self.dropout, self.doubt = pairs, tokens, seed, dropout, doubt
        self.t, self.pool = tok.Translator(), (None, None)

    def __len__(self):
        return 1 << 40

    def sequences(self, rng):
        s, t, a, b = self.pairs.draw(rng)
        return self.t.question(prompt(a, s, t), self.dropout if rng.random() < .5 else 0.), self.t.reply(b)

    def parts(self, pool):
        rng = np.random.default_rng([self.seed, pool])
        sentencepiece.set_random_generator_seed(int(rng.integers(1 << 31)))
        rows, size = [], 0
        while size < self.POOL * self.tokens:
            rows.append(self.sequences(rng))
            size += sum(map(len, rows[-1]))
        rows.sort(key=lambda r: (len(r[0]) + len(r[1]), len(r[0])))
        out, size = [[]], 0
        for row in rows:
            if size > self.tokens and len(out) < self.POOL:
                out.append([])
                size = 0
            out[-1].append(row)
            size += sum(map(len, row))
        return [self.collate(out[i % len(out)], rng) for i in rng.permutation(self.POOL)]

    def collate(self, rows, rng):
        source, answer = (torch.nn.utils.rnn.pad_sequence([torch.tensor(r[i]) for r in rows], True, tok.PAD) for i in (0, 1))
        before = torch.cat([torch.full((len(rows), 1), tok.BOS), answer[:, :-1]], 1)
        wrong = torch.from_numpy(rng.random(before.shape) < self.doubt) & (before > tok.BOS)
        before = torch.where(wrong, torch.from_numpy(rng.permutation(answer.flatten().numpy())).view_as(before), before)
        return {"source": source, "before": before, "answer": answer}

    def __getitem__(self, k):
        if self.pool[0] != k // self.POOL:
            self.pool = k // self.POOL, self.parts(k // self.POOL)
        return self.pool[1][k % self.POOL]


if __name__ == "__main__":
    tok.TRANSLATOR.write_bytes(tok.Translator.learned(Pairs(align=False).texts()))
