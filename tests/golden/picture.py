"""Pictures scaled by PIL (Image.resize, BILINEAR), rows and then columns, as Pillow did in one call up to version 12.
(Since 13 it takes the columns first where they shrink more. Both orders are within 1 of the exact value, so they differ by 1 at
most.)

    sizes.txt   "width height side sha256": pixels (width, height) made by pixels() below, scaled to a square of side;
                the hash is of PIL's bytes, RGB row by row
    stamps.txt  "path side sha256 sha256": pictures of the package tuxpaint-stamps-default (not copied here); hashes of
                the decoded RGB (alpha left out) and of PIL's bytes

Checked while they are made: transformers' processor of Gemma 3n gives these bytes / 255 to within 1/255, in its PIL form and
in its torchvision form (which calls torch's uint8 interpolation); the largest differences are in MANIFEST.json.
"""
import hashlib
from pathlib import Path

import numpy as np
import torch
import PIL
from PIL import Image
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

STAMPS = Path("/usr/share/tuxpaint/stamps")
SIDES = 256, 512, 768
SIZES = [(1, 1), (1, 777), (777, 1), (2, 3), (17, 31), (255, 257), (256, 256), (257, 255), (511, 513), (640, 480), (720, 576),
         (767, 769), (768, 768), (1023, 301), (1280, 720), (1920, 1080), (333, 2001), (8191, 301), (7680, 97)]


def pixels(width, height):
    """A gradient with noise, uint8 [height][width][3]; the same bytes in tests/opencl/test-picture.c."""
    i = np.arange(width * height * 3, dtype=np.uint32)
    h = i * np.uint32(2654435761)
    h ^= h >> np.uint32(15)
    h *= np.uint32(2246822519)
    y, x, c = np.unravel_index(i, (height, width, 3))
    return ((h >> np.uint32(26)) + (3 * x + 5 * y + 85 * c) % 193).astype(np.uint8).reshape(height, width, 3)


def stamps():
    """A dozen of odd sizes, photographs and drawings, wide and high."""
    files = sorted(f for f in STAMPS.rglob("*.png") if not f.stem.endswith("_mirror"))
    return files[7::len(files) // 12]


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def scale(rgb, side, processor):
    """PIL's bytes, and how far the two processors are off."""
    rows = Image.fromarray(rgb).resize((side, rgb.shape[0]), Image.Resampling.BILINEAR)
    want = np.asarray(rows.resize((side, side), Image.Resampling.BILINEAR))
    pil = processor(Image.fromarray(rgb), size={"height": side, "width": side}, return_tensors="np")["pixel_values"][0]
    pil = int(np.abs(np.rint(pil.transpose(1, 2, 0) * 255) - want).max())
    x = torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]
    x = torch.nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True)[0].numpy().transpose(1, 2, 0)
    off = np.array([pil, np.abs(x.astype(int) - want).max()])
    assert max(off) <= 1, (rgb.shape, off)
    return want, off


def make(out):
    processor = SiglipImageProcessorPil(do_resize=True, resample=Image.Resampling.BILINEAR, do_rescale=True,
                                        rescale_factor=1 / 255, do_normalize=False, do_convert_rgb=True)
    worst = np.zeros(2, int)
    with open(out / "sizes.txt", "w") as f:
        for n, (width, height) in enumerate(SIZES):
            for side in SIDES if n % 4 == 0 else SIDES[n % 3:n % 3 + 1]:
                want, off = scale(pixels(width, height), side, processor)
                worst = np.maximum(worst, off)
                print(width, height, side, digest(want), file=f)
    with open(out / "stamps.txt", "w") as f:
        for n, path in enumerate(stamps()):
            rgb = np.asarray(Image.open(path).convert("RGBA"))[:, :, :3]
            side = SIDES[n % 3]
            want, off = scale(rgb.copy(), side, processor)
            worst = np.maximum(worst, off)
            print(path.relative_to(STAMPS), side, digest(rgb), digest(want), file=f)
    return {"pillow": PIL.__version__, "processors differ by": {"PIL": int(worst[0]), "torch": int(worst[1])}}
