#!/usr/bin/env python3
"""Error rates of the embedded model. (The pipeline mode follows.)"""
import torch

import corpus
import data
import mel as melmod
import model
import tokenizer as tok


def prompts(t, rows, mels, asked, w, c):
    """Embeddings of prompts up to the model's turn, padded on the left. -> e, pli, keep [B,L]"""
    parts = []
    for i, (m, instruction) in enumerate(zip(mels, asked)):
        n = model.n_tokens(len(m))
        before = t.before(instruction)
        parts.append((before + [tok.AUDIO] * n + t.after()[0], len(before), n, i))
    return parts


@torch.no_grad()
def generate(mels, asked, w, c, t, limit=160, batch=16):
    """Greedy answers; clips of a batch need not be equally long: each is decoded from its own cache position."""
    answers = [None] * len(mels)
    order = sorted(range(len(mels)), key=lambda i: (len(t.before(asked[i])) + model.n_tokens(len(mels[i])), len(mels[i])))
    at = 0
    while at < len(order):
        # the cache has no left padding: only prompts of one length share a batch
        def length(i):
            return len(t.before(asked[i])) + model.n_tokens(len(mels[i]))
        group = [i for i in order[at:at + batch] if length(i) == length(order[at])]
        at += len(group)
        mel = torch.zeros(len(group), max(len(mels[i]) for i in group), melmod.BINS)
        for r, i in enumerate(group):
            mel[r, :len(mels[i])] = mels[i]
        x, _ = model.encode(mel, w, c)
        ids, e_rows, at_row, at_col = [], [], [], []
        for r, i in enumerate(group):
            n, before = model.n_tokens(len(mels[i])), t.before(asked[i])
            ids.append(before + [tok.AUDIO] * n + t.after()[0])
            e_rows += [model.soft_tokens(x[r, :n], w), model.hard_tokens(torch.tensor([0]), w)]
            at_row += [r] * (n + 1)
            at_col += range(len(before), len(before) + n + 1)
        ids = torch.tensor(ids)
        e, pli = model.embed(ids, torch.cat(e_rows), (torch.tensor(at_row), torch.tensor(at_col)), w, c)
        cache, out, done = {}, [[] for _ in group], [False] * len(group)
        logits, past = model.forward(e, pli, w, c, cache=cache)[:, -1], ids.shape[1]
        for _ in range(limit):
            nxt = logits.argmax(-1)
            for r, token in enumerate(nxt.tolist()):
                done[r] = done[r] or token in (tok.EOS, tok.END_OF_TURN)
                if not done[r]:
                    out[r].append(token)
            if all(done):
                break
            e, pli = model.embed(nxt[:, None], None, None, w, c)
            logits = model.forward(e, pli, w, c, cache=cache, past=past)[:, -1]
            past += 1
        for r, i in enumerate(group):
            answers[i] = t.decode(out[r])
    return answers


def quick_set(directory, seed, clips=48):
    """A few held-out clips to watch a training: human ones, and the held-out voices."""
    import random
    shards = data.Shards(directory, lambda s: s in ("human", "heldout-voice"))
    out = []
    for shard in ("human", "heldout-voice"):
        items = [i for i in shards.items if i["shard"] == shard and i["n"] < 8 * data.RATE
                 and (shard != "human" or corpus.held_out(i["name"]))]
        for i in random.Random(seed).sample(items, min(clips, len(items))):
            out.append((shard, i["lang"], i["text"],
                        melmod.log_mel(torch.from_numpy(shards.samples(i).astype("float32") / 32768))))
    return out


def quick(weights, c, clips):
    said = generate([x[3] for x in clips], [corpus.instruction("transcribe", x[1]) for x in clips], weights, c,
                    tok.Tokenizer(), limit=100)
    sums = {}
    for (shard, lang, text, _), got in zip(clips, said):
        s = sums.setdefault(shard, [0, 0])
        s[0] += corpus.edits(corpus.words(got), corpus.words(text))
        s[1] += len(corpus.words(text))
    show = "; ".join(f"{c_[2]!r} -> {s!r}" for c_, s in list(zip(clips, said))[:3])
    return " ".join(f"WER {k} {100 * e / n:.1f} %" for k, (e, n) in sums.items()) + f" ({show})"
