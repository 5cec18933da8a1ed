#!/usr/bin/env python3
"""Decode the recordings and let synthesizers speak the texts: 16 kHz int16 shards that train.py maps.

    prepare-data.py --out DIR [--rounds 6] [--slow 2] [--jobs 2]

Writes DIR/human.{i16,json}, DIR/heldout-voice.*, DIR/festival-<voice>.* and DIR/round-<k>.*: in round k, each text is
spoken once by a synthesizer voice drawn from --seed. In DIR/slow-<k>.* its words are spoken one by one, so that it is known
where they are (.cuts, as align.py writes them). DIR/music.* has music. What exists is kept, so more rounds can be added while
a training runs. Needs Debian's asterisk-core-sounds-{en,es,fr,it}{,-g722}, ffmpeg, espeak-ng, flite, festival, festvox-kdlpc16k,
festvox-us-slt-hts, festvox-italp16k, festvox-itapc16k; for music asterisk-moh-opsound-g722, asc-music, frozen-bubble-data,
pingus-data, singularity-music, planetblupi-music-midi, fluidsynth, timgm6mb-soundfont, colobot-common-sounds, enigma-data,
extremetuxracer-data, fillets-ng-data, hedgewars-data, lincity-ng-data, marsshooter-data, noiz2sa-data, tumiki-fighters-data,
warmux-data, warzone2100-music, zaz-data, ardentryst, lordsawar-data, btanks-data, xmoto-data, drascula-music,
freedroidrpg-data, hyperrogue-music, naev-data, unknown-horizons.

Held out (never trained on): human clips whose name has an MD5 that begins with 0, the voices
flite "rms" (English) and espeak-ng variant "f2" of es-419, fr-fr and it, and of the music what MUSIC leaves out.
"""
import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from math import gcd
from pathlib import Path

import numpy as np
import scipy
import scipy.io.wavfile
import scipy.signal

import corpus
from progress import progress

HELD_OUT_VOICE = {"en": ("flite", "rms"), "es": ("espeak", "es-419+f2"), "fr": ("espeak", "fr-fr+f2"),
                  "it": ("espeak", "it+f2")}
ESPEAK_LANGUAGE = {"en": ["en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland"],
                   "es": ["es", "es-419", "es-419", "es-419"], "fr": ["fr-fr", "fr-fr", "fr-be", "fr-ch"], "it": ["it"]}
ESPEAK_VARIANT = ["", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f3", "f4", "f5", "Andrea", "Annie",
                  "Alicia", "Alex", "Andy", "Diogo", "Henrique", "Hugo", "Lee", "Marco", "Michel", "Miguel", "adam",
                  "anika", "antonio", "benjamin", "caleb", "david", "edward", "john", "linda", "marcelo", "michael",
                  "mike", "pablo", "pedro", "rob", "robert", "sandro", "shelby", "steph", "steph3", "travis", "victor"]
FLITE = ["slt", "awb", "kal16", "slt"]
FESTIVAL = {"festival-ked": ("en", "voice_ked_diphone"), "festival-slt": ("en", "voice_cmu_us_slt_arctic_hts"),
            "festival-lp": ("it", "voice_lp_diphone"), "festival-pc": ("it", "voice_pc_diphone")}
MUSIC = {"/usr/share/asterisk/moh": ("macroform-robot_dity.g722", "manolo_camp-*.g722"), "/usr/share/games/asc/music": ("*.mp3",),
         "/usr/share/games/frozen-bubble/snd": ("*zik*.ogg",), "/usr/share/games/pingus/data/music": ("*.it", "*.s3m"),
         "/usr/share/games/singularity/music": ("*.ogg",), "/usr/share/planetblupi/music": ("music00[!37].mid",),
         "/usr/share/games": ("colobot/music/*.ogg", "enigma/music/*/*.ogg", "etr/music/*.ogg", "fillets-ng/music/*.ogg",
                              "hedgewars/Data/Music/*.ogg", "lincity-ng/music/default/*.ogg", "marsshooter/audio/music/*.ogg",
                              "noiz2sa/sounds/*.ogg", "tumiki-fighters/sounds/*.ogg", "warmux/music/ingame/*.ogg",
                              "warzone2100/music/albums/*/*", "zaz/mus*.ogg", "ardentryst/Music/*.ogg",
                              "lordsawar/music/*", "btanks/data/tunes/*.ogg", "xmoto/Textures/Musics/*.ogg"),
         "/usr/share": ("scummvm/drascula/audio/*.ogg", "freedroidrpg/data/sound/music/*.ogg", "hyperrogue/music/*.ogg",
                        "naev/dat/snd/music/*.ogg", "unknown-horizons/content/audio/music/*.ogg")}
