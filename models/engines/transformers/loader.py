"""A checked snapshot -> a transformers model and its tokenizer in memory, on the engine thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...domain.errors import CannotLoad, CorruptWeights, EngineFailed
from ...domain.load import Snapshot
from ...domain.memory.bytes import stays_plain
from ...domain.messages import Progress
from ...domain.shapes.read import WHOLES, text_config
from ...system.files import read_object
from ...weights.verify.checkpoints import Checkpoint
from ...weights.verify.checks import LARGEST_CONFIG
from ...weights.verify.file_names import CONFIG
from ..cpu.decode_attention import attend_by_rows
from ..device import give_back_memory, tensors_outside_the_heap
from ..library_errors import detail_of, translated
from .model_bytes import measured_bytes
from .recipes import Recipe, recipe_for
from .rope_length import RopeLength

WEIGHTS = "What the weight files hold"
# Where the files of a model that sees or hears too have the tensors of its text part.
TEXT_PART = {
    r"^(model\.)?language_model\.(model\.)?(?!lm_head)": "model.",
    r"^(model\.)?language_model\.lm_head\.": "lm_head.",
}
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Loaded:
    """What was loaded; `bytes` are those of all parameters, buffers and quantization tables.

    `eos_ids` end an answer, `context` is the longest sequence that the model was made for, in tokens. Whoever computes
    with the model tells `length` of each text first.
    """

    model: Any
    tokenizer: Any
    bytes: int
    eos_ids: tuple[int, ...]
    context: int
    length: RopeLength


def load(snapshot: Snapshot, mode: str, accelerator: str, on_progress: OnProgress, processes: int = 1) -> Loaded:
    """Load safetensors as `mode` says; raises OutOfMemory, CorruptWeights, ModeNotPossible, CannotLoad.

    Several `processes`, which have met, load together, each its part of every matrix.
    """
    try:
        return _load(snapshot, mode, accelerator, on_progress, processes)
    except EngineFailed as error:  # nothing was answered yet, and asking again will not help
        raise CannotLoad(file="The model", reason=error.facts["detail"]) from error


def _load(snapshot: Snapshot, mode: str, accelerator: str, on_progress: OnProgress, processes: int) -> Loaded:
    if snapshot.form != "safetensors":
        raise EngineFailed(detail=f"transformers was given {snapshot.form} files, and loads safetensors")
    with translated(during="while loading the model"), tensors_outside_the_heap():
        recipe, stored = recipe_for(snapshot.path, mode)
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # int8 warns of a cast at every layer and token
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
        from transformers.distributed import DistributedConfig

        safely = {"trust_remote_code": False, "local_files_only": True}
        with _blaming("config.json"):
            config = text_part(AutoConfig.from_pretrained(snapshot.path, **safely), snapshot.path)
        with _blaming("The tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(snapshot.path, **safely)
        with _tensor_progress(on_progress, "quantize" if recipe.bits and not stored else "read"):
            how = _how(recipe, stored, accelerator, config)
            how |= safely | {"use_safetensors": True, "ignore_mismatched_sizes": True, "output_loading_info": True}
            how |= {"config": config, "key_mapping": TEXT_PART}
            if processes > 1:
                how.pop("device_map", None)  # each has its own
                how["distributed_config"] = DistributedConfig(tp_size=processes, tp_plan="auto")
            model, loading = AutoModelForCausalLM.from_pretrained(snapshot.path, **how)
        _require_all(loading)
        _require_embeddings(model, tokenizer)
        model.eval().requires_grad_(False)
        if recipe.pack is not None:
            recipe.pack(model, lambda done, total: on_progress(Progress("quantize", done, total, "layers")))
        # Experts are stacked in a copy. One value that is mapped from the file keeps all of its pages in memory.
        stacked = any("experts" in name and part.dim() > 2 for name, part in model.named_parameters())
        if recipe.bits or recipe.pack or stacked:
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.is_floating_point() and tensor.device.type == "cpu":
                    tensor.data = tensor.data.clone()
        attend_by_rows(model)
        eos_ids = end_ids(
            *(getattr(place, "eos_token_id", None) for place in (model.generation_config, model.config, tokenizer))
        )
        # `generate` fills unset values from the repository's generation_config.json; answers must not depend on it.
        model.generation_config = GenerationConfig()
        length = RopeLength(model)
        on_progress(Progress("warm up"))
        # Weights are mapped from the file, and would be read from it during the first answer.
        with torch.inference_mode():
            model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=model.device), use_cache=False)
        give_back_memory()
    context = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None) or 2048
    return Loaded(model, tokenizer, measured_bytes(model), eos_ids, int(context), length)


def text_part(config: Any, folder: str) -> Any:
    """The config of what is loaded: of a model that sees or hears too, that of its text part alone."""
    if config.model_type not in WHOLES:
        return config
    part, stated = config.get_text_config(decoder=True), text_config(read_object(Path(folder, CONFIG), LARGEST_CONFIG))
    part.tie_word_embeddings = stated.get("tie_word_embeddings", part.tie_word_embeddings)
    if (quantized := getattr(config, "quantization_config", None)) is not None:
        part.quantization_config = quantized
    return part


def _how(recipe: Recipe, stored: Checkpoint | None, accelerator: str, config: Any) -> dict[str, Any]:
    """The arguments of from_pretrained; weights that are quantized already bring their own quantization_config.

    Those that are dequantized are told so; with the package `kernels`, transformers would do otherwise.
    """
    import torch
    from transformers import BitsAndBytesConfig, FineGrainedFP8Config, Mxfp4Config

    how: dict[str, Any] = {"dtype": getattr(torch, recipe.dtype)}
    if accelerator != "cpu" or recipe.bits or stored:
        how["device_map"] = {"": "cuda:0" if accelerator == "cuda" else accelerator}
    if stored and stored.dequantized:
        how["quantization_config"] = {"fp8": FineGrainedFP8Config, "mxfp4": Mxfp4Config}[stored.dequantized](
            dequantize=True
        )
    if recipe.bits and not stored:
        skipped = {"llm_int8_skip_modules": _not_packed(config)} if recipe.bits.get("load_in_4bit") else {}
        how["quantization_config"] = BitsAndBytesConfig(**recipe.bits, **skipped)
    return how


def _not_packed(config: Any) -> list[str]:
    """The modules that 4-bit modes leave as they are: the head, as always, and matrices of sizes that do not pack."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.quantizers.base import get_keys_to_not_convert

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    linears = [(name, part) for name, part in model.named_modules() if type(part) is torch.nn.Linear]
    small = [name for name, part in linears if stays_plain(part.out_features, part.in_features)]
    return [*get_keys_to_not_convert(model), *small]


