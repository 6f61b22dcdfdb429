"""What a GGUF file says, as the files of a transformers model: weights, config, tokenizer, chat template.

Tables and tensor processors are those of transformers 5.23 (modeling_gguf_pytorch_utils, integrations/gguf).
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.catalog import part_files
from ...domain.errors import CorruptWeights, DiskFull, UnsafeWeights
from ...domain.units import size
from ...weights.verify.gguf_header import BLOCKS, read_header

# Dense decoders whose config is fully described by transformers' table for them.
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
TOKENS = "tokenizer.ggml.tokens"
_MODEL_TYPES = {"gemma3": "gemma3_text"}
_PER_TOKEN_ENDS = ("eos", "eot", "eom")
# llama.cpp ends answers at tokens of these names too; many files name one end only, and not the one of a turn.
_ENDS_BY_NAME = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<|end_of_text|>",
)

Report = Callable[[int, int, str], None]


def write_model(gguf: Path, folder: Path, report: Report) -> None:
    """Write every file of the model into the folder; of a GGUF model in several files the first is given.

    Raises CorruptWeights, UnsafeWeights (an architecture without a conversion), DiskFull.
    """
    metadata, infos = _read(gguf)
    values = config_values(metadata, [info.name for info in infos])
    report(0, len(infos), "preparing")

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    config = AutoConfig.for_model(**values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    config.architectures = [type(model).__name__]
    config.dtype = torch.float32
    config.save_pretrained(folder)
    tokens = metadata.get(TOKENS) or []
    ends = [metadata.get(f"tokenizer.ggml.{name}_token_id") for name in _PER_TOKEN_ENDS]
    ends += [tokens.index(name) for name in _ENDS_BY_NAME if name in tokens]
    GenerationConfig(
        bos_token_id=values.get("bos_token_id"),
        eos_token_id=list(dict.fromkeys(end for end in ends if end is not None)) or None,
        pad_token_id=values.get("pad_token_id"),
    ).save_pretrained(folder)
    report(0, len(infos), "tokenizer")
    write_tokenizer(gguf, folder)
    names = _tensor_names(model, metadata["general.architecture"])
    _write_weights(gguf, infos, names, model.state_dict(), values, folder, report)


@dataclass(frozen=True)
class _Tensor:
    """Where one tensor lies in its file, in bytes, and how it is stored."""

    file: Path
    name: str
    shape: tuple[int, ...]
    ggml_type: int
    offset: int
    nbytes: int


def _read(gguf: Path) -> tuple[dict[str, Any], tuple[_Tensor, ...]]:
    """The values of the first file and the tensors of all."""
    files = part_files(gguf)
    (metadata, tensors), *others = [_read_one(file) for file in files]
    count = metadata.get("split.count") or 1
    if count != len(files):
        reason = f"it is made to be one of {count} files, and by its name it is one of {len(files)}"
        raise CorruptWeights(file=gguf.name, reason=reason)
    return metadata, (*tensors, *(tensor for _, more in others for tensor in more))


def _read_one(path: Path) -> tuple[dict[str, Any], tuple[_Tensor, ...]]:
    header = read_header(path, (TOKENS,))
    for tensor in header.tensors:
        if tensor.kind not in BLOCKS:
            raise UnsafeWeights(model="this GGUF file", reason=f"its block type {tensor.kind} is not known")
    if header.bytes_needed > path.stat().st_size:
        raise CorruptWeights(file=path.name, reason="it is shorter than its header says")
    return header.values, tuple(
        _Tensor(path, t.name, t.shape, t.kind, header.data_start + t.offset, t.bytes) for t in header.tensors
    )


def config_values(metadata: dict[str, Any], tensor_names: list[str]) -> dict[str, Any]:
    """The values of config.json; raises UnsafeWeights for an architecture that is not in the list."""
    from transformers.integrations.ggml import GGUF_CONFIG_DEFAULTS_MAPPING, GGUF_CONFIG_MAPPING

    architecture = metadata.get("general.architecture", "(none)")
    if architecture not in ARCHITECTURES or metadata.get(f"{architecture}.expert_count"):
        raise UnsafeWeights(model="this GGUF file", reason=f"its architecture {architecture} cannot be converted")
    values: dict[str, Any] = dict(GGUF_CONFIG_DEFAULTS_MAPPING.get(architecture) or {})
    tables = {f"{architecture}.": GGUF_CONFIG_MAPPING[architecture], "tokenizer.": GGUF_CONFIG_MAPPING["tokenizer"]}
    for prefix, table in tables.items():
        values |= {ours: metadata[prefix + key] for key, ours in table.items() if ours and prefix + key in metadata}
    values.setdefault("vocab_size", len(metadata.get(TOKENS) or ()) or None)
    values["model_type"] = _MODEL_TYPES.get(architecture, architecture)
    values["tie_word_embeddings"] = "output.weight" not in tensor_names
    return values


def write_tokenizer(gguf: Path, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template if the file has one."""
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer

    architecture, vocabulary, options = get_gguf_tokenizer(str(gguf))
    backend, _ = convert_gguf_tokenizer(architecture, vocabulary)
    if vocabulary.get("pre_tokenizer_type") == "smollm":
        # Not among transformers' splits: without it "2024" would be tokenized as no SmolLM was trained.
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    options.setdefault("clean_up_tokenization_spaces", False)
    PreTrainedTokenizerFast(tokenizer_object=backend, **options).save_pretrained(folder)


