"""Weights from a seed, the same bits here and in tests/seeded-weights.c, so that no weights are committed.

Element i of a tensor comes from z = splitmix64 (key + (i + 1) * golden), key = splitmix64 (seed ^ fnv1a64 (name)):
the sum of z's four 16-bit parts less 131070 is an integer of standard deviation 65536 / sqrt (3), nearly normal and
within 3.46 deviations; times the float32 scale std * sqrt (3) / 65536, plus the float32 mean, in float64, rounded once.

A list file has a line "name mean std dim..." for each tensor, dims as in the checkpoint (slowest first).
"""
import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
UNIT = float.fromhex("0x1.bb67ae8584caap-16")       # sqrt (3) / 65536


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fnv1a(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def fill(name, shape, seed, mean, std, bf16=False, stretch=1 << 20):
    """float32 array; with bf16, rounded to the nearest bfloat16 (ties to even)."""
    n = int(np.prod(shape))
    out = np.empty(n, np.float32)
    scale, mean = float(np.float32(std * UNIT)), float(np.float32(mean))
    with np.errstate(over="ignore"):
        key = mix(np.array([seed ^ fnv1a(name)], np.uint64))
        for i in range(0, n, stretch):
            z = mix(key + (np.arange(i, min(n, i + stretch), dtype=np.uint64) + np.uint64(1)) * GOLDEN)
            parts = z.view(np.uint16).reshape(-1, 4).sum(axis=1, dtype=np.int64) - 131070
            out[i:i + stretch] = parts * scale + mean
    if bf16:
        bits = out.view(np.uint32)
        bits += np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        bits &= np.uint32(0xFFFF0000)
    return out.reshape(shape)


def write_list(path, tensors):
    """tensors: (name, shape, mean, std)."""
    with open(path, "w") as f:
        for name, shape, mean, std in tensors:
            print(name, f"{mean:.9g} {std:.9g}", *shape, file=f)


def read_list(path):
    for line in open(path):
        name, mean, std, *shape = line.split()
        yield name, tuple(map(int, shape)), float(mean), float(std)


if __name__ == "__main__":                          # the values that tests/seeded-weights.c must give as well
    for bf16 in False, True:
        print([x.item().hex() for x in fill("model.norm.weight", (4,), 7, 0.3, 0.03, bf16)])