def _require_all(loading: dict[str, Any]) -> None:
    """Raise CorruptWeights when transformers has filled a parameter with random values."""
    for name, stored, wanted in sorted(loading["mismatched_keys"]):
        sizes = [" x ".join(map(str, shape)) for shape in (stored, wanted)]
        reason = f"its tensor {name} is {sizes[0]}, and by config.json it has to be {sizes[1]}"
        raise CorruptWeights(file=WEIGHTS, reason=reason)
    for name in sorted(loading["missing_keys"]):
        raise CorruptWeights(file=WEIGHTS, reason=f"it lacks the tensor {name} that config.json asks for")


def _require_embeddings(model: Any, tokenizer: Any) -> None:
    """Raise CorruptWeights when ordinary tokens have no embeddings; that some are added for nothing is usual."""
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) <= rows:
        return
    ordinary = tokenizer.get_vocab().items() - tokenizer.get_added_vocab().items()
    tokens = 1 + max((number for _, number in ordinary), default=-1)
    if tokens > rows:
        reason = f"it has {tokens:,} tokens, and the model has embeddings for {rows:,}"
        raise CorruptWeights(file="The tokenizer", reason=reason)
    for token, number in ((tokenizer.bos_token, tokenizer.bos_token_id), (tokenizer.eos_token, tokenizer.eos_token_id)):
        if number is not None and number >= rows:
            reason = f"its token {token} has the id {number:,}, and the model has embeddings for {rows:,}"
            raise CorruptWeights(file="The tokenizer", reason=reason)


@contextmanager
def _blaming(file: str) -> Iterator[None]:
    """Raise what happens inside as CorruptWeights: another quantization would not help."""
    try:
        yield
    except (MemoryError, OSError, ImportError):  # these are not the file's fault
        raise
    except Exception as error:
        raise CorruptWeights(file=file, reason=f"transformers does not understand it, {detail_of(error)}") from error


@contextmanager
def _tensor_progress(on_progress: OnProgress, stage: Literal["read", "quantize"]) -> Iterator[None]:
    """Report transformers' own count of loaded tensors."""
    from transformers.utils import logging as progress_bars

    def counted(items: Any) -> Iterator[Any]:
        for done, item in enumerate(items):
            on_progress(Progress(stage, done, len(items), "tensors"))
            yield item
        on_progress(Progress(stage, len(items), len(items), "tensors"))

    def counting(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return counted(*args) if kwargs.get("desc") == "Loading weights" else factory(*args, **kwargs)

    previous = progress_bars.set_tqdm_hook(counting)
    try:
        yield
    finally:
        progress_bars.set_tqdm_hook(previous)


def end_ids(*stated: Any) -> tuple[int, ...]:
    """The tokens that end an answer, each once; every setting states one, several or none."""
    found: list[int] = []
    for ids in stated:
        found += ids if isinstance(ids, list | tuple) else [] if ids is None else [ids]
    return tuple(dict.fromkeys(found))
