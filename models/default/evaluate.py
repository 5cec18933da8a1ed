#!/usr/bin/env python3
"""Error rates of the embedded model on sounds that its training never heard.

    evaluate.py --data DIR [--gguf models/default | --checkpoint FILE] [--limit N] [--markdown FILE]
    evaluate.py --data DIR --pipeline [--markdown FILE]     # through gst-launch-1.0: what a user gets

Conditions: "human" are the recordings held out (name's MD5 begins with 0), "noise 20 dB" the same with pink noise,
"voice" texts spoken by the held-out synthesizer voices. Word error rate counts edits over reference words, lower case
and without punctuation; chrF is chrF2 (character 1- to 6-grams, beta 2) over the corpus.
"""
import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import torch

import corpus
import data
import mel as melmod
import mobilenet_v5
import model
import pictures
import tokenizer as tok


@torch.no_grad()
def heard(mels, w, c, batch=16):
    """[mel] -> their soft tokens [n,hidden]"""
    out, order = [None] * len(mels), sorted(range(len(mels)), key=lambda i: len(mels[i]))
    for at in range(0, len(order), batch):
        group = order[at:at + batch]
        x, _ = model.encode(melmod.padded([mels[i] for i in group]), w, c)
        for r, i in enumerate(group):
            out[i] = model.soft_tokens(x[r, :model.n_tokens(len(mels[i]))], w)
    return out


@torch.no_grad()
def seen(composed, w, batch=16):
    """[[side,side,3] bytes] -> their soft tokens"""
    out = []
    for at in range(0, len(composed), batch):
        x = torch.from_numpy(np.stack(composed[at:at + batch])).float() / 255
        out += model.soft_tokens(mobilenet_v5.tower(x, w).flatten(1, 2), w, "mm.")
    return out


@torch.no_grad()
def generate(rows, asked, w, c, t, what="audio", limit=160, batch=16):
    """Greedy answers about soft tokens. The cache has no left padding: only prompts of one length share a batch."""
    prompts = [((t.before("", what), t.after(None, what, q)[0]) if what == "image" else (t.before(q), t.after()[0])) for q in asked]
    lengths = [len(p[0]) + len(x) + len(p[1]) for p, x in zip(prompts, rows)]
    answers, order, at = [None] * len(rows), sorted(range(len(rows)), key=lengths.__getitem__), 0
    _, soft, _ = tok.SOFT[what]
    end = model.hard_tokens(torch.tensor([0]), w, "mm." if what == "image" else "mm.a.")
    while at < len(order):
        group = [i for i in order[at:at + batch] if lengths[i] == lengths[order[at]]]
        at += len(group)
        ids, e_rows, at_row, at_col = [], [], [], []
        for r, i in enumerate(group):
            n, (before, after) = len(rows[i]), prompts[i]
            ids.append(before + [soft] * n + after)
            e_rows += [rows[i], end]
            at_row += [r] * (n + 1)
            at_col += range(len(before), len(before) + n + 1)
        e, pli = model.embed(torch.tensor(ids), torch.cat(e_rows), (torch.tensor(at_row), torch.tensor(at_col)), w, c)
        for i, said in zip(group, continued(e, pli, w, c, limit)):
            answers[i] = t.decode(said)
    return answers


def continued(e, pli, w, c, limit):
    """The most likely ids after a prompt's embeddings, row by row"""
    cache, out, done = {}, [[] for _ in e], [False] * len(e)
    logits, past = model.forward(e, pli, w, c, cache=cache)[:, -1], e.shape[1]
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
    return out


def quick_set(directory, seed, clips=48):
    """A few held-out clips to watch a training: human ones, and the held-out voices."""
    shards = data.Shards(directory, lambda s: s in ("human", "heldout-voice"))
    out = []
    for shard in ("human", "heldout-voice"):
        items = [i for i in shards.items if i["shard"] == shard and i["n"] < 8 * data.RATE
                 and (shard != "human" or corpus.held_out(i["name"]))]
        for i in random.Random(seed).sample(items, min(clips, len(items))):
            out.append((shard, i["lang"], i["text"],
                        melmod.log_mel(torch.from_numpy(shards.samples(i).astype("float32") / 32768))))
    return out


