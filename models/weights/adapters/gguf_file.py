"""A checked adapter as the GGUF file that llama.cpp reads, written once for each content."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...domain.adapters import is_upload
from ...domain.catalog import ModelCard
from ...domain.errors import AdapterRefused
from ...domain.llama_names import ARCHITECTURES, TIED_HEAD, linear_name, turned, turned_rows
from ...domain.load import Adapter
from ...domain.lora import HEAD, matrix_of, shown
from ...domain.settings import Settings
from ...system.durable import put
from .. import fetch_errors, own_folder
from ..sharing import file_lock, safe_name
from ..verify.safetensors_header import SHORT_HEADER, read_fp32, read_tensors

VERSION = 1  # goes up with what is written, so that an earlier file is not taken


def as_gguf(adapter: Adapter, card: ModelCard, architecture: str, settings: Settings) -> Adapter:
    """The same adapter with a file for a GGUF model of that architecture, as its header names it.

    Raises AdapterRefused for what llama.cpp cannot apply, DiskFull.
    """
    if architecture not in ARCHITECTURES.values():
        reason = f"llama.cpp applies none here to the architecture {shown(architecture)}, of which its GGUF file is"
        raise AdapterRefused(adapter=adapter.name, reason=reason)
    file = _place(adapter, card, architecture, settings)
    if not file.is_file():
        own_folder.require(settings)
        with file_lock(settings, f"adapter {file.stem}"), fetch_errors.translated(adapter.name, settings.cache):
            if not file.is_file():
                _write(adapter, card, architecture, file)
    return replace(adapter, file=str(file), state="")


def _place(adapter: Adapter, card: ModelCard, architecture: str, settings: Settings) -> Path:
    """An upload goes with all that was made of it, so that its file lies beside it; others lie with our conversions."""
    source = Path(adapter.file)
    own = is_upload(adapter.name) and source.is_relative_to(settings.cache)
    folder = source.parent if own else settings.cache / "converted" / "adapters"
    made_from = repr((VERSION, adapter.file, adapter.state, adapter.config, card.sizes.heads, architecture))
    return folder / f"{safe_name(adapter.name)[:60]}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}.gguf"


def _write(adapter: Adapter, card: ModelCard, architecture: str, file: Path) -> None:
    import gguf

    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = list(_tensors(adapter, card, architecture))
    fetch_errors.require_space(4 * adapter.parameters, file.name, file.parent)
    for left in file.parent.glob(f".{file.name}.*.part"):
        left.unlink(missing_ok=True)  # of a process that was killed: whoever writes now holds the lock
    part = file.with_name(f".{file.name}.{secrets.token_hex(6)}.part")
    writer = gguf.GGUFWriter(part, architecture)
    try:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", adapter.config.alpha)
        for name, values in tensors:
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        put(part, file)
    finally:
        writer.close()
        part.unlink(missing_ok=True)


def _tensors(adapter: Adapter, card: ModelCard, architecture: str) -> Iterator[tuple[str, Any]]:
    """Name and fp32 values of each matrix: llama.cpp adds weight * alpha / rank * B (A x)."""
    import numpy

    path, config = Path(adapter.file), adapter.config
    head = next(outputs for name, outputs, _ in card.sizes.linears if name == "q_proj") // card.sizes.heads
    for tensor, where in read_tensors(path, SHORT_HEADER).items():
        module, matrix = matrix_of(tensor) or ("", "")
        if not (name := linear_name(module)):
            reason = f"it changes {shown(module or tensor, 100)}, to which llama.cpp cannot apply it"
            raise AdapterRefused(adapter=adapter.name, reason=reason)
        if module == HEAD and card.sizes.tied_embeddings:
            raise AdapterRefused(adapter=adapter.name, reason=TIED_HEAD)
        values = read_fp32(path, where)
        if matrix == "B":
            # What its config scales otherwise than alpha / rank: rank-stabilized, or an alpha of a module's own.
            values *= config.scaling(module) * values.shape[1] / config.alpha
            if turned(f"{name}.weight", architecture):
                values = turned_rows(values, head)
        yield f"{name}.weight.lora_{matrix.lower()}", numpy.ascontiguousarray(values)
