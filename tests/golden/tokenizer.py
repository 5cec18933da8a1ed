"""A Gemma-like tokenizer in both forms, and what SentencePiece and the tokenizers library make of a corpus.

    tokenizer.json, tokenizer.gguf  the same vocabulary: trained on the corpus, with Gemma's special pieces
    corpus.txt                      a line a text, escaped as C strings (g_strcompress() reads them)
    gguf-plain.npy                  for each text the number of ids, then the ids: SentencePiece, control tokens are text
    gguf-control.npy, json-plain.npy, json-control.npy   for each text that differs from gguf-plain: its number, then
                                    as above; "control": text that spells a control token becomes it
    decoded.txt                     the texts of decoded.npy (as gguf-plain.npy) by the tokenizers library, escaped
"""
import codecs
import io
import json
import struct

import gguf
import numpy as np
import sentencepiece as spm
from tokenizers import Tokenizer

import corpus

SIZE, MM = 3968, 64                                 # pieces of the text vocabulary; ids of each modality
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
EXTRA = {SIZE - 2: "<start_of_image>", SIZE - 1: "<start_of_audio>", SIZE: "<end_of_image>",
         SIZE + 1: "<image_soft_token>", SIZE + MM: "<end_of_audio>", SIZE + MM + 1: "<audio_soft_token>"}


