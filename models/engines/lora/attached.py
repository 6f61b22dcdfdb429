"""LoRA adapters on a loaded model, for one answer at a time: W x + sum(weight * scaling * B (A x)).

The model itself is never changed. An active adapter is a forward hook on each linear layer that it changes, and the
hooks are gone when the answer is over: what computes without adapters is the very model that was loaded.
PEFT's own layers compute the same and take 1.2 to 1.6 times as long for a token on a CPU (tests/bench/adapters.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ...domain.engine import Attached
from ...domain.errors import AdapterRefused
from ...domain.load import ActiveAdapter, Adapter
from ...domain.lora import matrix_of
from ..cpu.product_threads import products_on_one_thread
from ..device import give_back_memory
from ..library_errors import translated
from .changes import Change, Held, Names, Part, changes

# Linear layers of a block that read the same input, in the order in which they do.
SAME_INPUT = {"q_proj": "q k v", "k_proj": "q k v", "v_proj": "q k v", "gate_proj": "gate up", "up_proj": "gate up"}


class Adapters:
    """The adapters of one model: attached ones stay in memory, the least recently used are detached first.

    Used on the engine thread only, but for `attached`, which is replaced as a whole.
    """

    def __init__(self, model: Any, most: int, limit_bytes: int, device: str = "") -> None:
        self._device = device  # where they lie; empty: beside the layers that they change
        self._model, self._most, self._limit_bytes = model, most, limit_bytes
        self._linears: dict[str, Any] = {}  # by name, listed when the first adapter is attached
        self._siblings: list[Names] = []
        self._held: OrderedDict[str, Held] = OrderedDict()
        self.attached: tuple[Attached, ...] = ()

    @property
    def bytes(self) -> int:
        """What the attached adapters take."""
        return sum(held.bytes for held in self.attached)

    @contextmanager
    def acting(self, *rows: Sequence[ActiveAdapter]) -> Iterator[None]:
        """Let adapters act on whatever is computed inside; one of weight 0 does not, exactly.

        Of several `rows`, each has adapters of its own, and what is computed must be a batch of as many.
        Raises AdapterRefused, OutOfMemory.
        """
        with ExitStack() as until_answered:
            until_answered.enter_context(self.hooked(*rows))
            if self._model.dtype.itemsize < 4:  # an fp32 model needs MKL's threads for itself
                until_answered.enter_context(products_on_one_thread())
            yield

    @contextmanager
    def hooked(self, *rows: Sequence[ActiveAdapter]) -> Iterator[None]:
        """The same for computations of another kind than an answer's tokens; gradients flow through it."""
        parts = self._attached(rows)
        with ExitStack() as until_answered:
            for names in self._siblings if any(parts) else ():
                for name, change in changes(names, parts):
                    until_answered.callback(self._linears[name].register_forward_hook(change).remove)
            yield

    def _attached(self, rows: Sequence[Sequence[ActiveAdapter]]) -> list[list[Part]]:
        """The adapters that act on each row, all of them attached together."""
        acting = [[active for active in row if active.weight] for row in rows]
        self._attach([active.adapter for row in acting for active in row])
        return [[(str(on), on.weight, self._held[_key(on.adapter)]) for on in row] for row in acting]

    def read(self, row: int = 0) -> tuple[str, ...]:
        """Which adapters act now on a row and how strongly, read from the model's layers."""
        return tuple(dict.fromkeys(spelled for change in self.changes().values() for spelled in change.spelled[row]))

    def changes(self) -> dict[str, Change]:
        """The layers that adapters change now, by name."""
        return {
            name: hook
            for name, module in self._linears.items()
            for hook in module._forward_hooks.values()
            if isinstance(hook, Change)
        }

    def clear(self) -> None:
        """Detach all, and let go of the model."""
        self._held.clear()
        self._linears.clear()
        self._siblings.clear()
        self._model, self.attached = None, ()

    def _attach(self, wanted: Sequence[Adapter]) -> None:
        lacking = [adapter for adapter in wanted if _key(adapter) not in self._held]
        if lacking:
            self._linears = self._linears or _linears(self._model)
            self._siblings = self._siblings or _siblings(self._linears)
            with translated(during="while attaching an adapter"):
                parts = (self._linears, self._siblings, self._model.dtype, self._device)
                new = {_key(adapter): _read(adapter, *parts) for adapter in lacking}
            self._held |= new
        for adapter in wanted:
            self._held.move_to_end(_key(adapter))
        needed, detached = {_key(adapter) for adapter in wanted}, False
        for key in [key for key in self._held if key not in needed]:
            if len(self._held) <= self._most and sum(h.bytes for h in self._held.values()) <= self._limit_bytes:
                break
            del self._held[key]
            detached = True
        self.attached = tuple(Attached(held.name, held.bytes) for held in reversed(self._held.values()))
        if detached:
            give_back_memory()


