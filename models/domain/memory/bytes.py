"""Bytes of a model's weights in each packing, and of the files that they are loaded from."""

from __future__ import annotations

import math

from ..catalog import ModelCard, Quantized
from ..quantization import GGUF_BITS, Machine, Mode, card_for

BLOCK, BLOCKS = 64, 256  # bitsandbytes: weights that share a scale, scales that share a second one
ROWS_PACKED = 32  # outputs that its kernels for a CPU take together
GGUF_TOKEN_BYTES = 28  # of a GGUF file for each entry of its vocabulary, which is not held with the weights
FBGEMM = 512  # torch pads the inputs of a packed matrix to a multiple of it


def weight_bytes(card: ModelCard, mode: Mode, machine: Machine | None = None) -> dict[str, int]:
    """Bytes of the weights by part; without a machine, as they lie on a GPU."""
    shape = card.sizes
    if mode.packing == "gguf" and card.stored:
        return {"quantized": card.stored.weights}
    if mode.packing == "gguf":
        return {"quantized": max(0, file_bytes(card, mode) - GGUF_TOKEN_BYTES * shape.vocabulary)}
    packing: str = mode.packing
    if packing.startswith("4-bit") and machine and machine.accelerator == "cpu" and machine.native_bf16:
        packing = "4-bit-cpu"
    form = next((form for form in card.quantized if form.method == mode.name), Quantized(mode.name, card.hub_id))
    in_layers = max(1, shape.counted("linear") + shape.counted("experts"))
    more = (
        1 + (card.parameters - shape.parameters) / in_layers
    )  # what the files hold beyond the shape lies in the layers
    quantized, constants, plain = 0, 0, shape.counted("small") * mode.rest_bytes
    for (_, rows, columns), count in shape.linears.items():
        if packing.startswith("4-bit") and stays_plain(rows, columns):
            plain += count * rows * columns * mode.rest_bytes
            continue
        values, scales = _matrix_bytes(packing, rows, columns, mode, form)
        quantized, constants = quantized + count * values, constants + count * scales
    head = 0 if shape.tied_embeddings else shape.embedding_parameters * mode.rest_bytes
    if mode.packing == "dynamic-int8":  # the head is a linear layer like others, and gets a copy of its own
        head = sum(_matrix_bytes(packing, shape.vocabulary, shape.hidden, mode, form))
    return {
        "linear" if mode.packing == "plain" else "quantized": round(more * quantized),
        "constants": round(more * constants),
        "experts": round(more * shape.counted("experts") * mode.rest_bytes),  # no Linear: modes leave them as they are
        "embeddings": (shape.embedding_parameters + shape.counted("table")) * mode.rest_bytes,
        "head": head,
        "norms": plain,
    }


def stays_plain(rows: int, columns: int) -> bool:
    """Whether 4-bit modes leave a matrix as it is: bitsandbytes packs multiples of these on a CPU, which all large are.

    The small inputs of linear attention and a gate of one row are not.
    """
    return rows % ROWS_PACKED > 0 or columns % BLOCK > 0


def _matrix_bytes(packing: str, rows: int, columns: int, mode: Mode, form: Quantized) -> tuple[int, int]:
    """Bytes of a matrix: its values, and the constants of their quantization."""
    count, blocks = rows * columns, math.ceil(rows * columns / BLOCK)
    match packing:
        case "plain":
            return count * mode.rest_bytes, 0
        case "llm-int8":
            return count, 4 * rows  # a scale a row
        case "4-bit":
            return math.ceil(count / 2), 4 * blocks + 64  # and the table of 16 values
        case "4-bit-double":
            return math.ceil(count / 2), blocks + 4 * math.ceil(blocks / BLOCKS) + 68  # and the scales' mean
        case "4-bit-cpu":  # with AVX512-BF16, bitsandbytes 0.50 repacks at the first use: a bf16 scale a block
            return math.ceil(count / 2), 2 * blocks + 68
        case "dynamic-int8":
            return rows * math.ceil(columns / FBGEMM) * FBGEMM, 12 * rows  # scale, zero point and offset of a row
        case "grouped":
            groups = math.ceil(columns / form.group) if form.group > 0 else 1
            scales, zeros, places = 2 * groups * rows, groups * rows * form.bits // 8, 4 * columns
            return count * form.bits // 8, scales + zeros + places
    raise AssertionError(packing)


def file_bytes(card: ModelCard, mode: Mode) -> int:
    """Bytes of the files that a mode is loaded from.

    A GGUF file's own size where it is known, else parameters by the usual bits of its label. Safetensors are fp32
    where they are converted from a package's GGUF, and of two bytes a value on the Hub but for what is quantized there.
    """
    if mode.packing == "grouped":
        return sum(weight_bytes(card, mode).values())
    if mode.form == "safetensors":
        return card.parameters * 4 if card.wheel else card.parameters * 2 - _saved(card)
    narrowed = card_for(mode, card)
    known = (narrowed.wheel.bytes if narrowed.wheel else 0) or (narrowed.gguf.bytes if narrowed.gguf else 0)
    label = narrowed.gguf.label.upper() if narrowed.gguf else ""
    return known or round(card.parameters * GGUF_BITS.get(label, mode.bits) / 8)


def _saved(card: ModelCard) -> int:
    """Bytes that files of fp8 or mxfp4 weights are smaller than those of bf16 ones would be."""
    shape = card.sizes
    matrices, experts = shape.counted("linear"), shape.counted("experts")
    if card.dequantized == "fp8":  # a byte a value, and a scale of four for 128 x 128 of them
        return round((matrices + experts) * (1 - 4 / 128**2))
    # The experts alone: 4 bits a value, and a scale of a byte for 32 of them.
    return round(experts * (2 - 17 / 32)) if card.dequantized else 0
