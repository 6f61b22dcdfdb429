"""A checked snapshot -> a transformers model and its tokenizer in memory, on the engine thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..spec.errors import EngineFailed
from ..spec.messages import Progress
from ..spec.snapshot import Snapshot
from .device import give_back_memory
from .faults import translated

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Loaded:
    """What was loaded; `bytes` are those of all parameters, buffers and quantization tables.

    `eos_ids` end an answer, `context` is the longest sequence that the model was made for, in tokens.
    """

    model: Any
    tokenizer: Any
    bytes: int
    eos_ids: tuple[int, ...]
    context: int


def load(snapshot: Snapshot, mode: str, accelerator: str, on_progress: OnProgress) -> Loaded:
    """Load safetensors as `mode` says; raises OutOfMemory, CorruptWeights, EngineFailed."""
    if snapshot.form != "safetensors":
        raise EngineFailed(detail=f"transformers was given {snapshot.form} files, and loads safetensors")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    safely = {"trust_remote_code": False, "local_files_only": True}
    with translated(during="while loading the model"), _tensor_progress(on_progress):
        tokenizer = AutoTokenizer.from_pretrained(snapshot.path, **safely)
        model = AutoModelForCausalLM.from_pretrained(
            snapshot.path, use_safetensors=True, **safely, **_how(mode, accelerator)
        )
        model.eval().requires_grad_(False)
        eos_ids = _eos_ids(model, tokenizer)
        _forget_sampling_defaults(model)
        _touch(model)
        give_back_memory()
    return Loaded(model, tokenizer, measured_bytes(model), eos_ids, _longest_sequence(model))


def _how(mode: str, accelerator: str) -> dict[str, Any]:
    import torch
    from transformers import BitsAndBytesConfig

    place = {"device_map": {"": "cuda:0" if accelerator == "cuda" else accelerator}}
    plain = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if mode in plain:
        return {"dtype": plain[mode]} | (place if accelerator != "cpu" else {})
    if mode == "int8":
        return {"dtype": torch.float16, "quantization_config": BitsAndBytesConfig(load_in_8bit=True), **place}
    if mode == "nf4":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        return {"dtype": torch.bfloat16, "quantization_config": config, **place}
    raise EngineFailed(detail=f"transformers has no mode called {mode}")


@contextmanager
def _tensor_progress(on_progress: OnProgress) -> Iterator[None]:
    """Report transformers' own count of loaded tensors."""
    from transformers.utils import logging

    def counting(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") != "Loading weights" or not args:
            return factory(*args, **kwargs)
        return _Counted(args[0], on_progress)

    previous = logging.set_tqdm_hook(counting)
    try:
        yield
    finally:
        logging.set_tqdm_hook(previous)


class _Counted:
    """Stands where transformers expects a progress bar over tensors."""

    def __init__(self, items: Any, on_progress: OnProgress) -> None:
        self._items, self._total, self._on_progress = items, len(items), on_progress

    def __iter__(self) -> Iterator[Any]:
        for done, item in enumerate(self._items):
            self._on_progress(Progress("load", done, self._total, "tensors"))
            yield item
        self._on_progress(Progress("load", self._total, self._total, "tensors"))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def measured_bytes(model: Any) -> int:
    """Bytes of every distinct tensor that the model holds, the tables of quantized weights included."""
    sizes: dict[int, int] = {}

    def count(tensor: Any) -> None:
        if tensor is not None and tensor.numel():
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()

    for tensor in (*model.parameters(), *model.buffers()):
        count(tensor)
        for table in (getattr(tensor, "SCB", None), *_four_bit_tables(getattr(tensor, "quant_state", None))):
            count(table)
    return sum(sizes.values())


def _four_bit_tables(state: Any) -> list[Any]:
    if state is None:
        return []
    tables = [state.absmax, state.code, getattr(state, "offset", None)]
    return tables + _four_bit_tables(getattr(state, "state2", None))


def _eos_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    found: list[int] = []
    for source in (model.generation_config, model.config, tokenizer):
        ids = getattr(source, "eos_token_id", None)
        found += ids if isinstance(ids, list | tuple) else [] if ids is None else [ids]
    return tuple(dict.fromkeys(found))


def _forget_sampling_defaults(model: Any) -> None:
    """`generate` fills unset values from the repository's generation_config.json; answers must not depend on it."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig()


def _touch(model: Any) -> None:
    """Compute one token: weights are mapped from the file, and would be read from it during the first answer."""
    import torch

    with torch.inference_mode():
        model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device), use_cache=False)


def _longest_sequence(model: Any) -> int:
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", None) or 2048)
