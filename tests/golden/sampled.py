"""Seeded pictures, and what is kept of the layers of a network that reads them.

    R.txt   for resolution R a line "name side channels norm" for each layer
    R.npy   their samples one after another: the elements 0, step, 2 step, ... of [side * side][channels], where
            step = 1 + elements // SAMPLES rounded up to an odd number
"""
import numpy as np
import torch

import seeded

SAMPLES = 400
SEED = 9                # of pixels


def pixels(resolution):
    """[3][R][R] in [0, 1]; the same bits in tests/vision/, where they are [R * R][3]."""
    values = seeded.fill("pixels", (resolution, resolution, 3), SEED, .5, .25)
    return torch.from_numpy(np.clip(values, 0, 1).transpose(2, 0, 1).copy())


def sample(t):
    """t [1][C][H][W] as elements of [H * W][C]."""
    flat = t[0].permute(1, 2, 0).reshape(-1)
    return flat[::(flat.numel() // SAMPLES + 1) | 1].numpy().copy(), flat.double().norm().item(), t.shape[2], t.shape[1]


def sample_rows(x):
    """x [1][side * side][C]."""
    side = round(x.shape[1] ** .5)
    return sample(x[0].T.reshape(1, -1, side, side))


def save(folder, resolution, kept):
    """@kept: name -> sample (), in order."""
    np.save(folder / f"{resolution}.npy", np.concatenate([values for values, *_ in kept.values()]))
    with open(folder / f"{resolution}.txt", "w") as f:
        for name, (_, norm, side, channels) in kept.items():
            print(name, side, channels, f"{norm:.9g}", file=f)
