"""What a variant will take in memory, part by part, from its card alone: before any download or load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog import ModelCard
from ..quantization import (
    KV_BLOCK,
    KV_TYPES,
    MODES,
    Accelerator,
    Configs,
    Machine,
    Mode,
    card_for,
    possible_modes,
    with_kv,
)
from ..shapes.shape import Shape
from .bytes import file_bytes, weight_bytes

MIB = 2**20
TIGHT = 0.1  # of the memory that is left
KV_BUDGET = 512 * MIB  # bytes of KV cache that llama.cpp's further slots may take; one slot is always there


@dataclass(frozen=True)
class Budget:
    """The memory that a load is weighed against, in bytes; `free` counts what ejecting idle models would free."""

    device: str  # “main memory”, or the GPU's name
    total: int
    free: int


@dataclass(frozen=True)
class Part:
    """One item of a plan; `key` is stable, for programs."""

    key: str
    label: str
    bytes: int


@dataclass(frozen=True)
class LoadPlan:
    """Bytes by part at a context and a batch, against a budget.

    `loading` is the most that is resident while loading, and `mapped` those bytes of it that are clean pages of a
    file, which the kernel takes back when memory is short. `kept` is what conversations kept for their next turn may
    add with time; it is in no sum, since the first answer needs none of it.
    """

    variant: str
    mode: str
    context: int
    batch: int
    parts: tuple[Part, ...]
    loading: int
    budget: Budget
    mapped: int = 0
    kept: int = 0
    warnings: tuple[str, ...] = ()  # about its adapters, a sentence each
    notes: tuple[str, ...] = ()  # about the model as it is loaded, likewise
    parameters: int = 0
    active_parameters: int = 0  # that a token uses; fewer in a mixture of experts

    @property
    def weights(self) -> int:
        """All weights as they are held, with the constants of their quantization."""
        return sum(part.bytes for part in self.parts if part.key in WEIGHTS)

    @property
    def total(self) -> int:
        """What is held while answering with a full context: the sum of the parts."""
        return sum(part.bytes for part in self.parts)

    @property
    def peak(self) -> int:
        """The most that is resident at any moment, pages of files included: what a monitor shows."""
        return max(self.total, self.loading)

    @property
    def needed(self) -> int:
        """The most that cannot be given back when memory is short, at any moment of loading and answering."""
        return max(self.total, self.loading - self.mapped)

    @property
    def is_local(self) -> bool:
        """Whether it takes memory of this machine; a model that another one serves takes none."""
        return bool(self.parts)

    @property
    def fits(self) -> bool:
        return self.needed <= self.budget.free

    @property
    def tight(self) -> bool:
        """Fits, with less than a tenth of the memory left."""
        return self.fits and self.needed > (1 - TIGHT) * self.budget.free

    def to_dict(self) -> dict[str, Any]:
        """Plain data for programs."""
        return {
            "variant": self.variant,
            "mode": self.mode,
            "context": self.context,
            "batch": self.batch,
            "bytes": {part.key: part.bytes for part in self.parts},
            "weights": self.weights,
            "total": self.total,
            "peak": self.peak,
            "needed": self.needed,
            "kept": self.kept,
            "limit": self.budget.free,
            "device": asdict(self.budget),
            "fits": self.fits,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "parameters": self.parameters,
            "active_parameters": self.active_parameters,
        }


WEIGHTS = ("quantized", "constants", "linear", "experts", "embeddings", "head", "norms")
LABELS = {
    "quantized": "quantized weights",
    "constants": "quantization constants",
    "linear": "weights of the layers",
    "experts": "experts",
    "embeddings": "embeddings",
    "head": "output head",
    "norms": "norms and biases",
    "adapters": "adapters",
    "kv": "KV cache",
    "state": "state",
    "activations": "activations",
    "tokenizer": "tokenizer",
    "framework": "libraries",
}

# Constants that were measured, with test_prediction.py, which holds their sums against reality.
# Libraries take this once, whatever the model. CUDA: a context and the kernels of cuBLAS, in GPU
# memory, 0.7 to 0.8 GB on an H200 (tests/bench/gpu.py).
TORCH_BYTES, BITSANDBYTES_BYTES, LLAMA_BYTES, CUDA_BYTES = 330 * MIB, 55 * MIB, 57 * MIB, 720 * MIB
# Main memory of a vocabulary's entry: held, and what is left of parsing tokenizer.json when the weights are read
# (0 to 630 were seen: the weights may take its place).
TOKENIZER_BYTES = {"transformers": 385, "llama.cpp": 191}
PARSING_BYTES = 300
INT8_CPU_BYTES = 150 * MIB  # that answering leaves in memory with LLM.int8 on a CPU; 107 to 205 were seen
SCAN_COPIES = 1.8  # of what a scan of linear attention or Mamba makes; 1.6 to 2.3 were seen
PREFILL_TOKENS = {"transformers": 512, "llama.cpp": 256}  # a step of prefill, whose activations are the largest
KEPT_BYTES = {"cpu": 512 * MIB, "mps": 512 * MIB, "cuda": 2048 * MIB}  # the bounds of prefix_cache.py
LLAMA_KEPT_BYTES = 512 * MIB  # the bound that llama/child.py sets
LLAMA_CELLS = 256  # llama.cpp rounds caches up to a multiple of this
# llama.cpp copies matrices of some formats into another order for the CPU. Labels that store most in such a format give
# attention's values and the last matrix of the feed-forward more bits in some layers; this is the part of the others.
REPACKED = {"Q4_0": 1.0, "Q4_K_S": 7 / 8, "Q4_K_M": 1 / 2}
LARGER = ("v_proj", "down_proj", "w2", "output_linear")  # by transformers' names


def plan(
    variant: str,
    card: ModelCard,
    mode: Mode,
    machine: Machine,
    budget: Budget,
    context: int,
    batch: int = 1,
    files: int = 0,
    adapters: tuple[int, ...] = (),
) -> LoadPlan:
    """The plan of a variant in a mode; `batch` sequences of `context` tokens each.

    `files` are the bytes of the weight files, where they are known; else the card's best guess. `adapters` are the
    parameters of each adapter.
    """
    parts = weight_bytes(card, mode, machine)
    weights = sum(parts.values())
    parts["adapters"] = adapter_bytes(adapters, mode, machine.accelerator)
    parts["kv"] = kv_bytes(card.sizes, mode, context, batch)
    parts["state"] = state_bytes(card.sizes, mode, batch)
    parts["activations"] = activation_bytes(card.sizes, mode, machine.accelerator, context, batch)
    parts["tokenizer"] = tokenizer_bytes(card.sizes, mode, machine.accelerator)
    parts["framework"] = framework_bytes(mode, machine.accelerator)
    fixed = parts["framework"] + parts["tokenizer"]
    peak, mapped = loading_bytes(card, mode, machine.accelerator, weights, files or file_bytes(card, mode))
    at_once = parts["kv"] + parts["state"] if mode.form == "gguf" else 0  # llama.cpp takes its whole cache at once
    loading = fixed + peak + at_once
    listed = tuple(Part(key, LABELS[key], parts[key]) for key in LABELS if parts.get(key))
    # What conversations kept for their next turn may come to take: eight in transformers.
    one = kv_bytes(card.sizes, mode, context) + state_bytes(card.sizes, mode)
    eight = min(KEPT_BYTES[machine.accelerator], 8 * one)
    kept = LLAMA_KEPT_BYTES if mode.form == "gguf" else eight
    return LoadPlan(
        variant,
        mode.name,
        context,
        batch,
        listed,
        loading,
        budget,
        mapped,
        kept,
        notes=notes(card, mode),
        parameters=card.parameters,
        active_parameters=card.active_parameters,
    )


TEXT_ONLY = "Only the text part of this model is loaded: it neither sees nor hears here."
ESTIMATE = "This plan is an estimate: the architecture is known to transformers, and counted by its files alone."
NOT_COUNTED = (
    "This plan is an estimate: its architecture is known to transformers alone, and its weights are not counted."
)
UNCOUNTED = "What layers of the kind {kind} keep of a conversation is not counted."
FILE_DIFFERS = "{figure}: {there} as llama.cpp reads its GGUF file, {here} by its config; the plan goes by the file."
FILE_NOT_COUNTED = "The layers of its GGUF file are of an architecture that is not counted: caches go by its config."
EXPERTS_PLAIN = "This mode leaves the experts as they are: it quantizes the other matrices alone."


def notes(card: ModelCard, mode: Mode) -> tuple[str, ...]:
    """What should be known of a model in a mode before it is loaded, a sentence each."""
    found: tuple[str, ...] = (TEXT_ONLY,) if card.text_only else ()
    if card.sizes.estimated:
        found += (ESTIMATE if card.counted_parameters else NOT_COUNTED,)
    found += tuple(UNCOUNTED.format(kind=kind) for kind in card.sizes.uncounted)
    found += (FILE_NOT_COUNTED,) if card.stored and card.stored.shape is None else ()
    if mode.form == "safetensors" and mode.packing != "plain" and card.sizes.counted("experts"):
        found += (EXPERTS_PLAIN,)
    return found


def file_differences(card: ModelCard, file: Shape) -> tuple[str, ...]:
    """What a GGUF file says otherwise of a model than its card, by which it is planned where there is no file."""
    return tuple(
        FILE_DIFFERS.format(figure=figure, there=f"{there:,}", here=f"{here:,}")
        for (figure, there), here in zip(_compared(file).items(), _compared(card.sizes).values(), strict=True)
        if there != here
    )


def _compared(shape: Shape) -> dict[str, int]:
    count, active = shape.experts
    return {
        "layers": len(shape.layers),
        "values of the KV cache for each token": sum(layer.kv_width for layer in shape.layers),
        "layers with a sliding window": sum(1 for layer in shape.layers if layer.window),
        "experts of a layer": count,
        "experts that a token uses": active,
    }


def slots(card: ModelCard, context: int, wanted: int) -> int:
    """How many conversations llama.cpp holds at once, so that their KV caches stay within a budget."""
    shape, mode = card.sizes, MODES["gguf"]
    return max(1, min(wanted, KV_BUDGET // max(1, kv_bytes(shape, mode, context) + state_bytes(shape, mode))))


def kv_bytes(shape: Shape, mode: Mode, context: int, batch: int = 1) -> int:
    """Bytes of the KV caches; llama.cpp's are rounded up, and its sliding windows have room for a step of prefill."""
    if mode.form != "gguf":
        return batch * shape.kv_bytes(context, mode.rest_bytes)
    cells = _rounded(context)
    kept = 0
    for (width, window), layers in shape.caches.items():
        seen = min(cells, _rounded(window + PREFILL_TOKENS["llama.cpp"])) if window else cells
        kept += layers * width * seen
    return batch * kept * KV_TYPES[mode.kv][1] // KV_BLOCK


