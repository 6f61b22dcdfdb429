"""Bytes that a loaded model takes, counted from its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_LIBRARIES = ("bitsandbytes", "gptqmodel")  # whose own objects hold tensors beside torch's parameters


def measured_bytes(model: Any) -> int:
    """Bytes of every distinct storage that the model holds, tables of quantized weights and packed ones included."""
    sizes: dict[Any, int] = {}
    for module in model.modules():
        for tensor in _tensors(module, set()):
            own = tensor.to_local() if hasattr(tensor, "to_local") else tensor  # of a split one this process's part
            storage = own.untyped_storage()
            sizes[(tensor.device, storage.data_ptr())] = storage.nbytes()
    packed = sum(getattr(module, "packed_bytes", 0) for module in model.modules())
    return sum(sizes.values()) + packed


def _tensors(value: Any, seen: set[int]) -> Iterator[Any]:
    """Tensors that an object holds, modules inside it left out: they are looked at one by one."""
    import torch

    if id(value) in seen:
        return
    seen.add(id(value))
    inner: Iterable[Any] = ()
    if isinstance(value, torch.Tensor):
        if value.numel() and value.device.type != "meta" and not value.is_quantized:
            yield value
        inner = getattr(value, "__dict__", {}).values()
    elif isinstance(value, torch.nn.Module):
        if len(seen) == 1:
            inner = [v for name, v in vars(value).items() if name != "_modules"]
    elif isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    elif type(value).__module__.split(".")[0] in _LIBRARIES:
        inner = getattr(value, "__dict__", {}).values()
    for each in inner:
        yield from _tensors(each, seen)
