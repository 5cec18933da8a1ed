"""The texts: prompts of Debian's asterisk-core-sounds packages in four languages, and the rules about them.

Normalisation, decided once: casing, accents and punctuation stay as the packages spell them; notes in [], (), <>
are dropped (they describe, nobody says them), ellipses and repeated blanks go, and characters that the Italian
list lost to '?' are restored. A prompt whose text is only a note, and silence/*, is no speech.
"""
import gzip
import hashlib
import re
from pathlib import Path

LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian"}
SOUNDS = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo"}
CAPTIONS = LANGUAGES | {"pt": "Portuguese", "de": "German"}      # of pictures
RATE = 16000

# asterisk's Italian list lost its accented letters in some lines
LOST = {"sar?": "sarà", "pu?": "può", "cos?": "così", "pi?": "più", "?": "è"}
# lists whose notes are not bracketed, or that are no speech
NO_SPEECH = {"beep", "beeperr", "ascending-2tone", "descending-2tone", "tt-monkeys", "confbridge-join",
             "confbridge-leave", "tt-weasels", "tt-somethingwrong-music"}


def held_out(name):
    """Human clips that training never hears: the rule of the project, by the prompt's name."""
    return hashlib.md5(name.encode()).hexdigest().startswith("0")


def sentence_ends(words):
    """Places between words where a sentence ends, inside a text"""
    return [k for k in range(1, len(words)) if words[k - 1][-1] in ".?!"]


def normalise(text, language):
    text = re.sub(r"\[[^\]]*\]?|\([^)]*\)?|<[^>]*>", " ", text.replace("\ufeff", ""))
    if language == "it":
        words = text.split()
        text = " ".join(LOST.get(w, w) if w != "?" or 0 < i < len(words) - 1 else w for i, w in enumerate(words))
    text = re.sub(r"[“”„]", '"', text).replace("’", "'").replace("…", "...")
    text = re.sub(r"\.\.+", " ", text)
    text = re.sub(r"\s+([,.?!;:])", r"\1", text)
    return " ".join(text.split())


def read_texts(doc="/usr/share/doc"):
    """{language: {name: text}}"""
    out = {}
    for lang in LANGUAGES:
        texts = out[lang] = {}
        path = Path(doc) / f"asterisk-core-sounds-{lang}" / f"core-sounds-{lang}.txt.gz"
        for line in gzip.open(path, "rt", encoding="utf-8", errors="replace"):
            if line.startswith(";") or ":" not in line:
                continue
            name, text = line.split(":", 1)
            name = name.strip().lstrip("\ufeff")
            text = normalise(text, lang)
            if name.startswith("silence/") or name in NO_SPEECH or not re.search(r"\w|[#*]", text):
                continue
            texts[name] = text
    return out


def human_clip(lang, name, root="/usr/share/asterisk/sounds"):
    return Path(root) / SOUNDS[lang] / f"{name}.g722"


def words(text):
    """What a word error rate compares: lower case, no punctuation."""
    return re.sub(r"[^\w\s]|_", " ", text.lower()).split()


def edits(a, b):
    """Levenshtein distance of two sequences."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def instruction(task, source, target=None):
    """The wording of models/task.h."""
    s, t = LANGUAGES.get(source), CAPTIONS.get(target)
    return {"describe": f"Describe the image in {t}.",
            "transcribe": f"Transcribe the following speech segment in {s}:",
            "translate": f"Translate the following speech segment from {s} into {t}:",
            "chain": f"Transcribe the following speech segment in {s}, then translate it into {t}:"}[task]


def answer(task, transcript, translation=None, target=None):
    if not transcript:
        return ""
    return {"transcribe": transcript, "translate": translation,
            "chain": f"{transcript}\n{LANGUAGES.get(target)}: {translation}"}[task]


# speech goes between these languages: English and each other one
PAIRS = [(s, t) for s in LANGUAGES for t in LANGUAGES if s != t and "en" in (s, t)]
