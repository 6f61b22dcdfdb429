"""Bytes that a loaded model takes, counted from its tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LIBRARIES = ("bitsandbytes", "gptqmodel")  # whose own objects hold tensors beside torch's parameters


def measured_bytes(model: Any) -> int:
    """Bytes of every distinct storage that the model holds, tables of quantized weights and packed ones included."""
    sizes: dict[Any, int] = {}
    for module in model.modules():
        for tensor in _tensors(module, set()):
            storage = tensor.untyped_storage()
            sizes[(tensor.device, storage.data_ptr())] = storage.nbytes()
    packed = sum(getattr(module, "packed_bytes", 0) for module in model.modules())
    return sum(sizes.values()) + packed


def _tensors(value: Any, seen: set[int]) -> Iterator[Any]:
    """Tensors that an object holds, modules inside it left out: they are looked at one by one."""
    import torch

    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        if value.numel() and value.device.type != "meta" and not value.is_quantized:
            yield value
        yield from _of_each(getattr(value, "__dict__", {}).values(), seen)
    elif isinstance(value, torch.nn.Module):
        if len(seen) == 1:
            yield from _of_each([v for name, v in vars(value).items() if name != "_modules"], seen)
    elif isinstance(value, dict):
        yield from _of_each(value.values(), seen)
    elif isinstance(value, list | tuple):
        yield from _of_each(value, seen)
    elif type(value).__module__.split(".")[0] in _LIBRARIES:
        yield from _of_each(getattr(value, "__dict__", {}).values(), seen)


def _of_each(values: Any, seen: set[int]) -> Iterator[Any]:
    for value in values:
        yield from _tensors(value, seen)
