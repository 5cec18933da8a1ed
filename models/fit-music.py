#!/usr/bin/env python3
"""Fits music-weights.h, the small network of music.c.

    fit-music.py build/tests/usm/music-features FOLDER

FOLDER holds mono float32 sound of 16 kHz: m_*.f32 is music, s_*.f32 is speech. Each file counts by the square root of its
length, both classes the same. The table in use was fitted on 27 pieces of Debian's asterisk-moh-opsound (two of five),
asc-music, frozen-bubble-data, pingus-data, xblast-tnt-musics and planetblupi-music-midi (through fluidsynth), at an RMS of
0.08; every second prompt of asterisk-core-sounds-en and -fr with pauses of 50 to 900 ms, clean, 30 dB quieter, in a room (noise
that decays within 70 ms), with white noise 20 dB and music 15 dB below; flite's rms and slt, espeak-ng's en and es. tt-monkeys is
left out: that is neither.
"""
import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
from scipy.optimize import minimize

FEATURES = 13
UNITS = 6


def features(tool, path):
    """Rows of features while the voice gate is open."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run([tool, path, out.name], check=True)
        return np.fromfile(out.name, np.float32).reshape(-1, FEATURES).astype(float)


def gather(tool, folder, prefix):
    rows = [r for p in sorted(folder.glob(prefix + '*.f32')) if len(r := features(tool, p))]
    weights = np.concatenate([np.full(len(r), len(r) ** -.5) for r in rows])
    return np.concatenate(rows), weights / weights.sum()


def unpack(p):
    n = FEATURES * UNITS
    return p[:n].reshape(FEATURES, UNITS), p[n:n + UNITS], p[n + UNITS:n + 2 * UNITS], p[-1]


def loss(p, x, y, w):
    """Weighted cross entropy, and 0.0005 of the squares; with its gradient."""
    inner, offset, outer, bias = unpack(p)
    h = np.tanh(x @ inner + offset)
    odds = h @ outer + bias
    g = w * (1 / (1 + np.exp(-odds)) - y)
    back = np.outer(g, outer) * (1 - h * h)
    gradient = np.concatenate([(x.T @ back).ravel(), back.sum(0), h.T @ g, [g.sum()]])
    return np.sum(w * (np.logaddexp(0, odds) - y * odds)) + 5e-4 * np.sum(p ** 2), gradient + 1e-3 * p


def number(x):
    text = f'{x:.5g}'
    return text + ('f' if '.' in text or 'e' in text else '.f')


def write(path, p, mean, deviation):
    inner, offset, outer, bias = unpack(p)
    offset = offset - (mean / deviation) @ inner
    inner = inner / deviation[:, None]
    lines = ['/* Written by fit-music.py: do not edit. */']
    for unit in range(UNITS):
        lines += ['{ ' + ', '.join(map(number, inner[:7, unit])) + ',', '  ' + ', '.join(map(number, inner[7:, unit])) + ',',
                  '  ' + number(offset[unit]) + ' },']
    lines += ['#define GEMMA_MUSIC_OUTPUT \\', '  { ' + ', '.join(map(number, [*outer, bias])) + ' }']
    path.write_text('\n'.join(lines) + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tool')
    parser.add_argument('folder', type=pathlib.Path)
    args = parser.parse_args()
    music, music_weights = gather(args.tool, args.folder, 'm_')
    speech, speech_weights = gather(args.tool, args.folder, 's_')
    x = np.concatenate([music, speech])
    y = np.concatenate([np.ones(len(music)), np.zeros(len(speech))])
    mean, deviation = x.mean(0), x.std(0)
    tries = [minimize(loss, np.random.default_rng(seed).standard_normal(FEATURES * UNITS + 2 * UNITS + 1) * .3,
                      ((x - mean) / deviation, y, np.concatenate([music_weights, speech_weights])), jac=True,
                      method='L-BFGS-B', options={'maxiter': 400}) for seed in (0, 1)]
    best = min(tries, key=lambda t: t.fun)
    print(f'loss {best.fun:.4f}')
    write(pathlib.Path(__file__).with_name('music-weights.h'), best.x, mean, deviation)


if __name__ == '__main__':
    main()
