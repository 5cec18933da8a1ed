"""Element types: bytes as a file has them and the float32 values that gguf-py makes of them."""
import numpy as np
from gguf import GGMLQuantizationType, quants

SEED = 3


def half_patterns():
    """Every fifth 16-bit pattern: all exponents, both signs, subnormals, infinities, NaNs."""
    return np.arange(0, 65536, 5, dtype=np.uint16).view(np.uint8)


def blocks(rng, n, block_bytes, halves=(0,)):
    """Random blocks with finite halves at these bytes: zeros, subnormals, the largest and negative ones too."""
    data = rng.integers(0, 256, (n, block_bytes), dtype=np.uint8)
    for number, at in enumerate(halves):
        scales = rng.integers(0, 0x7c00, n, dtype=np.uint16) | rng.integers(0, 2, n, dtype=np.uint16) << 15
        scales[:4] = np.roll([0, 0x8000, 1, 0x7bff], number)
        data[:, at:at + 2] = scales.astype('<u2').view(np.uint8).reshape(n, 2)
    return data


def make(out):
    rng = np.random.default_rng(SEED)
    cases = {
        'f16': (half_patterns(), GGMLQuantizationType.F16),
        'bf16': (half_patterns(), GGMLQuantizationType.BF16),
        'q8_0': (blocks(rng, 48, 34), GGMLQuantizationType.Q8_0),
        'q4_0': (blocks(rng, 48, 18), GGMLQuantizationType.Q4_0),
        'q4_1': (blocks(rng, 48, 20, (0, 2)), GGMLQuantizationType.Q4_1),
        'q5_0': (blocks(rng, 48, 22), GGMLQuantizationType.Q5_0),
        'q5_1': (blocks(rng, 48, 24, (0, 2)), GGMLQuantizationType.Q5_1),
        'q4_k': (blocks(rng, 12, 144, (0, 2)), GGMLQuantizationType.Q4_K),
        'q5_k': (blocks(rng, 12, 176, (0, 2)), GGMLQuantizationType.Q5_K),
        'q6_k': (blocks(rng, 12, 210, (208,)), GGMLQuantizationType.Q6_K),
    }
    for name, (data, kind) in cases.items():
        with np.errstate(all='ignore'):
            values = quants.dequantize(data.reshape(-1), kind) if kind != GGMLQuantizationType.F16 \
                else data.view(np.float16).astype(np.float32)
        data.tofile(out / f'{name}.bin')
        np.save(out / f'{name}.npy', values.astype(np.float32).reshape(-1))
    return {'seed': SEED}