def quick_pictures(stamps, seed, count=48):
    """Held-out compositions, each with a language"""
    rng, out = np.random.default_rng([seed, 4]), []
    for _ in range(count):
        item = stamps.draw(rng)
        texts = stamps.texts[item["class"]]
        lang = str(rng.choice(list(texts)))
        out.append((pictures.compose(stamps, item, rng, held_out=True), lang, texts[lang]))
    return out


def quick(weights, c, clips, composed=()):
    t, sums = tok.Tokenizer(), {}
    said = generate(heard([x[3] for x in clips], weights, c), [corpus.instruction("transcribe", x[1]) for x in clips], weights, c,
                    t, limit=100)
    for (shard, lang, text, _), got in zip(clips, said):
        s = sums.setdefault(shard, [0, 0])
        s[0] += corpus.edits(corpus.words(got), corpus.words(text))
        s[1] += len(corpus.words(text))
    shown = [(c_[2], s) for c_, s in list(zip(clips, said))[:3]]
    out = " ".join(f"WER {k} {100 * e / n:.1f} %" for k, (e, n) in sums.items())
    if composed:
        said = generate(seen([x[0] for x in composed], weights), [corpus.instruction("describe", None, x[1]) for x in composed],
                        weights, c, t, "image", limit=100)
        out += f" pictures {100 * sum(x[2] == s for x, s in zip(composed, said)) / len(composed):.1f} % exact"
        shown += [(x[2], s) for x, s in list(zip(composed, said))[:3]]
    return f"{out} ({'; '.join(f'{text!r} -> {s!r}' for text, s in shown)})"


@torch.no_grad()
def spelled(w, c, letters, clips, ctc_layer):
    """The CTC heads' letter error rates, without a language model"""
    sums = {}
    for shard, _, text, mel in clips:
        x, tap = model.encode(mel[None], w, c, ctc_layer)
        for head, y in (("ctc", tap), ("ctc_token", x)):
            best = torch.unique_consecutive(model.letters(y, w, head)[0].argmax(-1)).tolist()
            s, reference = sums.setdefault((shard, head), [0, 0]), " ".join(corpus.words(text))
            s[0] += corpus.edits("".join(letters[k] for k in best if k), reference)
            s[1] += len(reference)
    return " ".join(f"letter errors {shard} {head} {100 * e / n:.1f} %" for (shard, head), (e, n) in sums.items())


# ---- measures ---------------------------------------------------------------------------------------------

def word_error_rate(pairs):
    """[(reference, hypothesis)] -> per cent"""
    n = sum(len(corpus.words(r)) for r, _ in pairs)
    return 100 * sum(corpus.edits(corpus.words(r), corpus.words(h)) for r, h in pairs) / max(1, n)


def chrf(pairs, order=6, beta=2.):
    """Corpus chrF of [(reference, hypothesis)], blanks not counted."""
    match, ref_n, hyp_n = [0] * order, [0] * order, [0] * order
    for ref, hyp in pairs:
        ref, hyp = "".join(ref.split()), "".join(hyp.split())
        for n in range(1, order + 1):
            r = collections.Counter(ref[i:i + n] for i in range(len(ref) - n + 1))
            h = collections.Counter(hyp[i:i + n] for i in range(len(hyp) - n + 1))
            match[n - 1] += sum((r & h).values())
            ref_n[n - 1] += sum(r.values())
            hyp_n[n - 1] += sum(h.values())
    scores = []
    for m, r, h in zip(match, ref_n, hyp_n):
        if r and h:
            p, q = m / h, m / r
            scores.append((1 + beta ** 2) * p * q / (beta ** 2 * p + q) if p + q else 0.)
    return 100 * sum(scores) / max(1, len(scores))


