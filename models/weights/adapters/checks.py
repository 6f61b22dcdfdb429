"""Is an adapter a plain LoRA that fits this base? Asked before anything loads it; what is cheap comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...domain.errors import AdapterRefused, CorruptWeights, UnsafeWeights
from ...domain.lora import EMBEDDINGS, HEAD, LoraConfig, matrix_of, read_lora, shown
from ...domain.units import size
from ...system.files import read_object
from ..verify import checks
from ..verify.safetensors_header import FLOATS, SHORT_HEADER, Tensor, first_infinite, read_tensors
from .bases import Base, has_target, linear_of

CONFIG, WEIGHTS = checks.ADAPTER_CONFIG, "adapter_model.safetensors"
PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
MOST_TENSORS = 20_000
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Checked:
    """An adapter that passed: its config, the parameters of its matrices, and its files."""

    config: LoraConfig
    parameters: int
    files: tuple[Path, ...]


@contextmanager
def refusals(adapter: str) -> Iterator[None]:
    """Let a damaged or unsafe file be a reason to refuse the adapter."""
    try:
        yield
    except CorruptWeights as fault:
        reason = f"its {fault.facts['file']} is damaged ({fault.facts['reason']})"
        raise AdapterRefused(adapter=adapter, reason=reason) from fault
    except UnsafeWeights as fault:
        raise AdapterRefused(adapter=adapter, reason=fault.facts["reason"]) from fault


def check_names(names: Iterable[str], adapter: str) -> None:
    """Raise AdapterRefused unless a folder or repository holds a config and a safetensors file."""
    present = set(names)
    pickles = [name for name in PICKLES if name in present]
    if WEIGHTS not in present and pickles:
        raise AdapterRefused(
            adapter=adapter, reason=f"its weights are only there as a pickle ({pickles[0]}), which can run code"
        )
    for name in (CONFIG, WEIGHTS):
        if name not in present:
            raise AdapterRefused(adapter=adapter, reason=f"it has no {name}")


def check_size(count: int, adapter: str, largest: int) -> None:
    """Raise AdapterRefused when an adapter's weights have more than `largest` bytes."""
    if count > largest:
        said = f"its {WEIGHTS} has {size(count)}, more than the {size(largest)} that are allowed here"
        raise AdapterRefused(adapter=adapter, reason=said)


def read_config(folder: Path, adapter: str, base: Base) -> LoraConfig:
    """The config of an adapter that changes something of the base; raises AdapterRefused, CorruptWeights."""
    config = read_lora(read_object(folder / CONFIG, checks.LARGEST_CONFIG), adapter)
    if not any(has_target(target, base) for target in config.targets):
        names = ", ".join(config.targets[:3])
        reason = f"none of its target modules ({names}) is in {base.name}"
        raise AdapterRefused(adapter=adapter, reason=_not_known(base) or reason)
    return config


def check_tensors(tensors: Mapping[str, Tensor], config: LoraConfig, adapter: str, base: Base) -> int:
    """The parameters of all matrices, by a header alone; raises AdapterRefused unless they fit config and base."""

    def refuse(reason: str) -> AdapterRefused:
        return AdapterRefused(adapter=adapter, reason=reason)

    if not tensors:
        raise refuse("its file holds no tensors, so it changes nothing")
    if len(tensors) > MOST_TENSORS:
        raise refuse(f"its file holds {len(tensors):,} tensors, more than {MOST_TENSORS:,}")
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if not (found := matrix_of(name)):
            raise refuse(_why_not(name))
        module, matrix = found
        if matrix in pairs.setdefault(module, {}):
            raise refuse(f"its file holds the matrix {matrix} of {_named(module)} twice")
        if tensor.dtype not in FLOATS:
            raise refuse(f"its tensor {_named(name)} is of the type {tensor.dtype}, not {', '.join(FLOATS)}")
        if len(tensor.shape) != 2:
            raise refuse(f"its tensor {_named(name)} is not a matrix: it has {len(tensor.shape)} dimensions")
        pairs[module][matrix] = tensor
    for module, pair in pairs.items():
        if lacking := {"A", "B"} - pair.keys():
            raise refuse(f"its file holds only one of the two matrices of {_named(module)}: {lacking.pop()} is missing")
        if reason := _mismatch(module, pair["A"].shape, pair["B"].shape, config, base):
            reason = _not_known(base) or reason
            raise refuse(reason)
    return sum(rows * columns for tensor in tensors.values() for rows, columns in [tensor.shape])


