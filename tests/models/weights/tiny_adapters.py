"""Real LoRA adapters for the tiny model, and every way to spoil one."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy
import tiny_models
from safetensors.numpy import save

from models.domain.shapes.shape import Shape

NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
Arrays = dict[str, numpy.ndarray[Any, Any]]


def config(**changes: Any) -> dict[str, Any]:
    """As PEFT writes one, fields that mean nothing included."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "auto_mapping": {"base_model_class": "Evil", "parent_library": "os"},
        "base_model_name_or_path": tiny_models.HUB_ID,
        "r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "target_modules": ["q_proj", "v_proj"],
        "use_dora": False,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "loftq_config": {},
        "revision": None,
    } | changes


def part(name: str) -> str:
    return "self_attn" if name in ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj") else "mlp"


def key(name: str, matrix: str, layer: int = 0) -> str:
    return f"base_model.model.model.layers.{layer}.{part(name)}.{name}.lora_{matrix}.weight"


def arrays(
    names: tuple[str, ...] = ("q_proj", "v_proj"),
    rank: int = 4,
    shape: Shape = tiny_models.SHAPE,
    dtype: Any = numpy.float32,
) -> Arrays:
    sizes = {name: (outputs, inputs) for name, outputs, inputs in shape.linears}
    found: Arrays = {}
    random = numpy.random.default_rng(len(names))
    for layer in range(len(shape.layers)):
        for name in names:
            outputs, inputs = sizes[name]
            found[key(name, "A", layer)] = random.standard_normal((rank, inputs)).astype(dtype)
            found[key(name, "B", layer)] = random.standard_normal((outputs, rank)).astype(dtype)
    return found


def parameters(tensors: Arrays) -> int:
    return sum(tensor.size for tensor in tensors.values())


def files(tensors: Arrays | None = None, **changes: Any) -> dict[str, bytes]:
    return {
        CONFIG: json.dumps(config(**changes)).encode(),
        WEIGHTS: bytes(save(arrays() if tensors is None else tensors)),
        "README.md": b"# not taken",
    }


def raw(header: dict[str, Any], data: bytes = b"") -> bytes:
    """A safetensors file with any header at all."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def of_type(dtype: str, bits: int, fill: int = 0) -> bytes:
    """The same matrices in a type that numpy may not know, all zero but for one value."""
    header: dict[str, Any] = {}
    at = 0
    for name, tensor in arrays().items():
        size = tensor.size * bits // 8
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    data = bytearray(at)
    data[-bits // 8 :] = fill.to_bytes(bits // 8, "little")
    return raw(header, bytes(data))


def write(folder: Path, made: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (files() if made is None else made).items():
        (folder / name).write_bytes(data)
    return folder