def state_bytes(shape: Shape, mode: Mode, batch: int = 1) -> int:
    """Bytes of what layers without a KV cache keep of conversations of any length; llama.cpp has it in fp32."""
    one = shape.state_bytes(4, newest=False) if mode.form == "gguf" else shape.state_bytes(mode.rest_bytes)
    return batch * one


def adapter_bytes(parameters: Sequence[int], mode: Mode, accelerator: Accelerator) -> int:
    """Adapters as they are attached, in fp32 on a CPU; several that act together are stacked in a copy.

    llama.cpp has them in fp32 everywhere, once.
    """
    if mode.form == "gguf":
        return 4 * sum(parameters)
    copies = 2 if len(parameters) > 1 else 1
    return copies * sum(parameters) * (4 if accelerator == "cpu" else 2)


def _rounded(cells: int) -> int:
    return math.ceil(cells / LLAMA_CELLS) * LLAMA_CELLS


def activation_bytes(shape: Shape, mode: Mode, accelerator: Accelerator, context: int, batch: int = 1) -> int:
    """The largest tensors of one step of prefill, or of one token where those are larger."""
    tokens = min(context, PREFILL_TOKENS["llama.cpp" if mode.form == "gguf" else "transformers"])
    width = 3 * shape.intermediate + 4 * shape.hidden
    logits = 4 * shape.vocabulary
    if mode.form == "gguf":  # computed in fp32; a mask of two bytes, and logits for every conversation
        return tokens * (4 * width + 2 * _rounded(context)) + batch * logits
    width += max(16, shape.heads) * context  # masks and scores of attention
    largest = max((rows * columns for _, rows, columns in shape.linears), default=0)
    unpacked = largest * mode.rest_bytes if mode.packing != "plain" else 0
    # For each token, oneDNN copies the head into an order of its own when it computes in bf16.
    reordered = shape.embedding_parameters * 2 if accelerator == "cpu" and mode.rest_bytes == 2 else 0
    left = INT8_CPU_BYTES if accelerator == "cpu" and mode.packing == "llm-int8" else 0
    scanned = tokens * round(SCAN_COPIES * 4 * shape.scan)
    return tokens * width * mode.rest_bytes + scanned + 3 * logits + max(unpacked, reordered) + left