def _tensor_names(model: Any, architecture: str) -> dict[str, str]:
    """GGUF names -> the model's, for all that has to be in the file."""
    import gguf

    kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.replace("mistral", "llama"))
    table = gguf.get_tensor_name_map(kind, model.config.num_hidden_layers)
    tied = set(getattr(model, "_tied_weights_keys", None) or ()) if model.config.tie_word_embeddings else set()
    names = {}
    for ours in model.state_dict():
        stem, dot, suffix = ours.rpartition(".")
        theirs = table.get_name(stem)
        if ours not in tied:
            if theirs is None:
                raise UnsafeWeights(model="this GGUF file", reason=f"nothing in it is known to be {ours}")
            names[theirs + dot + suffix] = ours
    return names


def _write_weights(
    source: Path,
    infos: tuple[_Tensor, ...],
    names: dict[str, str],
    shapes: dict[str, Any],
    values: dict[str, Any],
    folder: Path,
    report: Report,
) -> None:
    there = {info.name for info in infos}
    if lacking := sorted(set(names) - there):
        more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        reason = f"it lacks the tensor {lacking[0]}{more} that its architecture asks for"
        raise CorruptWeights(file=source.name, reason=reason)
    if odd := sorted(there - set(names)):
        raise UnsafeWeights(model="this GGUF file", reason=f"its architecture has no tensor {odd[0]}")
    needed = sum(4 * math.prod(shapes[ours].shape) for ours in names.values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            file="the converted model", needed=size(needed), free=size(free), folder="the folder for conversions"
        )
    with open(folder / "model.safetensors", "wb") as target:
        target.write(_safetensors_header({names[info.name]: shapes[names[info.name]].shape for info in infos}))
        for done, (info, tensor) in enumerate(_tensors(infos, values)):
            ours = names[info.name]
            if tensor.shape != tuple(shapes[ours].shape):
                sizes = [" x ".join(map(str, shape)) for shape in (tensor.shape, shapes[ours].shape)]
                reason = f"its tensor {info.name} is {sizes[0]}, and by its header it has to be {sizes[1]}"
                raise CorruptWeights(file=info.file.name, reason=reason)
            target.write(tensor.tobytes())
            report(done + 1, len(infos), ours)


def _tensors(infos: tuple[_Tensor, ...], values: dict[str, Any]) -> Iterator[tuple[_Tensor, Any]]:
    """Each tensor in the files' order as float32, undone what llama.cpp's converter had done to it."""
    import gguf
    import numpy
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor

    architecture = next(name for name in ARCHITECTURES if _MODEL_TYPES.get(name, name) == values["model_type"])
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=values)
    data = {file: numpy.memmap(file, mode="r", dtype=numpy.uint8) for file in {info.file for info in infos}}
    for info in infos:
        stored = data[info.file][info.offset : info.offset + info.nbytes].reshape(*info.shape[:-1], -1)
        plain = gguf.dequantize(stored, gguf.GGMLQuantizationType(info.ggml_type))
        result = processor.process(weights=plain, name=info.name)
        yield info, numpy.ascontiguousarray(result.weights, dtype=numpy.float32)


def _safetensors_header(shapes: dict[str, Any]) -> bytes:
    """The length and table that stand before the data, for float32 tensors in this order."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
