"""Writes GGUF version 3, with numpy alone: what a converter needs of it, under the names of the package gguf."""
import shutil
import struct
import tempfile
from enum import IntEnum
from pathlib import Path

import numpy as np

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FORMATS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}


class GGMLQuantizationType(IntEnum):
    F32, F16, Q4_0, Q8_0, BF16 = 0, 1, 2, 8, 30


# (elements, bytes) of a block
GGML_QUANT_SIZES = {GGMLQuantizationType.F32: (1, 4), GGMLQuantizationType.F16: (1, 2),
                    GGMLQuantizationType.BF16: (1, 2), GGMLQuantizationType.Q8_0: (32, 34),
                    GGMLQuantizationType.Q4_0: (32, 18)}

# ---- weights --------------------------------------------------------------------------------------------------------


def to_bf16(x):
    """To the nearest, to even; what is not a number stays so."""
    bits = x.view(np.uint32)
    rounded = bits + (0x7fff + (bits >> 16 & 1))
    return (np.where(np.isnan(x), bits | 0x400000, rounded) >> 16).astype("<u2").view(np.uint8)


def blocks_of(x, scale_of):
    """-> float16 scale and exact multiples of it, of every 32 values"""
    blocks = x.reshape(-1, 32)
    scale = scale_of(blocks)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), 1 / scale)
    return scale.astype("<f2").view(np.uint8), blocks * inverse


def to_q8_0(x):
    scale, multiples = blocks_of(x, lambda b: np.abs(b).max(axis=1, keepdims=True) / np.float32(127))
    rounded = np.trunc(multiples + np.copysign(np.float32(.5), multiples))      # halves away from zero
    return np.concatenate([scale, rounded.astype(np.int8).view(np.uint8)], axis=1)


def to_q4_0(x):
    def scale_of(blocks):
        """The value that is farthest from zero, with its sign, is -8."""
        return np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1) / np.float32(-8)

    scale, multiples = blocks_of(x, scale_of)
    nibbles = np.clip(np.trunc(multiples + np.float32(8.5)), 0, 15).astype(np.uint8)
    return np.concatenate([scale, nibbles[:, :16] | nibbles[:, 16:] << 4], axis=1)


def quantize(x, kind):
    """float32 as GGML stores it: of blocks, bytes, in rows as before"""
    x = np.ascontiguousarray(x, np.float32)
    if kind == GGMLQuantizationType.F32:
        return x
    if kind == GGMLQuantizationType.F16:
        return x.astype(np.float16)
    data = {GGMLQuantizationType.BF16: to_bf16, GGMLQuantizationType.Q8_0: to_q8_0,
            GGMLQuantizationType.Q4_0: to_q4_0}[kind](x)
    elements, size = GGML_QUANT_SIZES[kind]
    return data.reshape(*x.shape[:-1], x.shape[-1] // elements * size)


# ---- the file -------------------------------------------------------------------------------------------------------


def pack_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def pack(kind, value):
    return pack_string(value) if kind == STRING else struct.pack(FORMATS[kind], value)


class GGUFWriter:
    """Tensors wait in a temporary file; at the end come header, kv_data, tensors and close, in this order."""

    def __init__(self, path, architecture):
        self.path = Path(path)
        self.keys, self.tensors = {}, {}
        self.data = tempfile.TemporaryFile(dir=self.path.parent)
        self.add_string("general.architecture", architecture)

    def add(self, key, kind, data):
        self.keys[key] = struct.pack("<I", kind) + data

    def add_uint32(self, key, value):
        self.add(key, UINT32, pack(UINT32, value))

    def add_float32(self, key, value):
        self.add(key, FLOAT32, pack(FLOAT32, value))

    def add_bool(self, key, value):
        self.add(key, BOOL, pack(BOOL, value))

    def add_string(self, key, value):
        self.add(key, STRING, pack(STRING, value))

    def add_array(self, key, values):
        """Of bool, int, float, str or bytes: as the first is"""
        kind = {bool: BOOL, int: INT32, float: FLOAT32, str: STRING, bytes: STRING}[type(values[0])]
        self.add(key, ARRAY, struct.pack("<IQ", kind, len(values)) + b"".join(pack(kind, v) for v in values))

    def add_type(self, value):
        self.add_string("general.type", value)

    def add_name(self, value):
        self.add_string("general.name", value)

    def add_description(self, value):
        self.add_string("general.description", value)

    def add_license(self, value):
        self.add_string("general.license", value)

    def add_file_type(self, value):
        self.add_uint32("general.file_type", value)

    def add_tokenizer_model(self, name):
        self.add_string("tokenizer.ggml.model", name)

    def add_token_list(self, tokens):
        self.add_array("tokenizer.ggml.tokens", tokens)

    def add_token_scores(self, scores):
        self.add_array("tokenizer.ggml.scores", scores)

    def add_token_types(self, types):
        self.add_array("tokenizer.ggml.token_type", types)

    def add_add_space_prefix(self, value):
        self.add_bool("tokenizer.ggml.add_space_prefix", value)

    def add_bos_token_id(self, value):
        self.add_uint32("tokenizer.ggml.bos_token_id", value)

    def add_eos_token_id(self, value):
        self.add_uint32("tokenizer.ggml.eos_token_id", value)

    def add_pad_token_id(self, value):
        self.add_uint32("tokenizer.ggml.padding_token_id", value)

    def add_tensor(self, name, array, raw_dtype):
        """@array: as quantize() makes it"""
        elements, size = GGML_QUANT_SIZES[raw_dtype]
        shape = list(array.shape)
        if array.dtype == np.uint8:
            shape[-1] = shape[-1] // size * elements
        self.tensors[name] = struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), raw_dtype,
                                         self.data.tell())
        self.data.write(np.ascontiguousarray(array).data)
        self.data.write(bytes(-array.nbytes % ALIGNMENT))

    def write_header_to_file(self):
        self.file = self.path.open("wb")
        self.file.write(b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.keys)))

    def write_kv_data_to_file(self):
        for key, data in self.keys.items():
            self.file.write(pack_string(key) + data)

    def write_tensors_to_file(self):
        for name, data in self.tensors.items():
            self.file.write(pack_string(name) + data)
        self.file.write(bytes(-self.file.tell() % ALIGNMENT))
        self.data.seek(0)
        shutil.copyfileobj(self.data, self.file)

    def close(self):
        self.data.close()
        self.file.close()