def made_with(wanted: Sequence[ActiveAdapter]) -> str:
    """What a key-value cache depends on besides its tokens; empty for the model alone."""
    return " ".join(f"{_key(active.adapter)} {active.weight!r}" for active in wanted if active.weight)


def _linears(model: Any) -> dict[str, Any]:
    import torch

    return {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def _siblings(linears: dict[str, Any]) -> list[Names]:
    """The names of the layers, those that read the same input together."""
    found: dict[Any, list[str]] = {}
    for name, linear in linears.items():
        parent, _, leaf = name.rpartition(".")
        found.setdefault((parent, SAME_INPUT.get(leaf, leaf), linear.in_features), []).append(name)
    return [tuple(names) for names in found.values()]


def _key(adapter: Adapter) -> str:
    return f"{adapter.file} {adapter.state}"


def _read(adapter: Adapter, linears: dict[str, Any], siblings: Sequence[Names], dtype: Any, wanted_device: str) -> Held:
    """The matrices of an adapter's file, beside the layers that they change; raises AdapterRefused if one has none."""
    import torch
    from safetensors import safe_open

    pairs: dict[str, dict[str, Any]] = {}
    with safe_open(adapter.file, framework="pt") as file:
        for tensor in file.keys():  # noqa: SIM118 - it is no mapping
            if not (found := matrix_of(tensor)):
                raise AdapterRefused(adapter=adapter.name, reason=f"it holds {tensor[:80]}, which is no LoRA matrix")
            pairs.setdefault(found[0], {})[found[1]] = file.get_tensor(tensor)
    for module, pair in pairs.items():
        linear = linears.get(module)
        a, b = pair.get("A"), pair.get("B")
        if linear is None or a is None or b is None:
            raise AdapterRefused(
                adapter=adapter.name, reason=f"it changes {module[:80]}, which this model does not have"
            )
        if (a.shape[1], b.shape[0], a.shape[0]) != (linear.in_features, linear.out_features, b.shape[1]):
            raise AdapterRefused(adapter=adapter.name, reason=f"its {module[:80]} has other sizes than this model's")
    if not pairs:
        raise AdapterRefused(adapter=adapter.name, reason="it changes nothing")
    matrices, stacked = {}, {}
    for names in siblings:
        if not (changed := [name for name in names if name in pairs]):
            continue
        device = torch.device(wanted_device) if wanted_device else linears[names[0]].weight.device
        # On a CPU small products take twice as long in bf16 as in fp32, which is more exact too.
        kept = torch.float32 if device.type == "cpu" else dtype
        stacked[names] = torch.cat([pairs[name]["A"].to(device, kept) for name in changed])
        for name, a in zip(changed, stacked[names].split([len(pairs[name]["A"]) for name in changed]), strict=True):
            b = pairs[name]["B"].t().to(device, kept, copy=True).contiguous()
            matrices[name] = (a, b, adapter.config.scaling(name))
    size = sum(t.numel() * t.element_size() for a, b, _ in matrices.values() for t in (a, b))
    return Held(_key(adapter), adapter.name, matrices, stacked, size)
