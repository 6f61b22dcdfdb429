"""What the header of a GGUF file says of its model, as llama.cpp reads it: layers and caches by kind, bytes exactly.

Tensors tell the kind of a layer and its sizes; what it keeps is told by the values (llama.cpp, src/models and
llama-hparams.cpp), which may be a list of one a layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..domain.catalog import GgufContents, part_files
from ..domain.errors import CorruptWeights
from ..domain.shapes.fields import BOUNDS, COMMON, BadConfig
from ..domain.shapes.shape import Layer, LayerKind, Shape, Weight, WeightKind
from .verify.gguf_header import Tensor, read_header

# Of so many layers the last sees all and the others a window, where the file states a window; 0: none has one,
# whatever the file states. Where it states a pattern, that is taken instead.
WINDOWS = {"gemma2": 2, "gemma3": 6, "gemma4": 6, "gpt-oss": 2, "olmo2": 4, "llama4": 4}
WINDOWS |= dict.fromkeys(("llama", "mistral3", "qwen2", "qwen3", "qwen3moe", "qwen3next", "qwen35", "qwen35moe"), 0)
WINDOWS |= dict.fromkeys(("gemma", "phi3", "glm4", "smollm3", "granite", "granitemoe", "granitehybrid"), 0)
WINDOWS |= dict.fromkeys(("lfm2", "lfm2moe"), 0)
DEFAULT_WINDOWS = {"gemma2": 4096, "llama4": 8192}
FIXED_WINDOWS = ("llama4",)  # whose window is as long whatever the file states, unless that is 0
DELTA = ("qwen3next", "qwen35", "qwen35moe")
EMBEDDINGS, HEAD, LAYER_TABLE = "token_embd.weight", "output.weight", "per_layer_token_embd.weight"
REPACKED = (2, 12)  # the block types Q4_0 and Q4_K: llama.cpp copies such matrices into another order for a CPU
_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


@lru_cache(maxsize=256)
def gguf_contents(path: str, state: str) -> GgufContents | None:
    """The contents of checked files, of several the first is named; `state` tells one content from another.

    None where the header does not say enough.
    """
    try:
        headers = [read_header(part) for part in part_files(Path(path))]
        return contents(headers[0].values, [tensor for header in headers for tensor in header.tensors])
    except (BadConfig, CorruptWeights, OSError):
        return None


def contents(values: Mapping[str, Any], tensors: Iterable[Tensor]) -> GgufContents:
    """The same of what headers hold; raises BadConfig for values that describe no model."""
    architecture = str(values.get("general.architecture"))
    stored = {tensor.name: tensor for tensor in tensors}
    weights = sum(tensor.bytes for tensor in stored.values())
    repacked = sum(tensor.bytes for tensor in stored.values() if tensor.kind in REPACKED and _is_matrix(tensor))
    if architecture not in WINDOWS:
        return GgufContents(None, weights, 0, repacked)
    v = _Values(values, architecture)
    if EMBEDDINGS not in stored or len(stored[EMBEDDINGS].shape) != 2:
        raise BadConfig(f"it has no {EMBEDDINGS}")
    blocks, beside = _blocks(stored, v.count)
    layers = tuple(_layer(v, number, blocks[number]) for number in range(v.count))
    vocabulary, hidden = stored[EMBEDDINGS].shape
    unread = stored[EMBEDDINGS].bytes if HEAD in stored else 0  # a token reads a row; a tied head is read whole
    unread += sum(tensor.bytes for name, tensor in beside.items() if name == LAYER_TABLE or _BLOCK.fullmatch(name))
    for layer, block in zip(layers, blocks, strict=False):
        stacks = sum(tensor.bytes for name, tensor in block.items() if _kind(name, tensor) == "experts")
        unread += stacks // layer.experts * (layer.experts - layer.active) if layer.experts else 0
    shape = Shape(
        model_type=architecture,
        hidden=hidden,
        heads=max(v.per_layer("attention.head_count", number) for number in range(v.count)),
        vocabulary=vocabulary,
        tied_embeddings=HEAD not in stored,
        layers=layers,
        outside=tuple(_weight(name, tensor) for name, tensor in beside.items() if name not in (EMBEDDINGS, HEAD)),
    )
    return GgufContents(shape, weights, unread, repacked)


class _Values:
    """The values of one architecture, read within bounds."""

    def __init__(self, values: Mapping[str, Any], architecture: str) -> None:
        self.architecture = architecture
        self._values = values
        # Blocks at the end that predict more tokens at once are in the file, and not computed.
        self.count = self.size("block_count") - self.size("nextn_predict_layers", 0)
        if not 1 <= self.count <= BOUNDS["num_hidden_layers"][1]:
            raise BadConfig(f"it has {self.count} layers")

    def given(self, name: str) -> Any:
        return self._values.get(f"{self.architecture}.{name}")

    def size(self, name: str, default: int | None = None) -> int:
        value = self.given(name)
        return _checked(name, default if value is None else value)

    def per_layer(self, name: str, number: int, default: int | None = None) -> int:
        """A number of a layer, whether one is stated for all or one for each."""
        value = self.given(name)
        if isinstance(value, list):
            if len(value) < self.count:
                raise BadConfig(f"{name} is a list of {len(value)}, for {self.count} layers")
            return _checked(name, value[number])
        return _checked(name, default if value is None else value)

    def window(self, number: int) -> int:
        """The tokens that a layer looks back on, 0 for all."""
        period = WINDOWS[self.architecture]
        default = DEFAULT_WINDOWS.get(self.architecture, 0)
        size = self.size("attention.sliding_window", default)
        if not period or not size:
            return 0
        if self.architecture in FIXED_WINDOWS:
            size = default
        pattern = self.given("attention.sliding_window_pattern")
        if isinstance(pattern, list):
            if len(pattern) < self.count:
                raise BadConfig(f"its pattern of windows has {len(pattern)} layers of {self.count}")
            return size if pattern[number] else 0
        period = period if pattern is None else _checked("attention.sliding_window_pattern", pattern)
        return size if not period or number % period < period - 1 else 0

    def kv_width(self, number: int, window: int) -> int:
        """Values of the keys and values of a token; none where the layer takes those of an earlier one."""
        if number >= self.count - self.size("attention.shared_kv_layers", 0):
            return 0
        heads = self.per_layer("attention.head_count", number)
        own = self.size("embedding_length") // heads if heads else 0
        width = 0
        for name in ("key_length", "value_length"):
            length = self.size(f"attention.{name}", own)
            width += self.size(f"attention.{name}_swa", length) if window else length
        return width * self.per_layer("attention.head_count_kv", number, heads)


def _checked(name: str, value: Any) -> int:
    low, high = COMMON
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadConfig(f"{name} in its header is {str(value)[:40]}, not a number of {low} to {high}")
    return value


def _blocks(stored: Mapping[str, Tensor], count: int) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
    """The tensors of each layer by their names within it, and those beside the layers."""
    blocks: list[dict[str, Tensor]] = [{} for _ in range(count)]
    beside = {}
    for name, tensor in stored.items():
        found = _BLOCK.fullmatch(name)
        if found and int(found[1]) < count:
            blocks[int(found[1])][found[2]] = tensor
        else:
            beside[name] = tensor
    return blocks, beside


def _layer(v: _Values, number: int, block: Mapping[str, Tensor]) -> Layer:
    weights = tuple(_weight(name, tensor) for name, tensor in block.items())
    experts = v.size("expert_count", 0) if any(weight.kind == "experts" for weight in weights) else 0
    active = min(experts, v.size("expert_used_count", experts))
    downs = {name: weight.sizes[-1] for name, weight in zip(block, weights, strict=True) if "ffn_down" in name}
    width = sum(downs.get(f"ffn_down{which}.weight", 0) for which in ("", "_shexp"))
    width += active * downs.get("ffn_down_exps.weight", 0)
    scans = any(name.startswith("ssm_") for name in block)
    if scans or any(name.startswith("shortconv.") for name in block):
        return _recurrent(v, weights, (width, experts, active), scans)
    window = v.window(number)
    kind: LayerKind = "sliding attention" if window else "full attention"
    return Layer(kind, weights, width, experts, active, kv_width=v.kv_width(number, window), window=window)


def _recurrent(v: _Values, weights: tuple[Weight, ...], act: tuple[int, int, int], scans: bool) -> Layer:
    """A layer with a state."""
    if not scans:
        width, kernel = v.size("embedding_length"), v.size("shortconv.l_cache")
        return Layer("short convolution", weights, *act, conv_width=width, kernel=kernel)
    inner, state = v.size("ssm.inner_size"), v.size("ssm.state_size")
    mixed = inner + 2 * v.size("ssm.group_count", 0) * state
    kernel = v.size("ssm.conv_kernel")
    kind: LayerKind = "linear attention" if v.architecture in DELTA else "Mamba"
    return Layer(kind, weights, *act, conv_width=mixed, kernel=kernel, fp32_state=inner * state)


def _weight(name: str, tensor: Tensor) -> Weight:
    return Weight(name, tensor.shape, _kind(name, tensor))


def _kind(name: str, tensor: Tensor) -> WeightKind:
    if name == LAYER_TABLE:
        return "table"
    if name.endswith("_exps.weight"):
        return "experts"
    return "linear" if _is_matrix(tensor) and name.endswith(".weight") and "conv" not in name else "small"


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) >= 2 and tensor.name != EMBEDDINGS
