"""In which type each tensor of a GGUF file is stored, and its bytes: those that llama.cpp itself makes.

The wheel's library has llama.cpp's quantization of rows (ggml_quantize_chunk of ggml.h), which the package gguf lacks
for the types with K. Which tensor gets which is llama.cpp's choice for these architectures (llama-quant.cpp).
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from typing import Any

FILE_TYPES = {"f32": 0, "f16": 1, "bf16": 32, "q8_0": 7, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}  # of llama.h
_SINGLE = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q6_k": "Q6_K"}
_MIXED = {"q4_k_m": "Q4_K", "q5_k_m": "Q5_K"}
_WITHOUT_K = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}  # for rows that blocks of 256 do not divide


def type_of(name: str, shape: tuple[int, ...], wanted: str, layers: int, tied: bool) -> str:
    """The type of a tensor, as gguf-py names it; vectors stay as they are."""
    if len(shape) < 2:
        return "F32"
    kind = _SINGLE.get(wanted) or _MIXED[wanted]
    if wanted in _MIXED:
        part = name.removesuffix(".weight").rpartition(".")[2]
        more = part in ("attn_v", "ffn_down") and _more_bits(int(name.split(".")[1]), layers)
        if more or part == ("token_embd" if tied else "output"):
            kind = "Q6_K"
    if shape[-1] % 256:
        kind = _WITHOUT_K.get(kind, kind)
    return "F16" if shape[-1] % 32 and kind not in ("F32", "F16", "BF16") else kind


def _more_bits(layer: int, layers: int) -> bool:
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def stored_bytes(shape: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """The shape of a tensor's bytes."""
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    return (*shape[:-1], shape[-1] // block * size)


def packed(values: Any, kind: str) -> Any:
    """The bytes of fp32 values [rows, columns] or [columns] in a type."""
    import gguf
    import numpy

    number = gguf.GGMLQuantizationType[kind]
    if kind in ("F32", "F16", "BF16"):
        return numpy.ascontiguousarray(gguf.quants.quantize(values, number)).view(numpy.uint8)
    values = numpy.ascontiguousarray(values, numpy.float32)
    rows, columns = values.shape
    made = numpy.empty(stored_bytes(values.shape, kind), numpy.uint8)
    count = _quantize()(int(number), values.ctypes.data, made.ctypes.data, 0, rows, columns, None)
    assert count == made.nbytes
    return made


@cache
def _quantize() -> Any:
    found = importlib.util.find_spec("xllamacpp.xllamacpp")
    assert found
    assert found.origin
    quantize = ctypes.CDLL(found.origin).ggml_quantize_chunk
    long, pointer = ctypes.c_int64, ctypes.c_void_p
    quantize.restype, quantize.argtypes = ctypes.c_size_t, [ctypes.c_int, pointer, pointer, long, long, long, pointer]
    return quantize