def tokenizer_bytes(shape: Shape, mode: Mode, accelerator: Accelerator) -> int:
    """Main memory of the vocabulary; none of it lies on a GPU."""
    if accelerator == "cuda":
        return 0
    return shape.vocabulary * TOKENIZER_BYTES["llama.cpp" if mode.form == "gguf" else "transformers"]


def framework_bytes(mode: Mode, accelerator: Accelerator) -> int:
    """Libraries, once a process."""
    if accelerator == "cuda":
        return CUDA_BYTES
    if mode.form == "gguf":
        return LLAMA_BYTES
    return TORCH_BYTES + (BITSANDBYTES_BYTES if "bitsandbytes" in mode.packages else 0)


def loading_bytes(card: ModelCard, mode: Mode, accelerator: Accelerator, weights: int, files: int) -> tuple[int, int]:
    """The most that is resident at the end of a load besides the libraries, and how much of it is mapped from files.

    On a CPU, safetensors are mapped: weights that are used as they are stored are those pages, all others are copies
    beside them; so are those of a mixture, whose experts are stacked. A GPU gets one tensor after another, and
    quantizes it there.
    """
    shape = card.sizes
    if accelerator == "cuda":
        return weights + (shape.embedding_parameters * mode.rest_bytes if mode.packing != "plain" else 0), 0
    if mode.form == "gguf":
        return weights + repacked_bytes(card, mode), repacked_bytes(card, mode)
    parsing = PARSING_BYTES * shape.vocabulary
    stored = round(files / card.parameters)  # bytes a value; the file has a header too
    as_stored = mode.packing == "plain" and stored == mode.rest_bytes and not shape.counted("experts")
    if mode.packing == "grouped" or as_stored:
        return weights + parsing, 0
    if mode.packing == "dynamic-int8" and stored < 4:
        return files + max(weights, 4 * card.parameters) + parsing, files  # all of it is fp32 before it is packed
    return files + weights + parsing, files