# ---- the whole measurement --------------------------------------------------------------------------------

def held_out_clips(directory, limit, longest, seed=0):
    """{condition: [(language, name, text, samples int16)]}"""
    shards = data.Shards(directory, lambda s: s in ("human", "heldout-voice"))
    out = {"human": [], "noise 20 dB": [], "voice": []}
    for i in shards.items:
        if i["n"] > longest * data.RATE or (i["shard"] == "human" and not corpus.held_out(i["name"])):
            continue
        x = np.array(shards.samples(i))
        clip = i["lang"], i["name"], i["text"]
        if i["shard"] == "human":
            out["human"].append((*clip, x))
            rng = np.random.default_rng([seed, len(out["human"])])
            noisy = data.add_noise(x.astype(np.float32), 20, rng, .5)
            out["noise 20 dB"].append((*clip, np.clip(noisy, -32768, 32767).astype(np.int16)))
        else:
            out["voice"].append((*clip, x))
    return {k: random.Random(seed).sample(v, min(limit or len(v), len(v))) for k, v in out.items()}


def jobs(clips, texts, every_task):
    """[(condition, task, source, target, samples, reference transcript, reference translation)]"""
    out = []
    for condition, items in clips.items():
        for lang, name, text, x in items:
            out.append((condition, "transcribe", lang, None, x, text, None))
            if condition == "human" or every_task:
                for s, t in corpus.PAIRS:
                    if s == lang and name in texts[t]:
                        out.append((condition, "translate", s, t, x, text, texts[t][name]))
                        out.append((condition, "chain", s, t, x, text, texts[t][name]))
    return out