# ---- both forms from (piece, score, type) ----------------------------------------------------------------

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def sentencepiece_model(vocab):
    """A SentencePiece model of these pieces: identity normalization, no dummy prefix."""
    body = b""
    for piece, score, kind in vocab:
        body += field(1, field(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18" + bytes([kind]))
    trainer = b"\x18\x02" + b"\x98\x02\x01"                                     # model_type BPE, byte_fallback
    normalizer = field(1, b"identity") + b"\x18\x00\x20\x00\x28\x01"            # no prefix, keep spaces, escape them
    return spm.SentencePieceProcessor(model_proto=body + field(2, trainer) + field(3, normalizer))


def with_control(vocab, kind):
    """Control pieces as CONTROL (never matched in text) or as USER (always)."""
    return [(p, s, kind if k == CONTROL and p != "<unk>" else UNKNOWN if p == "<unk>" else k) for p, s, k in vocab]


def json_merges(vocab):
    """Every split of every normal piece into two, best score first."""
    ids = {p: i for i, (p, _, _) in enumerate(vocab)}
    merges = []
    for i, (p, score, kind) in enumerate(vocab):
        if kind == NORMAL or p.strip("▁") == "" and kind == USER:
            for k in range(1, len(p)):
                if p[:k] in ids and p[k:] in ids:
                    merges.append((-score if kind == NORMAL else len(p), i, ids[p[:k]], p[:k], p[k:]))
    return [[a, b] for *_, a, b in sorted(merges)]


def tokenizer_json(vocab):
    added = [{"id": i, "content": p, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": kind == CONTROL} for i, (p, _, kind) in enumerate(vocab) if kind in (CONTROL, USER)]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False},
        "post_processor": {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}},
                                      {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {p: i for i, (p, _, _) in enumerate(vocab)}, "merges": json_merges(vocab)}}


def write_gguf(path, vocab):
    w = gguf.GGUFWriter(path, "gemma3n")
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    # llama.cpp's converter writes user-defined pieces with spaces.
    w.add_token_list([p.replace("▁", " ") if k == USER else p for p, _, k in vocab])
    w.add_token_scores([s for _, s, _ in vocab])
    w.add_token_types([k for _, _, k in vocab])
    w.add_bos_token_id(2)
    w.add_eos_token_id(1)
    w.add_unk_token_id(3)
    w.add_pad_token_id(0)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(False)
    w.add_tensor("token_embd.weight", np.zeros((len(vocab), 1), np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- the vocabulary ---------------------------------------------------------------------------------------

def train():
    user = ["<mask>", "[multimodal]"] + [f"<unused{i}>" for i in range(99)] + ["<start_of_turn>", "<end_of_turn>"]
    user += ["\n" * n for n in range(1, 32)] + ["▁" * n for n in range(2, 32)] + corpus.HTML
    model = io.BytesIO()
    trained = SIZE - 2 - 20                         # 20 unused pieces, of which some are spelled by merges
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus.training()), model_writer=model, vocab_size=trained,
        model_type="bpe", pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>",
        bos_piece="<bos>", user_defined_symbols=user, byte_fallback=True, add_dummy_prefix=False,
        remove_extra_whitespaces=False, normalization_rule_name="identity", split_digits=True,
        max_sentencepiece_length=16, character_coverage=.98, num_threads=1, minloglevel=2)
    sp = spm.SentencePieceProcessor(model_proto=model.getvalue())
    kind = lambda i, p: (UNKNOWN if sp.IsUnknown(i) else BYTE if sp.IsByte(i)  # noqa: E731
                         else CONTROL if p in corpus.CONTROL or p == "<mask>" else USER if p in user else NORMAL)
    vocab = [(p, 0. if p in user else sp.GetScore(i), kind(i, p))
             for i, p in enumerate(map(sp.IdToPiece, range(trained)))]
    # As llama.cpp's converter marks them: added tokens have the score -1000.
    vocab = [(p, -1000. if k in (CONTROL, USER, UNKNOWN, BYTE) else s, k) for p, s, k in vocab]
    vocab += [(f"<filler{i}>", -1e4, UNUSED) for i in range(SIZE - 2 - trained)]
    return vocab + [(EXTRA.get(i, f"<filler{i}>"), -1e4, CONTROL if i in EXTRA else UNUSED)
                    for i in range(SIZE - 2, max(EXTRA) + 1)]


def valid(text):
    try:
        return text.decode() is not None
    except UnicodeDecodeError:
        return False


# U+FFFD for each byte, as SentencePiece does; Python's own handler replaces longer pieces at once.
codecs.register_error("bytewise", lambda e: ("\ufffd", e.start + 1))


def encoders(vocab):
    """{form and mode: function from bytes to ids}."""
    plain, control = (sentencepiece_model(with_control(vocab, k)) for k in (CONTROL, USER))
    hf = Tokenizer.from_str(json.dumps(tokenizer_json(vocab)))

    def encode(text, special):
        hf.encode_special_tokens = not special
        return hf.encode(text.decode(errors="bytewise"), add_special_tokens=False).ids

    return {"gguf-plain": plain.EncodeAsIds, "gguf-control": control.EncodeAsIds,
            "json-plain": lambda x: encode(x, False), "json-control": lambda x: encode(x, True)}


def escape(text):
    keep = {0x5C: "\\\\", 0x0A: "\\n", 0x09: "\\t", 0x0D: "\\r"}
    if valid(text):
        return "".join(keep.get(ord(c), c if ord(c) >= 0x20 and ord(c) != 0x85 else f"\\{ord(c):03o}")
                       for c in text.decode())
    return "".join(keep.get(c, chr(c) if 0x20 <= c < 0x7F else f"\\{c:03o}") for c in text)


def decodings(hf, rng, size):
    """Ids and their text: encodings cut anywhere, random ids, bytes in bad order."""
    first = hf.token_to_id("<0x00>")
    others = np.delete(np.arange(size), range(first, first + 256))
    cases = [rng.choice(others, rng.integers(1, 12)).tolist() for _ in range(100)]
    # Where bytes are wrong the library gives U+FFFD for the whole run of bytes, a streaming decoder cannot take back what
    # was right: runs that are right, or have no right character.
    for text in ("é", "日", "👩", "日本語", "👩‍🚀", "aéb"):
        ids = [first + b for b in text.encode()]
        cases += [ids, ids + [hf.token_to_id("a")], [0, *ids, 106]]
        cases += [ids[:n] for n in range(1, len(ids)) if len(text) == 1]
    bad = [[0xFF], [0x80, 0x80], [0xC3, 0xC3], [0xE2, 0x96], [0xF0, 0x9F, 0x98], [0xC0, 0x80], [0xED, 0xA0, 0x80]]
    cases += [[hf.token_to_id("a"), *(first + b for b in run), hf.token_to_id("b")] for run in bad]
    texts = [hf.decode(c, skip_special_tokens=True) for c in cases]
    return cases, texts


def make(out):
    lines = corpus.lines()
    vocab = train()
    (out / "tokenizer.json").write_text(json.dumps(tokenizer_json(vocab), ensure_ascii=False, separators=(",", ":")))
    write_gguf(out / "tokenizer.gguf", vocab)
    (out / "corpus.txt").write_text("".join(escape(x) + "\n" for x in lines), newline="\n")

    ids = {name: [encode(x) for x in lines] for name, encode in encoders(vocab).items()}
    base = ids.pop("gguf-plain")
    np.save(out / "gguf-plain.npy", np.array([n for x in base for n in (len(x), *x)], np.int32))
    notes = {"seed": corpus.SEED, "lines": len(lines), "languages": len(corpus.languages()), "ids": sum(map(len, base))}
    for name, found in ids.items():
        other = [(i, len(x), *x) for i, x in enumerate(found) if x != base[i]]
        np.save(out / f"{name}.npy", np.array([n for x in other for n in x], np.int32))
        notes[f"{name} differs"] = len(other)

    hf = Tokenizer.from_file(str(out / "tokenizer.json"))
    cases, texts = decodings(hf, np.random.default_rng(corpus.SEED), len(vocab))
    np.save(out / "decoded.npy", np.array([n for x in cases for n in (len(x), *x)], np.int32))
    (out / "decoded.txt").write_text("".join(escape(x.encode()) + "\n" for x in texts), newline="\n")
    return notes