def repacked_bytes(card: ModelCard, mode: Mode) -> int:
    """Bytes that llama.cpp copies out of the mapped file into an order that suits the CPU's instructions."""
    if card.stored:
        return card.stored.repacked
    narrowed = card_for(mode, card)
    name = narrowed.wheel.file if narrowed.wheel else narrowed.gguf.file if narrowed.gguf else ""
    share = next((share for label, share in REPACKED.items() if label in name.upper()), None)
    if share is None:
        return 0
    step = 32 if "Q4_0" in name.upper() else 256  # weights of a row that a block holds
    fitting = 0.0
    for (name, rows, columns), count in card.sizes.linears.items():
        if columns % step == 0 and rows % 8 == 0:
            fitting += count * rows * columns * (share if name in LARGER else 1)
    return round(fitting * 4.5 / 8)


def alternatives(
    cards: Iterable[ModelCard],
    wanted: ModelCard,
    machine: Machine,
    plan_of: Callable[[ModelCard, Mode], LoadPlan],
    adapters: Configs = (),
) -> list[LoadPlan]:
    """The nearest variants that fit, at most three: the same model with fewer bits, then smaller ones of its kind.

    A mode that fits with a quantized KV cache only has one. With adapters, which fit one model only, there are no
    smaller ones.
    """
    relatives = [] if adapters else [c for c in cards if (c.family, c.kind) == (wanted.family, wanted.kind)]
    smaller = sorted(relatives, key=lambda card: -card.parameters)
    found: list[LoadPlan] = []
    for card in (wanted, *(card for card in smaller if card.parameters < wanted.parameters)):
        modes = sorted(possible_modes(card, machine, adapters), key=lambda mode: -mode.bits)
        forms = ((plan_of(card, form) for form in (mode, *with_kv(mode, card))) for mode in modes)
        fitting = [planned for each in forms if (planned := next((form for form in each if form.fits), None))]
        found += fitting[: 2 if card is wanted else 1]
    return found[:3]
