"""A folder of safetensors written as one GGUF file, a tensor at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....domain.errors import CannotExport
from ....domain.llama_names import turned, turned_rows, weight_name
from ....domain.lora import shown
from ....domain.messages import Progress
from ....weights.fetch_errors import require_space
from ....weights.verify.safetensors_header import FLOATS, Tensor, read_fp32, read_tensors
from ...chat_template import source_in
from .header import Decoder, read_decoder
from .types import FILE_TYPES, packed, stored_bytes, type_of
from .vocabulary import Vocabulary, read_vocabulary

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
EMBEDDINGS, HEAD = "token_embd.weight", "output.weight"


@dataclass(frozen=True)
class _Source:
    """A tensor of the folder, under the name that it gets."""

    name: str
    file: Path
    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape


def require_known(folder: Path) -> None:
    """Raise CannotExport for a folder that cannot be written, by its settings and the names of its tensors."""
    decoder = read_decoder(folder)
    read_vocabulary(folder, decoder.vocabulary)
    _sources(folder, decoder)


def write_gguf(folder: Path, out: Path, wanted: str, title: str, on_progress: Callable[[Progress], None]) -> None:
    """Write the model of a folder in a type of FILE_TYPES, with its tokenizer and chat template; a fault leaves a part.

    Raises CannotExport for what llama.cpp would not compute as transformers does, CorruptWeights, DiskFull.
    """
    decoder = read_decoder(folder)
    vocabulary = read_vocabulary(folder, decoder.vocabulary)
    sources = _sources(folder, decoder)
    layers = int(decoder.values["block_count"])
    kinds = {each.name: type_of(each.name, each.shape, wanted, layers, decoder.tied) for each in sources}
    needed = sum(math.prod(stored_bytes(each.shape, kinds[each.name])) for each in sources)
    require_space(needed, out.name, out.parent)
    _write(out, decoder, vocabulary, sources, kinds, (title, source_in(folder), wanted), on_progress)


def _write(
    out: Path,
    decoder: Decoder,
    vocabulary: Vocabulary,
    sources: list[_Source],
    kinds: dict[str, str],
    about: tuple[str, str, str],
    on_progress: Callable[[Progress], None],
) -> None:
    import gguf
    import numpy

    T = gguf.GGUFValueType
    writer = gguf.GGUFWriter(out, decoder.architecture)
    title, template, wanted = about
    writer.add_type("model")
    writer.add_name(title)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(FILE_TYPES[wanted])
    for name, value in decoder.values.items():
        kind = {int: T.UINT32, float: T.FLOAT32, str: T.STRING}[type(value)]
        writer.add_key_value(f"{decoder.architecture}.{name}", value, kind)
    _add_vocabulary(writer, vocabulary)
    if template:
        writer.add_chat_template(template)
    for name, values in decoder.tensors.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
    for each in sources:
        stored = gguf.GGMLQuantizationType[kinds[each.name]]
        sizes = stored_bytes(each.shape, kinds[each.name])
        writer.add_tensor_info(each.name, sizes, numpy.dtype(numpy.uint8), math.prod(sizes), stored)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for values in decoder.tensors.values():
            writer.write_tensor_data(values)
        for done, each in enumerate(sources):
            on_progress(Progress("convert", done, len(sources), "tensors", each.name))
            values = read_fp32(each.file, each.tensor)
            if turned(each.name, decoder.architecture):
                values = turned_rows(values, decoder.head)
            writer.write_tensor_data(packed(values, kinds[each.name]))
    finally:
        writer.close()


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.kind)
    writer.add_tokenizer_pre(vocabulary.split)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.blank_before)
    for name, number in vocabulary.special.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
    writer.add_add_bos_token(vocabulary.starts_texts)


def _sources(folder: Path, decoder: Decoder) -> list[_Source]:
    """All tensors, embeddings first; raises CannotExport for one that llama.cpp's architecture does not have."""
    names = [SINGLE]
    if (folder / INDEX).is_file():
        names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    found: dict[str, _Source] = {}
    for file in (folder / name for name in names):
        for name, tensor in read_tensors(file).items():
            if name.endswith("rotary_emb.inv_freq"):  # computed by everybody, and stored by some
                continue
            theirs = weight_name(name)
            if not theirs or tensor.dtype not in FLOATS:
                raise CannotExport(reason=f"llama.cpp's {decoder.architecture} has no tensor {shown(name, 80)}")
            found[theirs] = _Source(theirs, file, tensor)
    if decoder.tied:
        found.pop(HEAD, None)
    if lacking := {EMBEDDINGS, *([] if decoder.tied else [HEAD])} - found.keys():
        raise CannotExport(reason=f"it lacks the tensor {min(lacking)}")
    return list(found.values())
