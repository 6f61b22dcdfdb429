"""torch dynamic quantization: int8 weights packed for the CPU, activations quantized anew at every call.

Written on torch's quantized operators: `torch.ao.quantization` wraps the same ones, is on its way out of torch, always
leaves one of the eight bits of the activations unused, and gives all tokens of a call one scale. The first token of a
text is often a hundred times larger than the others, which then round to nothing, so here each token has its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

_PADDED = 512  # FBGEMM fills up the inputs of a packed matrix to a multiple of this
_ROW_BYTES = 12  # scale, zero point and column offset of a row
_LEVELS = 127
_SMALLEST = 1e-30  # scale, so that a row of zeros divides by something


def pack_linears(model: Any, report: Callable[[int, int], None]) -> None:
    """Replace every linear layer by an int8 one, the head included; each frees its weight before the next.

    `report` is told the layers done and all of them.
    """
    import torch

    names = [name for name, module in model.named_modules() if type(module) is torch.nn.Linear]
    for done, name in enumerate(names):
        report(done, len(names))
        model.set_submodule(name, _packed_linear()(model.get_submodule(name)))
    report(len(names), len(names))


def packed_bytes(rows: int, columns: int) -> int:
    """What a packed matrix takes with its constants."""
    import torch

    if torch.backends.quantized.engine in ("x86", "fbgemm"):
        return rows * (math.ceil(columns / _PADDED) * _PADDED + _ROW_BYTES)
    return 2 * rows * columns + _ROW_BYTES * rows  # the others keep the plain matrix too


@cache
def _packed_linear() -> Callable[[Any], Any]:
    """The class, made when it is first needed: importing this module must not import torch."""
    import warnings

    import torch

    class PackedLinear(torch.nn.Module):  # type: ignore[misc]
        """`torch.nn.Linear` with a scale a row; `packed_bytes` are not among its parameters."""

        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.out_features, self.in_features = linear.weight.shape
            self.packed_bytes = packed_bytes(self.out_features, self.in_features)
            # Without VNNI sums of two products overflow 16 bits, unless activations leave a bit unused.
            self._reduce_range = not getattr(torch.cpu, "_is_vnni_supported", lambda: False)()
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch announces an end of its quantized tensors
                weight = linear.weight.float()
                scales = (weight.abs().amax(dim=1).double() / _LEVELS).clamp(min=_SMALLEST)
                zeros = torch.zeros(len(scales), dtype=torch.long)
                rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
                self._packed = torch.ops.quantized.linear_prepack(rounded, None)
                # torch takes the scale from the range of all rows: this one makes it -1 to 1, whatever the others are.
                ends = torch.zeros(1, self.in_features)
                ends[0, 0], ends[0, -1] = 1, -1
            self.bias = linear.bias
            self.register_buffer("_ends", ends, persistent=False)

        def forward(self, inputs: Any) -> Any:
            rows = inputs.reshape(-1, self.in_features)
            sizes = rows.abs().amax(dim=1, keepdim=True).clamp(min=_SMALLEST)
            scaled = torch.cat((rows / sizes, self._ends))
            outputs = torch.ops.quantized.linear_dynamic(scaled, self._packed, reduce_range=self._reduce_range)
            outputs = outputs[:-1] * sizes
            if self.bias is not None:
                outputs += self.bias
            return outputs.reshape(*inputs.shape[:-1], self.out_features)

        def extra_repr(self) -> str:
            return f"in_features={self.in_features}, out_features={self.out_features}"

    return PackedLinear
