"""LoRA adapters on a loaded model, for one answer at a time: W x + sum(weight * scaling * B (A x)).

The model itself is never changed. An active adapter is a forward hook on each linear layer that it changes, and the
hooks are gone when the answer is over: what computes without adapters is the very model that was loaded.
PEFT's own layers compute the same and take 1.2 to 1.6 times as long for a token on a CPU (tests/bench/adapters.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..spec.engine import Attached
from ..spec.errors import AdapterRefused
from ..spec.lora import matrix_of
from ..spec.snapshot import ActiveAdapter, Adapter
from .device import give_back_memory
from .faults import translated


class Adapters:
    """The adapters of one model: attached ones stay in memory, the least recently used are detached first.

    Used on the engine thread only, but for `attached`, which is replaced as a whole.
    """

    def __init__(self, model: Any, most: int, limit_bytes: int) -> None:
        self._model, self._most, self._limit_bytes = model, most, limit_bytes
        self._linears: dict[str, Any] = {}  # by name, listed when the first adapter is attached
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self.attached: tuple[Attached, ...] = ()

    @property
    def bytes(self) -> int:
        """What the attached adapters take."""
        return sum(held.bytes for held in self.attached)

    @contextmanager
    def acting(self, wanted: Sequence[ActiveAdapter]) -> Iterator[None]:
        """Let adapters act on whatever is computed inside; one of weight 0 does not, exactly.

        Raises AdapterRefused, OutOfMemory.
        """
        (parts,) = self._attached([wanted])
        with self._hooked(lambda name: _change(name, parts)):
            yield

    @contextmanager
    def acting_by_row(self, rows: Sequence[Sequence[ActiveAdapter]]) -> Iterator[None]:
        """Let each row of whatever batch is computed inside have adapters of its own; raises as `acting` does."""
        parts = self._attached(rows)
        with self._hooked(lambda name: _change_by_row(name, parts)):
            yield

    @contextmanager
    def _hooked(self, change_of: Callable[[str], Any]) -> Iterator[None]:
        handles = []
        try:
            for name, module in self._linears.items():
                if change := change_of(name):
                    handles.append(module.register_forward_hook(change))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _attached(self, rows: Sequence[Sequence[ActiveAdapter]]) -> list[list[_Part]]:
        """The adapters that act on each row, all of them attached together."""
        acting = [[active for active in row if active.weight] for row in rows]
        self._attach([active.adapter for row in acting for active in row])
        return [[(str(on), on.weight, self._held[_key(on.adapter)]) for on in row] for row in acting]

    def read(self, row: int = 0) -> tuple[str, ...]:
        """Which adapters act now on a row and how strongly, read from the model's layers."""
        found: dict[str, None] = {}
        for _, change in self.changes():
            found.update(dict.fromkeys(change.spelled[row] if isinstance(change, ChangeByRow) else change.spelled))
        return tuple(found)

    def changes(self) -> Iterator[tuple[str, Change | ChangeByRow]]:
        """The layers that adapters change now, by name."""
        for name, module in self._linears.items():
            for hook in module._forward_hooks.values():
                if isinstance(hook, Change | ChangeByRow):
                    yield name, hook

    def clear(self) -> None:
        """Detach all, and let go of the model."""
        self._held.clear()
        self._linears.clear()
        self._model, self.attached = None, ()

    def _attach(self, wanted: Sequence[Adapter]) -> None:
        lacking = [adapter for adapter in wanted if _key(adapter) not in self._held]
        if lacking:
            self._linears = self._linears or _linears(self._model)
            with translated(during="while attaching an adapter"):
                new = {_key(adapter): _read(adapter, self._linears, self._model.dtype) for adapter in lacking}
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


@dataclass(frozen=True)
class _Held:
    """An attached adapter: the matrices A [rank, inputs] and B transposed [rank, outputs] of each module, and their
    scaling. That way round a product for one token takes half the time.
    """

    name: str
    matrices: dict[str, tuple[Any, Any, float]]
    bytes: int


_Part = tuple[str, float, _Held]  # how it is spelled, its weight, its matrices


