"""What a GGUF file says, as the files of a transformers model: weights, config, tokenizer, chat template.

Tables and tensor processors are those of transformers 5.23 (modeling_gguf_pytorch_utils, integrations/gguf).
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...domain.catalog import part_files
from ...domain.errors import CorruptWeights, DiskFull, UnsafeWeights
from ...domain.units import size
from ...weights.verify.gguf_header import BLOCKS, Tensor, read_header

# Dense decoders whose config is fully described by transformers' table for them.
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
TOKENS = "tokenizer.ggml.tokens"
EMBEDDINGS, HEAD = "token_embd.weight", "output.weight"
ALIKE, ALIKE_ROWS = 0.9, 64  # correlation of two quantizations of one matrix, by its first rows; of others it is near 0
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
Stored = tuple[Path, int, Tensor]  # a tensor, its file, and where in bytes it begins there


def write_model(gguf: Path, folder: Path, report: Report) -> None:
    """Write every file of the model into the folder; of a GGUF model in several files the first is given.

    Raises CorruptWeights, UnsafeWeights (an architecture without a conversion), DiskFull.
    """
    metadata, stored = _read(gguf)
    stored = _tied(stored)
    values = config_values(metadata, [tensor.name for _, _, tensor in stored])
    report(0, len(stored), "preparing")

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
    report(0, len(stored), "tokenizer")
    write_tokenizer(gguf, folder)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    names = _tensor_names(model, metadata["general.architecture"])
    _require_all(gguf, {tensor.name for _, _, tensor in stored}, set(names))
    needed, free = sum(4 * math.prod(shapes[ours]) for ours in names.values()), shutil.disk_usage(folder).free
    if free < needed:
        place = "the folder for conversions"
        raise DiskFull(file="the converted model", needed=size(needed), free=size(free), folder=place)
    with open(folder / "model.safetensors", "wb") as target:
        order = [names[tensor.name] for _, _, tensor in stored]
        target.write(_safetensors_header({ours: shapes[ours] for ours in order}))
        written = zip(order, stored, _plain(stored, values), strict=True)
        for done, (ours, (file, _, tensor), plain) in enumerate(written, 1):
            if plain.shape != shapes[ours]:
                sizes = [" x ".join(map(str, shape)) for shape in (plain.shape, shapes[ours])]
                reason = f"its tensor {tensor.name} is {sizes[0]}, and by its header it has to be {sizes[1]}"
                raise CorruptWeights(file=file.name, reason=reason)
            target.write(plain.tobytes())
            report(done, len(stored), ours)


def _read(gguf: Path) -> tuple[dict[str, Any], list[Stored]]:
    """The values of the first file and the tensors of all."""
    files, stored = part_files(gguf), list[Stored]()
    headers = {file: read_header(file, (TOKENS,)) for file in files}
    for file, header in headers.items():
        for tensor in header.tensors:
            if tensor.kind not in BLOCKS:
                raise UnsafeWeights(model="this GGUF file", reason=f"its block type {tensor.kind} is not known")
            stored.append((file, header.data_start + tensor.offset, tensor))
        if header.bytes_needed > file.stat().st_size:
            raise CorruptWeights(file=file.name, reason="it is shorter than its header says")
    metadata = headers[files[0]].values
    count = metadata.get("split.count") or 1
    if count != len(files):
        reason = f"it is made to be one of {count} files, and by its name it is one of {len(files)}"
        raise CorruptWeights(file=gguf.name, reason=reason)
    return metadata, stored


def _tied(stored: list[Stored]) -> list[Stored]:
    """The tensors, without the embeddings where the head is the same matrix in more bits: then it stands for both.

    llama.cpp stores a model whose embeddings are its head either way.
    """
    import numpy

    named = {found[2].name: found for found in stored}
    if not {EMBEDDINGS, HEAD} <= named.keys() or named[EMBEDDINGS][2].shape != named[HEAD][2].shape:
        return stored
    rows = [_dequantized(*named[name], ALIKE_ROWS).ravel() for name in (EMBEDDINGS, HEAD)]
    with numpy.errstate(invalid="ignore"):  # of zeros: not a number, and no more than anything
        if not numpy.corrcoef(rows)[0, 1] > ALIKE:
            return stored
    file, at, head = named[HEAD]
    others = [found for found in stored if found[2].name not in (EMBEDDINGS, HEAD)]
    return [(file, at, replace(head, name=EMBEDDINGS)), *others]


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
    values["tie_word_embeddings"] = HEAD not in tensor_names
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


def _require_all(source: Path, held: set[str], wanted: set[str]) -> None:
    if lacking := sorted(wanted - held):
        more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        reason = f"it lacks the tensor {lacking[0]}{more} that its architecture asks for"
        raise CorruptWeights(file=source.name, reason=reason)
    if odd := sorted(held - wanted):
        raise UnsafeWeights(model="this GGUF file", reason=f"its architecture has no tensor {odd[0]}")


def _plain(stored: list[Stored], values: dict[str, Any]) -> Iterator[Any]:
    """Each tensor in the files' order as float32, undone what llama.cpp's converter had done to it."""
    import numpy
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor

    architecture = next(name for name in ARCHITECTURES if _MODEL_TYPES.get(name, name) == values["model_type"])
    processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=values)
    for file, at, tensor in stored:
        result = processor.process(weights=_dequantized(file, at, tensor), name=tensor.name)
        yield numpy.ascontiguousarray(result.weights, dtype=numpy.float32)


def _dequantized(file: Path, at: int, tensor: Tensor, rows: int | None = None) -> Any:
    """The values of a tensor, or of its first rows, as float32."""
    import gguf
    import numpy

    packed = numpy.memmap(file, numpy.uint8, "r", at, (tensor.bytes,)).reshape(*tensor.shape[:-1], -1)
    return gguf.dequantize(packed[:rows], gguf.GGMLQuantizationType(tensor.kind))


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