def answers_torch(work, w, c):
    t = tok.Tokenizer()
    out = []
    for at in range(0, len(work), 64):
        part = work[at:at + 64]
        mels = [melmod.log_mel(torch.from_numpy(j[4].astype(np.float32) / 32768)) for j in part]
        out += generate(heard(mels, w, c), [corpus.instruction(j[1], j[2], j[3]) for j in part], w, c, t)
        print(f"\r{len(out)}/{len(work)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return out


TASK = {"transcribe": "transcribe", "translate": "translate", "chain": "transcribe-then-translate"}


def answers_pipeline(work, launch, named):
    """Each clip through its own gst-launch-1.0; what its utterances say is joined with blanks."""
    out = []
    with tempfile.TemporaryDirectory() as d:
        wav, jsonl = f"{d}/clip.wav", f"{d}/out.jsonl"
        for n, (_, task, source, target, x, _, _) in enumerate(work, 1):
            with wave.open(wav, "wb") as f:
                f.setparams((1, 2, data.RATE, len(x), "NONE", ""))
                f.writeframes(x.tobytes())
            Path(jsonl).unlink(missing_ok=True)
            settings = [f"task={TASK[task]}", f"source-language={source}"] + ([f"target-language={target}"] if target else [])
            subprocess.run([*launch, "-q", "filesrc", f"location={wav}", "!", "wavparse", "!", "audioconvert", "!",
                            "audioresample", "!", "gemmaaudioenc", *named, "voice-gate=true", "!", "gemmasink", *named,
                            *settings, f"location={jsonl}"], check=True)
            lines = Path(jsonl).read_text().splitlines() if Path(jsonl).exists() else []
            said = [json.loads(s)["text"] for s in lines]
            if task == "chain":                         # an answer for each utterance: transcripts first, then translations
                halves = [split_chain(s, target) for s in said]
                said = [*(h for h, _ in halves), f"{corpus.LANGUAGES[target]}:", *(t for _, t in halves)]
            out.append(" ".join(said))
            print(f"\r{n}/{len(work)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return out


def split_chain(text, target):
    head, _, tail = text.partition(f"{corpus.LANGUAGES[target]}: ")
    return head.strip(), tail.strip()


def tables(work, got):
    """Markdown."""
    rates, trans = {}, {}
    for (condition, task, source, target, _, said, meant), answer in zip(work, got):
        if task == "transcribe":
            rates.setdefault(condition, {}).setdefault(source, []).append((said, answer))
        else:
            transcript, translation = split_chain(answer, target) if task == "chain" else (None, answer)
            cell = trans.setdefault((source, target), {"translate": [], "chain": [], "chain wer": []})
            cell[task].append((meant, translation))
            if task == "chain":
                cell["chain wer"].append((said, transcript))
    lines = ["| Transcribing, word error rate | " + " | ".join(corpus.LANGUAGES.values()) + " | all |",
             "|---|" + "---|" * (len(corpus.LANGUAGES) + 1)]
    for condition, by in rates.items():
        cells = [f"{word_error_rate(by[k]):.1f} % ({len(by[k])})" if k in by else "" for k in corpus.LANGUAGES]
        lines.append(f"| {condition} (clips) | " + " | ".join(cells) + f" | {word_error_rate(sum(by.values(), [])):.1f} % |")
    if trans:
        lines += ["", "| Human recordings | clips | translate, chrF | transcribe then translate, chrF | its transcript, word error rate |",
                  "|---|---|---|---|---|"]
        for (s, t), cell in sorted(trans.items()):
            lines.append(f"| {corpus.LANGUAGES[s]} to {corpus.LANGUAGES[t]} | {len(cell['translate'])} | {chrf(cell['translate']):.1f} "
                         f"| {chrf(cell['chain']):.1f} | {word_error_rate(cell['chain wer']):.1f} % |")
    return "\n".join(lines)


# ---- what evaluate-vision.py shares ------------------------------------------------------------------------

def arguments(ap, what, gguf=Path(__file__).parent, about="directory of the pair"):
    """@what is counted by --limit; @about: what @gguf is"""
    ap.add_argument("--gguf", type=Path, default=gguf, help=about)
    ap.add_argument("--checkpoint", type=Path, help="the training's instead")
    ap.add_argument("--pipeline", action="store_true", help="measure gst-launch-1.0 instead of PyTorch")
    ap.add_argument("--launch", default=os.environ.get("GST_LAUNCH", "gst-launch-1.0"))
    ap.add_argument("--limit", type=int, help=what)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--markdown", type=Path, help="write the tables there")
    ap.add_argument("--answers", type=Path, help="write every answer there, as JSON lines")


def named(a):
    """The property that names the pair, where it is not the embedded one"""
    return [f"model={a.gguf / 'gemma3n-default.gguf'}"] if a.gguf != Path(__file__).parent else []


def network(a):
    """-> configuration, weights"""
    if not a.checkpoint:
        c = model.Config()
        return c, model.from_gguf(a.gguf, c)
    state = torch.load(a.checkpoint, weights_only=True)
    return model.Config.of(state["config"]), state["average"]


def show(a, tables, answers):
    """@answers: a dict for each"""
    print(tables)
    if a.markdown:
        a.markdown.write_text(tables + "\n")
    if a.answers:
        a.answers.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in answers))
    print(f"torch {torch.__version__}, numpy {np.__version__}, seed {a.seed}", file=sys.stderr)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", type=Path, default=Path.home() / ".cache/gst-gemma/train/data", help="prepare-data.py's --out")
    arguments(ap, "clips of each condition")
    ap.add_argument("--longest", type=float, default=28., help="seconds")
    ap.add_argument("--every-task", action="store_true", help="translate the voice and the noisy clips too")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    texts = json.loads((a.data / "texts.json").read_text())
    work = jobs(held_out_clips(a.data, a.limit, a.longest, a.seed), texts, a.every_task)
    if a.pipeline:
        got = answers_pipeline(work, a.launch.split(), named(a))
    else:
        c, w = network(a)
        got = answers_torch(work, w, c)
    show(a, tables(work, got), [{"condition": j[0], "task": j[1], "source": j[2], "target": j[3], "said": j[5], "meant": j[6],
                                 "answer": g} for j, g in zip(work, got)])


if __name__ == "__main__":
    main()