def check_folder(
    folder: Path,
    adapter: str,
    base: Base,
    largest: int,
    inside: Path | None = None,
    published: Callable[[Path], None] = lambda path: None,
    tick: Callable[[int], None] = lambda done: None,
) -> Checked:
    """Check a whole folder, every value included: a tenth of a second for each gigabyte, without the hash.

    `inside` is the folder that no link may leave; `published` compares a file that is well formed with its known
    hash; `tick` is called with the bytes that were looked at. Raises AdapterRefused, or CorruptWeights which says
    that a file is damaged.
    """
    check_names((path.name for path in folder.iterdir()), adapter)
    config_path, path = folder / CONFIG, folder / WEIGHTS
    try:
        for each in (config_path, path):
            checks.check_link(each, inside, adapter)
    except UnsafeWeights as fault:
        raise AdapterRefused(adapter=adapter, reason=fault.facts["reason"]) from fault
    check_size(path.stat().st_size, adapter, largest)
    config = read_config(folder, adapter, base)
    tensors = read_tensors(path, SHORT_HEADER)
    parameters = check_tensors(tensors, config, adapter, base)
    published(path)
    if bad := first_infinite(path, tensors, tick):
        raise AdapterRefused(adapter=adapter, reason=f"its tensor {_named(bad)} holds NaN or infinity")
    return Checked(config, parameters, (config_path, path))


def warning(config: LoraConfig, base: Base) -> str:
    """Why an adapter whose matrices fit may still not be made for this base; empty when it names it."""
    if not config.base:
        return f"It names no base: that the shapes of its matrices fit {base.name} is all that is known."
    if _plain(config.base) == _plain(base.name):
        return ""
    return f"It was made for {config.base}, not for {base.name}: only the shapes of their layers agree."


def _plain(base: str) -> str:
    # The Hub takes ids in any case; a revision may stand behind them.
    name = base.strip().casefold()
    for mark in "@=":
        name = name.partition(mark)[0]
    return name.strip().rstrip("/")


def _not_known(base: Base) -> str:
    """Of an architecture that is not counted, why what does not fit its usual layers is refused; else empty."""
    return f"the layers of {base.name} are not known here, so that it cannot be checked" if base.shape.estimated else ""


def _mismatch(module: str, a: Sizes, b: Sizes, config: LoraConfig, base: Base) -> str:
    """Why the two matrices of a module cannot be used with a base; empty when they can."""
    made_for = config.base if config.base and _plain(config.base) != _plain(base.name) else "another model"
    other, linear = f"it was made for {made_for}", linear_of(module, base)
    if linear is None:
        return f"{other}: it changes {_named(module)}, which {base.name} does not have"
    if not config.targets_module(module):
        return f"its file changes {_named(module)}, which its config does not name"
    if linear.layer is not None and linear.layer >= len(base.shape.layers):
        return f"{other}: it changes layer {linear.layer + 1}, and {base.name} has {len(base.shape.layers)}"
    if a[1] != linear.inputs:
        return f"{other}: its {linear.name} takes {a[1]:,} inputs, that of {base.name} takes {linear.inputs:,}"
    if b[0] != linear.outputs:
        return f"{other}: its {linear.name} gives {b[0]:,} outputs, that of {base.name} gives {linear.outputs:,}"
    rank = config.rank_of(module)
    if (a[0], b[1]) != (rank, rank):
        held = f"{a[0]}" if a[0] == b[1] else f"{a[0]} and {b[1]}"
        return f"the rank of {_named(module)} is {held} in its file and {rank} in its config"
    return ""


def _why_not(name: str) -> str:
    if name.endswith((f"{EMBEDDINGS}.weight", f"{HEAD}.weight", ".base_layer.weight")):
        # PEFT saves them beside an adapter of the head, unless it is told save_embedding_layers=False.
        return f"its tensor {_named(name)} would replace a whole weight of the base"
    if "lora_embedding_" in name or f".{EMBEDDINGS}." in name:
        return f"its tensor {_named(name)} changes the embeddings, and only linear layers are supported"
    if "lora_magnitude_vector" in name:
        return f"its tensor {_named(name)} belongs to a DoRA, which also scales the base's weights"
    if name.endswith("bias"):
        return f"its tensor {_named(name)} is a bias"
    return f"its tensor {_named(name)} is not part of a plain LoRA"


def _named(name: str) -> str:
    return shown(name, longest=100)
