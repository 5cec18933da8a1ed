#!/usr/bin/env python3
"""Pictures for training: the stamps of Debian's tuxpaint-stamps-default, drawn over made-up backgrounds.

    pictures.py --out DIR/pictures          # renders every stamp once: about a minute, 190 MB

Rules, decided once. What a stamp is called: the first line of its .txt in English, "xx.utf8=" lines in other languages
(Portuguese: pt, else pt_BR). Notes in brackets go, typographic quotes and dashes become plain (corpus.normalise), and only
the first sentence is kept: what follows it is advice or a joke and cannot be seen. Stamps with the same English text are one
class and share the translations of the first of them; a language in which a stamp has no text is not asked about it.
Left out: stamps without a picture, and LEFT_OUT, whose shapes are those of others at another size.
A stamp is mirrored as its own *_mirror file, or if its .dat does not say "nomirror" and it is no sign or left eye (FIXED).
"""
import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import corpus

STAMPS = Path("/usr/share/tuxpaint/stamps")
SIDE, STORED = 256, 224         # of a composed picture, of a stamp in the cache
# lower-case letters that are the upper-case one smaller, and a zero that is an O
LEFT_OUT = re.compile(r"lowercase/([cosvwxz]|o_with_umlaut)_(filled|outline)$")
FIXED = re.compile(r"symbols/|town/(flags|roadsigns)/|people/body_parts/manga_eye")
PLAIN = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": ", ", "−": "-", "\u00a0": " "})
# an abbreviation's full stop ends no sentence
SENTENCE = re.compile(r"(?<=[.!?])(?<!\bSt\.)(?<!\bca\.)(?<!\bz\.)\s+(?=\S)")


# ---- texts ------------------------------------------------------------------------------------------------

def describe(text, language):
    text = corpus.normalise(text.translate(PLAIN), language).lstrip("-, ")
    return SENTENCE.split(text)[0] if text else ""


def lines(path):
    """{language: all that a stamp's .txt says}"""
    english, *rest = path.read_text("utf-8", errors="replace").splitlines() or [""]
    found = dict(m.groups() for m in (re.match(r"(\w+)\.utf8=(.*)", line) for line in rest) if m) | {"en": english}
    found.setdefault("pt", found.get("pt_BR", ""))
    return found


def read_texts(path):
    """{language: description} of a stamp's .txt"""
    texts = {lang: describe(text, lang) for lang, text in lines(path).items() if lang in corpus.CAPTIONS}
    return {k: texts[k] for k in corpus.CAPTIONS if texts.get(k)}


def stamps(root=STAMPS):
    """[(name, texts, [picture files: as it is, and mirrored by its painter], may be mirrored)]"""
    out = []
    for txt in sorted(root.rglob("*.txt")):
        stem, name = txt.with_suffix(""), str(txt.with_suffix("").relative_to(root))
        files = [next((p for p in (Path(f"{stem}{end}.svg"), Path(f"{stem}{end}.png")) if p.exists()), None)
                 for end in ("", "_mirror")]
        texts = read_texts(txt)
        if files[0] is None or "en" not in texts or LEFT_OUT.search(name):
            continue
        dat = txt.with_suffix(".dat")
        fixed = FIXED.match(name) or (dat.exists() and "nomirror" in dat.read_text(errors="replace").split())
        out.append((name, texts, [f for f in files if f], not fixed and not files[1]))
    return out


# ---- the cache --------------------------------------------------------------------------------------------

