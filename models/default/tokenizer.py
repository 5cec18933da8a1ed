"""A tokenizer with Gemma's low layout: pad eos bos unk, <start_of_turn> 105, <end_of_turn> 106, runs of newlines from 107 and
of blanks from 138, bytes, then BPE pieces trained on the prompts and the instructions.

Past the SentencePiece vocabulary come the vision range and the audio range, RESERVED ids each: the hard embeddings.
"""
import io
import struct
from pathlib import Path

import sentencepiece as spm

import corpus

TEXT_VOCAB, RESERVED = 1472, 32
BOI, BOA = TEXT_VOCAB - 2, TEXT_VOCAB - 1
EOI, IMAGE = TEXT_VOCAB, TEXT_VOCAB + 1
EOA, AUDIO = TEXT_VOCAB + RESERVED, TEXT_VOCAB + RESERVED + 1
VOCAB = TEXT_VOCAB + 2 * RESERVED
PAD, EOS, BOS, UNK, END_OF_TURN = 0, 1, 2, 3, 106
SPECIAL = {BOI: "<start_of_image>", BOA: "<start_of_audio>", EOI: "<end_of_image>", IMAGE: "<image_soft_token>",
           EOA: "<end_of_audio>", AUDIO: "<audio_soft_token>"}
SOFT = {"audio": ("<start_of_audio>", AUDIO, EOA), "image": ("<start_of_image>", IMAGE, EOI)}    # what goes around soft tokens
MODEL = Path(__file__).with_name("tokenizer.model")
TRANSLATOR = Path(__file__).with_name("translator.model")


def user_symbols():
    return (["<mask>", "[multimodal]"] + [f"<unused{i}>" for i in range(99)] + ["<start_of_turn>", "<end_of_turn>"]
            + ["\n" * n for n in range(1, 32)] + ["▁" * n for n in range(2, 32)])


def learn(lines, size):
    """-> the model of @size pieces"""
    blob = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=blob, vocab_size=size, model_type="bpe",
        pad_id=PAD, eos_id=EOS, bos_id=BOS, unk_id=UNK, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
        user_defined_symbols=user_symbols(), byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", split_digits=True, max_sentencepiece_length=16, character_coverage=1.0,
        num_threads=1, minloglevel=2)
    return blob.getvalue()


def train(texts):
    lines = [t for lang in texts for t in texts[lang].values()]
    asked = [corpus.instruction(task, s, t) for s, t in corpus.PAIRS for task in ("transcribe", "translate", "chain")]
    asked += [f"{name}: " for name in corpus.LANGUAGES.values()] + ["user", "model"]
    out = learn(lines + asked * 8, TEXT_VOCAB - 2)
    for i in (BOI, BOA):                        # a repeated protobuf field grows by appending: pieces {1: text 2: score 3: type}
        text = SPECIAL[i].encode()
        piece = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", 0.) + b"\x18\x04"
        out += b"\x0a" + bytes([len(piece)]) + piece
    return out


class Pieces:
    """A SentencePiece model, and what follows its @size ids."""

    def __init__(self, path, size, more):
        """@more: [(token, type)]"""
        self.blob, self.size, self.more = Path(path).read_bytes(), size, more
        self.sp = spm.SentencePieceProcessor(model_proto=self.blob)
        assert self.sp.vocab_size() == size and self.sp.piece_to_id("<end_of_turn>") == END_OF_TURN
        self.cache = {}

    def encode(self, text):
        if text not in self.cache:
            self.cache[text] = self.sp.encode(text)
        return self.cache[text]

    def decode(self, ids):
        return self.sp.decode([i for i in ids if 4 <= i < self.size and i != END_OF_TURN])

    def pieces(self):
        """(token, score, type) of every id, with GGUF's types: 1 normal 2 unknown 3 control 4 user-defined 5 unused 6 byte."""
        users = set(user_symbols()) | set(SPECIAL.values())
        for i in range(self.size):
            text = self.sp.id_to_piece(i)
            kind = 6 if self.sp.is_byte(i) else 2 if i == UNK else 3 if self.sp.is_control(i) else 4 if text in users else 1
            if kind == 4 and text[0] in "<[" and "unused" not in text:
                kind = 3
            yield text, self.sp.get_score(i), kind
        for text, kind in self.more:
            yield text, -1000., kind


class Tokenizer(Pieces):
    def __init__(self, path=MODEL):
        super().__init__(path, TEXT_VOCAB, [(SPECIAL.get(i, f"<reserved{i}>"), 3 if i in SPECIAL else 5)
                                            for i in range(TEXT_VOCAB, VOCAB)])

    def before(self, instruction="", what="audio"):
        """Up to and with <start_of_audio>, or <start_of_image>. An instruction precedes a clip, but follows a picture."""
        return [BOS] + self.encode(f"<start_of_turn>user\n{instruction}\n\n{SOFT[what][0]}")

    def after(self, answer=None, what="audio", instruction=""):
        """From <end_of_audio> or <end_of_image> on: the ids that are given, then those of the answer."""
        given, end = f"\n\n{instruction}<end_of_turn>\n<start_of_turn>model\n", [SOFT[what][2]]
        ids = end + self.encode(given)
        if answer is None:
            return ids, []
        whole = end + self.encode(given + answer + "<end_of_turn>")
        assert whole[:len(ids)] == ids
        return ids, whole[len(ids):]


class Translator(Pieces):
    """Of the small T5Gemma 2."""

    VOCAB = 4096
    PICTURES = "<start_of_image>", "<end_of_image>", "<image_soft_token>"      # the last ids, which it has no use for

    def __init__(self, path=TRANSLATOR):
        super().__init__(path, self.VOCAB - len(self.PICTURES), [(name, 3) for name in self.PICTURES])

    @classmethod
    def learned(cls, lines):
        return learn(lines, cls.VOCAB - len(cls.PICTURES))

    def question(self, text, dropout=0.):
        """What the encoder reads. @dropout: share of the merges that are left out, so that words have many spellings"""
        return [BOS] + (self.sp.encode(text, enable_sampling=True, alpha=dropout) if dropout else self.encode(text))

    def reply(self, text):
        """What the decoder says after <bos>."""
        return self.encode(" " + text) + [EOS]


if __name__ == "__main__":
    MODEL.write_bytes(train(corpus.read_texts()))
    t = Tokenizer()
    for task, s, g in (("transcribe", "es", None), ("translate", "en", "fr"), ("chain", "it", "en")):
        ids = t.before(corpus.instruction(task, s, g))
        print(len(ids), [t.sp.id_to_piece(i) for i in ids])
    print(t.after("Please enter your password."))
