"""Lines to tokenize: about 160 languages and everything that tokenizers get wrong.

Words come from data that may be shipped: names of countries, languages and currencies in the translations of Debian's
iso-codes (LGPL-2.1-or-later) and the days and months of glibc's locale files (in which the FSF claims no copyright).
All else is written or generated here. lines() gives bytes: some are not UTF-8.
"""
import gettext
import random
import re
import unicodedata
from pathlib import Path

SEED = 11
LOCALES = Path("/usr/share/i18n/locales")
DOMAINS = ["iso_3166-1", "iso_639-2", "iso_639-3", "iso_4217", "iso_15924", "iso_3166-3", "iso_639-5"]
GLUE = [", ", " ", "; ", " — ", "/", " (", ") ", ". ", "? ", "! ", ": ", "، ", "、", " « ", " » ", "\t", " - ", "\u00a0", "।"]

CONTROL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
           "<start_of_audio>", "<end_of_audio>", "<image_soft_token>", "<audio_soft_token>"]

CODE = r'''int main (void) { for (int i = 0; i < 10; i++) printf ("%d\n", i); return 0; }
	if (x != NULL && x->next == y) {	/* tabs */
def f(a, *b, c=None, **d): return [x ** 2 for x in a if x % 2 == 0]
    @property
        return self._cache.get(key, default=0x7fffffff)
SELECT a.name, COUNT(*) FROM a LEFT JOIN b ON a.id = b.a_id WHERE b.t > '2024-01-01' GROUP BY 1;
<html><body><h1>Title</h1><p>Text &amp; more</p><table><tr><td>1</td></tr></table><br></body></html>
<div class="a-b_c" id='x'><a href="https://example.org/p?q=1&r=%20#frag">link</a></div>
#!/bin/sh -e\nset -u; for f in *.txt; do mv -- "$f" "${f%.txt}.md"; done
{"key": [1, 2.5e-3, true, null], "nested": {"a": "b\u00e9\\n"}}
[package]\nname = "x"\nversion = "0.1.0"
fn main() -> Result<(), Box<dyn Error>> { let v: Vec<_> = (0..10).map(|x| x * x).collect(); Ok(()) }
const f = async (x) => { await g(x ?? 0); return `${x}`; };
\begin{equation} \int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2} \end{equation}
0x00000000 0b1010 1e-10 1_000_000 3.14159 -273.15 +44 20 7946 0958 192.168.0.1 ::1 12:34:56.789
git commit -m "fix: foo" && git push --force-with-lease origin HEAD:refs/heads/main
std::vector<std::map<std::string, int>> v{{{"a", 1}}};   // >> and {{{
~/.config/foo-bar_baz.d/10-x.conf C:\Users\x\AppData \\server\share
a=b+c-d*e/f%g&h|i^j~k!l<m>n?o:p;q,r.s@t#u$v`w'x"y[z]{0}(1)_2
snake_case camelCase PascalCase SCREAMING_CASE kebab-case dotted.name ALLCAPS MiXeD123abc
---------- ========== ********** .......... ////////// ########## __________
|---|:--:|---:|\n| a | b | c |
<0x41><0xE2><0x96><0x81> <0xZZ> <0x-1> \x41 \u0041 &#65;
<unused0> <unused99> [multimodal] <mask> <start_of_turn <end_of_turn >< start_of_turn>
\0 \x00 NUL'''.split("\n")

HTML = ["<table>", "<tr>", "<td>", "</td>", "<h1>", "</h1>", "<p>", "</p>", "<b>", "<i>", "<br>", "<a>", "<code>", "<ul>"]


def languages():
    """{language: its translated words}."""
    found = {}
    for mo in sorted(Path("/usr/share/locale").glob("*/LC_MESSAGES/iso_*.mo")):
        if mo.stem in DOMAINS:
            with mo.open("rb") as f:
                words = gettext.GNUTranslations(f)._catalog
            words = sorted({v for k, v in words.items() if k and isinstance(v, str) and v != k and 1 < len(v) < 60})
            found.setdefault(mo.parts[-3], []).extend(words)
    return {k: v for k, v in found.items() if len(v) >= 8}


def locale_words(text):
    text = re.sub(r"/\n\s*", "", text)
    for key in ("abday", "day", "abmon", "mon", "am_pm", "yesstr", "nostr", "country_name", "lang_name"):
        m = re.search(rf"^{key}\s+(.*?)$", text, re.M)
        if m:
            words = re.findall(r'"([^"]*)"', m.group(1))
            yield re.sub(r"<U([0-9A-Fa-f]{4,8})>", lambda m: chr(int(m.group(1), 16)), " ".join(words))


def words(rng):
    out = []
    for language, known in sorted(languages().items()):
        for _ in range(9):
            picked = rng.sample(known, min(len(known), rng.randint(1, 7)))
            line = "".join(w + rng.choice(GLUE) for w in picked)
            out.append(line if rng.random() < .7 else line.rstrip())
    for path in sorted(LOCALES.iterdir()):
        # "C" and the translit tables have no words; other encodings than UTF-8 are gone from glibc
        lines = [x for x in locale_words(path.read_text("utf-8", "replace")) if x.strip()]
        if lines:
            out.append(rng.choice(lines))
    return out