def render(path):
    """Premultiplied RGBA, cut to what is visible, its longer side STORED, centred."""
    if path.suffix == ".svg":
        png = subprocess.run(["rsvg-convert", "--keep-aspect-ratio", f"--width={2 * STORED}", f"--height={2 * STORED}",
                              str(path)], check=True, capture_output=True).stdout
        image = Image.open(io.BytesIO(png)).convert("RGBA")
    else:
        image = Image.open(path).convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    image = image.crop(box).convert("RGBa")
    scale = STORED / max(image.size)
    size = [max(1, round(n * scale)) for n in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    out = Image.new("RGBa", (STORED, STORED))
    out.paste(image, ((STORED - size[0]) // 2, (STORED - size[1]) // 2))
    return np.asarray(out)


def build(out, root=STAMPS):
    out.mkdir(parents=True, exist_ok=True)
    classes, items, pictures = {}, [], []
    for name, texts, files, mirror in stamps(root):
        label = list(classes).index(texts["en"]) if texts["en"] in classes else len(classes)
        merged = classes.setdefault(texts["en"], texts)
        for lang, text in texts.items():
            merged.setdefault(lang, text)
        for i, path in enumerate(files):
            items.append({"name": name, "class": label, "row": len(pictures), "mirror": mirror, "drawn mirrored": bool(i)})
            pictures.append(render(path))
    np.save(out / "stamps.npy", np.stack(pictures))
    about = {"items": items, "texts": list(classes.values()),
             "sha256": hashlib.sha256(np.stack(pictures).tobytes()).hexdigest()}
    (out / "stamps.json").write_text(json.dumps(about, ensure_ascii=False, indent=0))
    print(f"{len(items)} pictures, {len(classes)} descriptions: {out}")


class Stamps:
    """What build() wrote, mapped."""

    def __init__(self, directory):
        about = json.loads((Path(directory) / "stamps.json").read_text())
        self.items, self.texts = about["items"], about["texts"]
        self.pictures = np.load(Path(directory) / "stamps.npy", mmap_mode="r")
        self.half = np.stack([np.asarray(Image.fromarray(p, "CMYK").reduce(2)) for p in self.pictures])

    def draw(self, rng, label=None):
        """A class, then one of its stamps: every description is as frequent."""
        label = int(rng.integers(len(self.texts))) if label is None else label
        mine = self.of(label)
        return mine[int(rng.integers(len(mine)))]

    def of(self, label):
        if not hasattr(self, "by_class"):
            self.by_class = [[] for _ in self.texts]
            for item in self.items:
                self.by_class[item["class"]].append(item)
        return self.by_class[label]


# ---- backgrounds ------------------------------------------------------------------------------------------

# Each is drawn as [side,side,3] floats; wave numbers are per half side, so that a smaller picture shows the same.

def axis(side):
    return np.linspace(-1, 1, side, dtype=np.float32)


def colour(rng):
    return rng.random(3, dtype=np.float32)


def slanted(rng, side):
    """A coordinate along a drawn direction, [side,side]"""
    t, x = rng.uniform(0, 2 * np.pi), axis(side)
    return np.float32(np.cos(t)) * x + np.float32(np.sin(t)) * x[:, None]


def mix(t, a, b):
    return a + (b - a) * t[..., None]


def grid_of(rng, n, how, side):
    """n x n drawn colours, enlarged"""
    small = Image.fromarray((rng.random((n, n, 3), dtype=np.float32) * 255).astype(np.uint8))
    return np.asarray(small.resize((side, side), how), np.float32) / 255


def flat(rng, side):
    return np.broadcast_to(colour(rng), (side, side, 3))


def gradient(rng, side):
    return mix(np.clip(slanted(rng, side) * rng.uniform(.3, 1) + .5, 0, 1), colour(rng), colour(rng))


def noise(rng, side):
    how = Image.Resampling.NEAREST if rng.random() < .5 else Image.Resampling.BILINEAR
    return mix(np.float32(rng.uniform(.1, .8)), colour(rng), grid_of(rng, int(rng.integers(16, 129)), how, side))


def blobs(rng, side):
    return grid_of(rng, int(rng.integers(3, 12)), Image.Resampling.BICUBIC, side)


def stripes(rng, side):
    wave = np.sin(slanted(rng, side) * np.float32(rng.uniform(6, 60)))
    return mix(wave / 2 + .5 if rng.random() < .5 else (wave > 0).astype(np.float32), colour(rng), colour(rng))


def checks(rng, side):
    size = rng.uniform(6, 40)
    return mix((np.sin(slanted(rng, side) * size) * np.sin(slanted(rng, side) * size) > 0).astype(np.float32), colour(rng), colour(rng))


def rings(rng, side):
    x, y = axis(side) - rng.uniform(-1, 1), axis(side)[:, None] - rng.uniform(-1, 1)
    wave = np.sin(np.sqrt(x * x + y * y).astype(np.float32) * np.float32(rng.uniform(4, 50)))
    return mix(wave / 2 + .5, colour(rng), colour(rng))


def dots(rng, side):
    n, x = rng.uniform(8, 40), axis(side)
    inside = np.cos(x * n) + np.cos(x[:, None] * n + rng.uniform(0, 6)) > rng.uniform(-.5, 1)
    return mix(inside.astype(np.float32), colour(rng), colour(rng))


def clouds(rng, side):
    layers = [grid_of(rng, n, Image.Resampling.BICUBIC, side).mean(-1) for n in (3, 6, 12, 24, 48, 96)]
    t = sum(x * np.float32(.6 ** i) for i, x in enumerate(layers))
    t = (t - t.min()) / (t.max() - t.min())
    return mix(t, colour(rng), colour(rng))


def patches(rng, side):
    """Two of the others, side by side along a winding line"""
    a, b = (SIMPLE[int(rng.integers(len(SIMPLE)))](rng, side) for _ in range(2))
    return np.where(blobs(rng, side)[..., :1] > .5, a, b)


SIMPLE = (flat, gradient, noise, blobs, stripes)
BACKGROUNDS = (*SIMPLE, patches)
HELD_OUT = (checks, rings, dots, clouds)        # never drawn in training


class Grounds:
    """Backgrounds and noise drawn in advance; each use takes another part of one, mirrored and with other colours."""

    def __init__(self, rng, side=SIDE, count=360):
        drawn = (BACKGROUNDS[i % len(BACKGROUNDS)](rng, side * 5 // 4) for i in range(count))
        self.stored = np.stack([(255 * g).astype(np.uint8) for g in drawn])
        self.grains = rng.standard_normal(8 * side * side * 3, dtype=np.float32)

    def draw(self, rng, side):
        y, x = rng.integers(0, self.stored.shape[1] - side + 1, 2)
        part = self.stored[int(rng.integers(len(self.stored)))][y:y + side, x:x + side]
        part = part[::1 - 2 * int(rng.integers(2)), ::1 - 2 * int(rng.integers(2)), rng.permutation(3)]
        if rng.random() < .5:
            part = part.transpose(1, 0, 2)
        a, b = (colour(rng) * np.float32(.4) for _ in range(2))               # as if seen in coloured light
        return part * ((1 - a - b) / 255) + a

    def noise(self, rng, side):
        at = int(rng.integers(len(self.grains) - side * side * 3))
        return self.grains[at:at + side * side * 3].reshape(side, side, 3)


# ---- compositions -----------------------------------------------------------------------------------------

def between(rng, held_out, low, gap, high):
    """In the gap for what is held out, on either side of it otherwise."""
    if held_out:
        return rng.uniform(*gap)
    x = rng.uniform(low, high - (gap[1] - gap[0]))
    return x if x < gap[0] else x + gap[1] - gap[0]


def tint(stamp, rng):
    """Brightness, contrast, saturation and a little hue of a premultiplied stamp [h,w,4], floats."""
    t, u = rng.uniform(-.2, .2), np.full((3, 3), 1 / 3)
    s = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3 ** .5
    turn = u + np.cos(t) * (np.eye(3) - u) + np.sin(t) * s                              # about the grey axis
    m = (turn @ (u + rng.uniform(.7, 1.2) * (np.eye(3) - u)) * rng.uniform(.75, 1.15)).astype(np.float32)
    add = np.float32(rng.uniform(-.08, .12))
    rgb, alpha = (stamp[..., :3].reshape(-1, 3) @ m.T).reshape(*stamp.shape[:2], 3), stamp[..., 3:]
    return np.clip(rgb + add * alpha, 0, alpha), alpha


def apart(ground, rgb, alpha):
    """A background that looks as bright as the stamp, and as coloured, hides it: make it darker or lighter."""
    eye = np.array([.3, .6, .1], np.float32)                                # how much of brightness each colour is
    rgb, alpha, some = rgb[::4, ::4], alpha[::4, ::4], ground[::4, ::4]
    mine = rgb.sum((0, 1)) / (alpha.sum() + 1e-6)
    if eye @ np.square(mine - some.mean((0, 1))) > .25 ** 2:
        return ground
    return ground * np.float32(.3) if eye @ mine > .5 else 1 - (1 - ground) * np.float32(.3)


def degrade(image, rng, side):
    """As a camera and a low bit rate leave it."""
    if rng.random() < .25:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(.3, 1.4) * side / SIDE))
    if rng.random() < .15:
        n = int(rng.uniform(.45, .9) * side)
        image = image.resize((n, n), Image.Resampling.BILINEAR).resize((side, side), Image.Resampling.BILINEAR)
    if rng.random() < .4:
        image = recompress(image, int(rng.integers(8, 60)))
    return image


def recompress(image, quality):
    blob = io.BytesIO()
    image.save(blob, "JPEG", quality=quality)
    return Image.open(io.BytesIO(blob.getvalue())).convert("RGB")


def place(picture, all_stamps, item, rng, held_out, ease):
    """Lays a stamp over @picture."""
    side = len(picture)
    scale, stretch = between(rng, held_out, .42, (.64, .72), .97), np.exp(rng.uniform(-.12, .12))
    scale = max(scale, .97 - .25 * rng.random()) if rng.random() < ease else scale
    width, height = (min(side, max(8, round(side * scale * f))) for f in (stretch, 1 / stretch))
    # premultiplied, all four channels alike: as RGBA it would be unmultiplied and multiplied again
    source = all_stamps.half if max(width, height) <= STORED // 2 else all_stamps.pictures
    stamp = Image.fromarray(np.asarray(source[item["row"]]), "CMYK")
    if item["mirror"] and rng.random() < .4:
        stamp = stamp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    rgb, alpha = tint(np.asarray(stamp.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255, rng)
    x, y = (int(between(rng, held_out, 0, (.4, .55), 1) * (side - n)) for n in (width, height))
    picture = apart(picture, rgb, alpha)
    picture[y:y + height, x:x + width] *= 1 - alpha
    picture[y:y + height, x:x + width] += rgb
    return picture


def compose(all_stamps, item, rng, held_out=False, side=SIDE, grounds=None, ease=0.):
    """-> [side,side,3] bytes

    @held_out: background, size and place are such as training never draws; no damage. @grounds: takes backgrounds from
    there, which is faster. @ease: share of pictures that are undamaged, and of large stamps, to begin with.
    """
    if held_out:
        picture = np.array(HELD_OUT[int(rng.integers(len(HELD_OUT)))](rng, side), np.float32)
    elif grounds:
        picture = grounds.draw(rng, side)
    else:
        picture = np.array(BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))](rng, side), np.float32)
    picture = place(picture, all_stamps, item, rng, held_out, ease)
    damage = not held_out and rng.random() >= ease
    if damage and rng.random() < .4:
        grains = grounds.noise(rng, side) if grounds else rng.standard_normal(picture.shape, dtype=np.float32)
        picture += grains * np.float32(rng.uniform(.005, .06))
    picture *= 255
    picture += .5
    picture = np.clip(picture, 0, 255, out=picture).astype(np.uint8)
    return np.asarray(degrade(Image.fromarray(picture), rng, side)) if damage else picture


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", type=Path, default=Path.home() / ".cache/gst-gemma/train/pictures")
    ap.add_argument("--stamps", type=Path, default=STAMPS)
    ap.add_argument("--sheet", type=Path, help="write a sheet of compositions there, as a PNG")
    ap.add_argument("--held-out", action="store_true", help="of held-out ones")
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    if not (a.out / "stamps.json").exists():
        build(a.out, a.stamps)
    if a.sheet:
        s, rng = Stamps(a.out), np.random.default_rng(a.seed)
        cells = [compose(s, s.draw(rng), rng, a.held_out) for _ in range(40)]
        Image.fromarray(np.concatenate([np.concatenate(cells[i:i + 8], 1) for i in range(0, 40, 8)])).save(a.sheet)


if __name__ == "__main__":
    sys.exit(main())
