"""Adapters with random matrices, written as PEFT writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
from safetensors.numpy import save_file

from models.domain.load import Adapter
from models.domain.lora import read_lora

TINY = {"q_proj": (64, 64), "k_proj": (32, 64), "v_proj": (32, 64), "o_proj": (64, 64)}
TINY |= {"gate_proj": (128, 64), "up_proj": (128, 64), "down_proj": (64, 128)}  # (outputs, inputs)
TINY_LAYERS = 2


def write_adapter(
    folder: Path,
    name: str,
    rank: int = 4,
    seed: int = 0,
    targets: tuple[str, ...] = ("q_proj", "v_proj", "down_proj"),
    size: float = 0.3,
    sizes: dict[str, tuple[int, int]] = TINY,
    layers: int = TINY_LAYERS,
    **config: object,
) -> Adapter:
    """An adapter for a model of `layers` layers whose linear layers have `sizes`; its folder is `folder/name`."""
    (folder / name).mkdir(parents=True)
    data = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank}
    data |= {"target_modules": list(targets), "base_model_name_or_path": "owner/tiny"} | config
    (folder / name / "adapter_config.json").write_text(json.dumps(data))
    lora, random = read_lora(data, name), numpy.random.default_rng(seed)
    tensors = {}
    for layer in range(layers):
        for target in targets:
            part = "mlp" if target in ("gate_proj", "up_proj", "down_proj") else "self_attn"
            module = f"model.layers.{layer}.{part}.{target}"
            (outputs, inputs), of = sizes[target], lora.rank_of(module)
            for matrix, shape in (("A", (of, inputs)), ("B", (outputs, of))):
                key = f"base_model.model.{module}.lora_{matrix}.weight"
                tensors[key] = (size * random.standard_normal(shape)).astype(numpy.float32)
    file = folder / name / "adapter_model.safetensors"
    save_file(tensors, file)
    return Adapter(name, lora, sum(t.size for t in tensors.values()), str(file), f"{file.stat().st_mtime_ns}")