def emoji(rng):
    people, tones = "👩👨🧑👧👦👮💂🕵🤷🙋", ["", "🏻", "🏼", "🏽", "🏾", "🏿"]
    jobs = ["⚕️", "🎓", "🍳", "🔧", "💻", "🚀", "✈️", "🦰", "🦱"]
    out = ["👨‍👩‍👧‍👦👩‍❤️‍💋‍👨🏳️‍🌈🏴‍☠️🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣2️⃣#️⃣*️⃣", "☺☺️☺︎ ❤❤️ ©® ™️", "🇩🇪🇫🇷🇯🇵🇺🇳🇦", "\u200d\u200d👍\u200d ‍👍🏽👍"]
    for _ in range(60):
        flags = "".join(chr(0x1F1E6 + rng.randrange(26)) for _ in range(2))
        out.append(rng.choice(people) + rng.choice(tones) + "\u200d" + rng.choice(jobs) + rng.choice(["", " ok", "\n"])
                   + flags + "".join(chr(rng.randrange(0x1F300, 0x1FAFF)) for _ in range(rng.randrange(6))))
    return out


def marks(rng, lines):
    out = [unicodedata.normalize(form, x) for form in ("NFD", "NFKD") for x in rng.sample(lines, 60)]
    for _ in range(30):
        base = rng.choice(["Zalgo", "e", "ж", "한", "क", "א", "ا"])
        out.append("".join(c + "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randrange(5))) for c in base))
    out += ["".join(chr(c) for c in (0x202B, 0x5D0, 0x202C, 0x200F, 0x61, 0x2066, 0x627, 0x2069)), "שלום עולם! abc 123",
            "مرحبا، العالم (abc) ١٢٣", "ﷺ ﷽ ﻻ", "กำ่ ນ້ຳ", "ក្រុងភ្នំពេញ", "द्ध्र्य क्ष", "𝒜𝔸𝖠 ﬁ Ǆ ß ẞ İ ı", "\ufeffBOM\ufeff",
            "e\u0301 é", "Å Å Å", "\u1100\u1161\u11a8 각"]
    return out


def spaces(rng):
    out = [" " * n for n in [*range(1, 35), 62, 63, 64, 100]] + ["\n" * n for n in [*range(1, 35), 62, 63, 93, 100]]
    out += ["\t" * n for n in (1, 2, 3, 4, 8, 9)] + ["▁" * n for n in (1, 2, 3, 31, 32, 33)]
    for _ in range(120):
        parts = [rng.choice([" ", "\n", "\t", "\r\n", "\r", "▁", "\u00a0", "\u3000", "\u2028", "\x0b", "\x0c", "\u200b"])
                 * rng.choice([1, 1, 2, 3, 5, 17]) + rng.choice(["", "", "a", "word", ".", "日", "é"]) for _ in range(6)]
        out.append("".join(parts))
    return out


def controls(rng, lines):
    out = [c for c in CONTROL] + [f" {c} " for c in CONTROL] + [f"a{c}b" for c in CONTROL]
    spell = CONTROL + HTML + ["<unused7>", "<mask>", "[multimodal]", "<start_of_turn", "\n\n", "user\n", "<", ">", "<<bos>>"]
    for _ in range(150):
        out.append("".join(rng.choice(spell) + rng.choice(["", " ", rng.choice(lines)[:12]]) for _ in range(4)))
    return out


def random_text(rng):
    ranges = [(0x20, 0x7F), (0x80, 0x500), (0x500, 0x3000), (0x3000, 0xA000), (0xA000, 0xD800), (0xE000, 0x10000),
              (0x10000, 0x20000), (0x20000, 0x32000), (0xE0000, 0xE0200), (0xF0000, 0x110000)]
    out = []
    for _ in range(250):
        low, high = rng.choice(ranges)
        out.append("".join(chr(rng.randrange(low, high)) if rng.random() < .8 else rng.choice(" .\n")
                           for _ in range(rng.randrange(1, 24))))
    out += [c * 700 for c in ("a", " ", "é", "日", "<", "▁a", "ab", "aab")]
    return out


def invalid(rng, lines):
    out = [b"\x80", b"\xff\xfe", b"a\xc0\x80b", b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x90\x80\x80", b"\xe2\x96", b"\xe2\x96 \x81",
           b"\xf0\x9f\x98", b"\xe0\x80\xaf", b"x\xc3", b"\xc3 \xa9", b"<bos\xff>", b"\xe2\x96\x81\xe2\x96\x81\xe2", b"\xf8\x88\x80\x80\x80"]
    for _ in range(150):
        line = bytearray(rng.choice(lines).encode()[:60])
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(line)) if line else 0
            if rng.random() < .5:
                del line[at:at + 1]
            else:
                line[at:at] = bytes([rng.randrange(128, 256)])
        out.append(bytes(line))
    return out


def training():
    """Plain text, to train a vocabulary on."""
    return words(random.Random(SEED + 1)) + words(random.Random(SEED + 2)) + CODE


def lines():
    rng = random.Random(SEED)
    known = words(rng)
    text = known + CODE + [c.replace("\\n", "\n") for c in CODE] + emoji(rng) + marks(rng, known) + spaces(rng)
    text += controls(rng, known) + random_text(rng)
    every = [x.encode() for x in text if "\0" not in x] + invalid(rng, known)
    return list(dict.fromkeys(x for x in every if x))