class Change:
    """A forward hook that adds what adapters change about one linear layer; `a` and `b` are stacked by adapter."""

    __slots__ = ("a", "b", "linear", "scale", "spelled")

    def __init__(self, spelled: tuple[str, ...], a: Any, b: Any, scale: float) -> None:
        import torch

        self.spelled, self.a, self.b, self.scale, self.linear = spelled, a, b, scale, torch.nn.functional.linear

    def __call__(self, module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        low = self.linear(inputs[0].to(self.a.dtype), self.a)
        return output.add_(low.matmul(self.b), alpha=self.scale)

    def matrix(self) -> Any:
        """What would have to be added to the layer's weights, in fp32, [outputs, inputs]."""
        return self.scale * (self.b.float().t() @ self.a.float())


class ChangeByRow:
    """The same for a batch: `weights` [rows, 1, ranks] are those of each row, 0 for adapters that do not act on it."""

    __slots__ = ("a", "b", "linear", "spelled", "weights")

    def __init__(self, spelled: tuple[tuple[str, ...], ...], a: Any, b: Any, weights: Any) -> None:
        import torch

        self.spelled, self.a, self.b, self.weights = spelled, a, b, weights
        self.linear = torch.nn.functional.linear

    def __call__(self, module: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        low = self.linear(inputs[0].to(self.a.dtype), self.a).mul_(self.weights)
        return output.add_(low.matmul(self.b))


def made_with(wanted: Sequence[ActiveAdapter]) -> str:
    """What a key-value cache depends on besides its tokens; empty for the model alone."""
    return " ".join(f"{_key(active.adapter)} {active.weight!r}" for active in wanted if active.weight)


def _change(module: str, parts: Sequence[_Part]) -> Change | None:
    """One adapter's matrices are used as they are; several are stacked, so that any number costs two products."""
    found = [(spelled, weight, *held.matrices[module]) for spelled, weight, held in parts if module in held.matrices]
    if not found:
        return None
    if len(found) == 1:
        ((spelled, weight, a, b, scaling),) = found
        return Change((spelled,), a, b, weight * scaling)
    import torch

    stacked = torch.cat([b * (weight * scaling) for _, weight, _, b, scaling in found])
    return Change(tuple(part[0] for part in found), torch.cat([part[2] for part in found]), stacked, 1.0)


def _change_by_row(module: str, rows: Sequence[Sequence[_Part]]) -> ChangeByRow | None:
    """Each adapter's matrices once, stacked, whichever rows it acts on."""
    import torch

    found = {id(held): held.matrices[module] for row in rows for _, _, held in row if module in held.matrices}
    if not found:
        return None
    weights = [
        [
            sum(weight for _, weight, held in row if id(held) == key) * scaling
            for key, (a, _, scaling) in found.items()
            for _ in range(a.shape[0])
        ]
        for row in rows
    ]
    first = next(iter(found.values()))[0]
    return ChangeByRow(
        tuple(tuple(spelled for spelled, _, held in row if module in held.matrices) for row in rows),
        torch.cat([a for a, _, _ in found.values()]),
        torch.cat([b for _, b, _ in found.values()]),
        torch.tensor(weights, dtype=first.dtype, device=first.device)[:, None, :],
    )


def _linears(model: Any) -> dict[str, Any]:
    import torch

    return {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def _key(adapter: Adapter) -> str:
    return f"{adapter.file} {adapter.state}"


def _read(adapter: Adapter, linears: dict[str, Any], dtype: Any) -> _Held:
    """The matrices of an adapter's file, beside the layers that they change; raises AdapterRefused if one has none."""
    import torch
    from safetensors import safe_open

    pairs: dict[str, dict[str, Any]] = {}
    with safe_open(adapter.file, framework="pt") as file:
        for tensor in file.keys():  # noqa: SIM118 - it is no mapping
            if not (found := matrix_of(tensor)):
                raise AdapterRefused(adapter=adapter.name, reason=f"it holds {tensor[:80]}, which is no LoRA matrix")
            pairs.setdefault(found[0], {})[found[1]] = file.get_tensor(tensor)
    matrices = {}
    for module, pair in pairs.items():
        linear = linears.get(module)
        a, b = pair.get("A"), pair.get("B")
        if linear is None or a is None or b is None:
            raise AdapterRefused(
                adapter=adapter.name, reason=f"it changes {module[:80]}, which this model does not have"
            )
        if (a.shape[1], b.shape[0], a.shape[0]) != (linear.in_features, linear.out_features, b.shape[1]):
            raise AdapterRefused(adapter=adapter.name, reason=f"its {module[:80]} has other sizes than this model's")
        device = linear.weight.device
        # On a CPU small products take twice as long in bf16 as in fp32, which is more exact too.
        kept = torch.float32 if device.type == "cpu" else dtype
        a, b = (matrix.to(device, kept, copy=True).contiguous() for matrix in (a, b.t()))
        matrices[module] = (a, b, adapter.config.scaling(module))
    if not matrices:
        raise AdapterRefused(adapter=adapter.name, reason="it changes nothing")
    size = sum(t.numel() * t.element_size() for a, b, _ in matrices.values() for t in (a, b))
    return _Held(adapter.name, matrices, size)
