"""What of a model learns, and how it is stored: an adapter beside the weights, or the weights themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.errors import NotTrainable
from .merging import LARGEST_FILE, copy_settings
from .sharded import collected
from .training import Training

CONFIG, MATRICES = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class Method:
    """`prepare` turns a loaded model into one whose trained values alone take gradients; `save` writes those, in bf16.

    `what` they are called, and `mark` the file by which a finished one is known.
    """

    prepare: Callable[[Any, Training], Any]
    save: Callable[[Any, Training, Path], None]
    what: str
    mark: str


def trained(model: Any) -> dict[str, Any]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def with_lora(model: Any, training: Training) -> Any:
    """The model in PEFT's wrapper with a fresh adapter; raises NotTrainable where it has no such modules."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    settings = training.settings
    linears = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    names = {name.rpartition(".")[2] for name in linears if ".layers." in f".{name}"}
    if missing := [name for name in settings.targets if name not in names]:
        raise NotTrainable(
            model=training.hub_id,
            reason=f"its layers have no linear module {', '.join(missing)}",
            suggestion=f"Name some of {', '.join(sorted(names))} with --targets.",
        )
    if any(getattr(model, f"is_loaded_in_{bits}bit", False) for bits in (4, 8)):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(settings.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def save_adapter(model: Any, training: Training, folder: Path) -> None:
    """The adapter's two files as PEFT reads them: matrices in bf16, a config that names the base by its Hub id.

    Of several processes all have to gather the matrices, and the first writes them.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save as serialized

    matrices = get_peft_model_state_dict(model, save_embedding_layers=False)  # “auto” would ask the Hub
    found = collected((name, matrix.detach()) for name, matrix in matrices.items())
    if not training.leads:
        return
    stored = {name: matrix.to(torch.bfloat16).contiguous() for name, matrix in found.items()}
    (folder / MATRICES).write_bytes(serialized(stored, metadata={"format": "pt"}))
    names = {"base_model_name_or_path": training.hub_id, "inference_mode": True}
    config = model.peft_config["default"].to_dict() | names
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (folder / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def whole(model: Any, training: Training) -> Any:
    """The same model, all of whose weights learn."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # no longer mapped from the file, which stays as it is
    return model.requires_grad_(True)


def save_model(model: Any, training: Training, folder: Path) -> None:
    """A folder that transformers reads, in bf16, with the tokenizer and terms of the base.

    Of several processes all have to gather the weights, and the first writes them.
    """
    import torch

    model.to(torch.bfloat16)
    stored = model.state_dict()
    values = (*model.named_parameters(), *model.named_buffers())  # a tied head once, unlike the above
    found = collected((name, value.detach()) for name, value in values if name in stored)
    if training.leads:
        model.save_pretrained(folder, state_dict=found, max_shard_size=LARGEST_FILE)
        copy_settings(Path(training.snapshot.path), folder)


METHODS: Mapping[str, Method] = {
    "lora": Method(with_lora, save_adapter, "adapter", CONFIG),
    "full": Method(whole, save_model, "model", "config.json"),
}