LONGEST_PIECE = "240"                                   # seconds
SLOW = 40                                               # words; the instructions of the demonstration would take minutes
SOUNDFONT = "/usr/share/sounds/sf2/TimGM6mb.sf2"
SYMBOL = {"en": {"#": "pound", "*": "star"}, "es": {"#": "numeral", "*": "asterisco"},
          "fr": {"#": "carré", "*": "étoile"}, "it": {"#": "cancelletto", "*": "asterisco"}}


def to_16k(rate, data):
    x = data.astype(np.float32)
    if x.ndim > 1:
        x = x.mean(1)
    if rate != corpus.RATE:
        g = gcd(rate, corpus.RATE)
        x = scipy.signal.resample_poly(x, corpus.RATE // g, rate // g)
    return x


def trim(x, keep=0.05, threshold=0.004):
    """Cuts silence at both ends; @keep seconds of it stay."""
    loud = np.flatnonzero(np.abs(x) > threshold * max(1., np.abs(x).max()))
    if not len(loud):
        return x
    k = int(keep * corpus.RATE)
    return x[max(0, loud[0] - k):loud[-1] + k]


def speakable(text, lang):
    for symbol, word in SYMBOL[lang].items():
        text = text.replace(symbol, f" {word} ")
    return " ".join(text.split())


def as_int16(x, peak=None):
    if peak and np.abs(x).max() > 0:
        x = x * (peak / np.abs(x).max())
    return np.clip(np.round(x), -32768, 32767).astype(np.int16)


def speak(text, lang, engine, voice, rate=160, pitch=50, keep=.05):
    text = speakable(text, lang)
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        if engine == "espeak":
            cmd = ["espeak-ng", "-v", voice, "-s", str(rate), "-p", str(pitch), "-w", f.name, text]
        else:
            cmd = ["flite", "-voice", voice, "--setf", f"duration_stretch={160 / rate:.3f}", "-t", text, "-o", f.name]
        subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rate_, data = scipy.io.wavfile.read(f.name)
    return as_int16(trim(to_16k(rate_, data), keep), peak=12000)


def one_by_one(text, lang, engine, voice, rate, pitch, rng):
    """-> samples; where one word ends and the next begins: [the middle of what is between them, how long that is]"""
    parts, places, length = [], [], 0
    pauses = rng.choice((0, 0, .5))
    for word in text.split():
        if parts:
            gap = int(corpus.RATE * (rng.uniform(.1, .8) if rng.random() < pauses else rng.uniform(0, .08)))
            parts.append(np.zeros(gap, np.int16))
            places.append([length + gap // 2, gap])
            length += gap
        x = speak(word, lang, engine, voice, rate, pitch, keep=0) if re.search(r"\w|[#*]", word) else np.zeros(0, np.int16)
        parts.append(x)
        length += len(x)
    return np.concatenate(parts), places


def decoded(path, *options):
    raw = subprocess.run(["ffmpeg", "-v", "error", *options, "-i", str(path), "-f", "s16le", "-ar", str(corpus.RATE), "-ac", "1", "-"],
                         check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.int16)


def human(lang, name):
    return decoded(corpus.human_clip(lang, name), "-f", "g722")


def music(path):
    if path.suffix != ".mid":
        return decoded(path, "-t", LONGEST_PIECE, *(("-f", "g722") if path.suffix == ".g722" else ()))
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        subprocess.run(["fluidsynth", "-q", "-ni", "-F", f.name, SOUNDFONT, str(path)], check=True, stdout=subprocess.DEVNULL)
        return decoded(f.name)


def festival(lang, voice, items):
    """All texts in one process: its start takes longer than a sentence."""
    code = "iso-8859-15"
    with tempfile.TemporaryDirectory() as d:
        lines = [f"({voice})"]
        for i, (_, text) in enumerate(items):
            t = re.sub(r'["\\]', " ", speakable(text, lang)).encode(code, "ignore").decode(code)
            lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{t}")) "{d}/{i}.wav" \'riff)')
        script = Path(d) / "all.scm"
        script.write_bytes("\n".join(lines).encode(code))
        subprocess.run(["festival", "-b", str(script)], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for i, (name, text) in enumerate(items):
            path = Path(d) / f"{i}.wav"
            if path.exists() and path.stat().st_size > 1000:
                rate, data = scipy.io.wavfile.read(path)
                yield name, text, as_int16(trim(to_16k(rate, data)), peak=12000)


class Shard:
    """NAME.i16 holds the samples of all clips, NAME.json says which is where; both appear complete or not at all."""

    def __init__(self, out, name):
        self.path, self.items, self.at, self.cuts = Path(out) / name, [], 0, {}
        self.file = open(self.path.with_suffix(".part"), "wb")

    def add(self, lang, name, text, voice, samples, places=None):
        """@places: between words, if they are known"""
        self.file.write(samples.tobytes())
        self.items.append({"lang": lang, "name": name, "text": text, "voice": voice, "at": self.at, "n": len(samples)})
        self.at += len(samples)
        if places is not None:
            self.cuts[f"{lang} {name}"] = {"cuts": places, "worse": [0.] * (len(places) + 1)}

    def close(self):
        self.file.close()
        if self.cuts:
            self.path.with_suffix(".cuts").write_text(json.dumps(self.cuts))
        self.path.with_suffix(".part").rename(self.path.with_suffix(".i16"))
        tmp = self.path.with_suffix(".json.part")
        tmp.write_text(json.dumps(self.items, ensure_ascii=False))
        tmp.rename(self.path.with_suffix(".json"))


def build(out, name, jobs, work):
    """@work: (lang, name, text, voice, function -> samples, or samples and places) of each clip."""
    if (Path(out) / f"{name}.json").exists():
        return
    shard = Shard(out, name)
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(w[4]) for w in work]
        for i, (w, f) in enumerate(zip(work, futures), 1):
            try:
                samples = f.result()
            except (subprocess.CalledProcessError, ValueError, OSError) as e:
                print(f"\n{name}: {w[0]} {w[1]} left out: {e}", file=sys.stderr)
                continue
            samples, places = samples if isinstance(samples, tuple) else (samples, None)
            if len(samples) > 1600:
                shard.add(*w[:4], samples, places)
            progress(name, i, len(work))
    shard.close()


def draw_voice(lang, rng):
    if lang == "en" and rng.random() < 0.4:
        return "flite", rng.choice(FLITE)
    variant = rng.choice(ESPEAK_VARIANT)
    return "espeak", rng.choice(ESPEAK_LANGUAGE[lang]) + (f"+{variant}" if variant else "")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", type=Path, default=Path.home() / ".cache/gst-gemma/train/data")
    ap.add_argument("--rounds", type=int, default=6)
    ap.add_argument("--slow", type=int, default=2, help="rounds word by word")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    texts = corpus.read_texts()
    (a.out / "texts.json").write_text(json.dumps(texts, ensure_ascii=False, indent=1))
    every = [(lang, name, text) for lang in texts for name, text in texts[lang].items()]

    clips = [(lang, name, text, "human", lambda lang=lang, name=name: human(lang, name))
             for lang, name, text in every if corpus.human_clip(lang, name).exists()]
    build(a.out, "human", a.jobs, clips)

    def synth(seed, lang, text, engine, voice, plain=False):
        r = random.Random(seed)
        rate, pitch = (160, 50) if plain else (r.randint(125, 195), r.randint(25, 80))
        return lambda: speak(text, lang, engine, voice, rate, pitch)

    for k in range(a.rounds):
        work = []
        for lang, name, text in every:
            rng = random.Random(f"{a.seed} {k} {lang} {name}")
            engine, voice = draw_voice(lang, rng)
            work.append((lang, name, text, f"{engine}:{voice}", synth(rng.random(), lang, text, engine, voice)))
        build(a.out, f"round-{k}", a.jobs, work)
        if k == 0:                                      # the rest of what a first training and evaluation need
            work = []
            for lang, name, text in every:
                engine, voice = HELD_OUT_VOICE[lang]
                if random.Random(f"held {lang} {name}").random() < 0.25:
                    work.append((lang, name, text, f"{engine}:{voice}", synth(0, lang, text, engine, voice, plain=True)))
            build(a.out, "heldout-voice", a.jobs, work)
        if k == 1:
            for shard, (lang, voice) in FESTIVAL.items():
                if not (a.out / f"{shard}.json").exists():
                    s = Shard(a.out, shard)
                    items = [(n, t) for l, n, t in every if l == lang]
                    for i, (name, text, samples) in enumerate(festival(lang, voice, items), 1):
                        s.add(lang, name, text, f"festival:{voice}", samples)
                        progress(shard, i, len(items))
                    s.close()
    for k in range(a.slow):
        work = []
        for lang, name, text in (e for e in every if len(e[2].split()) <= SLOW):
            rng = random.Random(f"{a.seed} slow {k} {lang} {name}")
            engine, voice = draw_voice(lang, rng)
            how = engine, voice, rng.randint(125, 195), rng.randint(25, 80), rng
            work.append((lang, name, text, f"{engine}:{voice}", lambda text=text, lang=lang, how=how: one_by_one(text, lang, *how)))
        build(a.out, f"slow-{k}", a.jobs, work)
    pieces = sorted(path for folder, names in MUSIC.items() for name in names for path in Path(folder).glob(name))
    build(a.out, "music", a.jobs, [("", path.stem, "", "music", lambda path=path: music(path)) for path in pieces])
    print(f"numpy {np.__version__}, scipy {scipy.__version__}", *(
        subprocess.run(c, capture_output=True, text=True).stdout.split("\n")[0]
        for c in (["espeak-ng", "--version"], ["ffmpeg", "-version"])), sep="\n")


if __name__ == "__main__":
    main()
