"""A model with its adapters merged into its weights, written as a folder of its own; nothing that is loaded changes."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...domain.errors import AdapterRefused, NotFinite
from ...domain.load import ActiveAdapter, Snapshot
from ...domain.messages import Progress
from ...domain.settings import Settings
from ...engines.lora.attached import Adapters
from ...engines.transformers.engine_thread import computed
from ...engines.transformers.loader import OnProgress, load

# Beside the weights and config.json, a copy has what tokenizers read, what `generate` reads, and the terms of use.
_SETTINGS = (".json", ".model", ".tiktoken", ".txt", ".jinja")
_TERMS = ("license", "licence", "notice", "copying", "use_policy")
_NOT_TAKEN = ("config.json", "adapter_config.json", "quantize_config.json", "trainer_state.json")
_OF_THE_WEIGHTS = (".index.json", "-conversion.json")
_TEMPLATES = "additional_chat_templates"  # a folder


def write_merged(
    snapshot: Snapshot,
    mode: str,
    adapters: Sequence[ActiveAdapter],
    folder: Path,
    settings: Settings,
    on_progress: OnProgress,
) -> None:
    """Write W + sum(weight * scaling * B A) into `folder`, which must not exist, as safetensors with the tokenizer.

    The sum is taken in fp32 and rounded once, to the type of `mode` (fp32, bf16 or fp16). In other programs the copy
    tokenizes, samples and ends as its source does.
    Raises AdapterRefused, OutOfMemory, CorruptWeights, NotFinite, DiskFull, EngineFailed.
    """

    def write() -> None:
        model = load(snapshot, mode, "cpu", on_progress).model
        on_progress(Progress("merge"))
        _add(model, adapters)
        # A name that nobody else has: what lies beside the target is not ours to remove.
        part = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.part")
        try:
            model.save_pretrained(part)
            _copy_settings(Path(snapshot.path), part)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    computed(write, settings.compute_threads, during="while merging")


def _copy_settings(source: Path, part: Path) -> None:
    """What stands beside the weights, as it is at the source.

    Where a source has no generation_config.json, transformers takes the values from its config.json, which is why the
    copy has none either, and why its config.json is not the one that was saved: that lacks them.
    """
    (part / "generation_config.json").unlink(missing_ok=True)
    for file in source.iterdir():
        name = file.name.lower()
        terms = name.startswith(_TERMS) and file.suffix in ("", ".txt", ".md")
        settings = name.endswith(_SETTINGS) and name not in _NOT_TAKEN and not name.endswith(_OF_THE_WEIGHTS)
        if file.is_file() and (terms or settings):
            shutil.copyfile(file, part / file.name)
    for file in (source / _TEMPLATES).glob("*.jinja"):
        (part / _TEMPLATES).mkdir(exist_ok=True)
        shutil.copyfile(file, part / _TEMPLATES / file.name)
    saved = json.loads((part / "config.json").read_text(encoding="utf-8"))
    stated = json.loads((source / "config.json").read_text(encoding="utf-8"))
    names = [name for name in ("dtype", "torch_dtype") if name in stated] or ["dtype"]
    stated |= {"architectures": saved["architectures"]} | dict.fromkeys(names, saved["dtype"])
    (part / "config.json").write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")


def _add(model: Any, adapters: Sequence[ActiveAdapter]) -> None:
    import torch

    beside = Adapters(model, most=len(adapters), limit_bytes=1 << 60)
    with beside.acting(adapters):
        changes = beside.changes()
    for name, change in changes.items():
        if name == "lm_head" and model.config.tie_word_embeddings:
            raise AdapterRefused(
                adapter=change.spelled[0][0],
                reason="it changes the head, which shares its weights with the embeddings, so it cannot be merged",
            )
        linear = model.get_submodule(name)
        # A new tensor: the loaded one may be mapped from the snapshot's own file.
        merged = (linear.weight.float() + change.matrix()).to(linear.weight.dtype)
        if not bool(merged.isfinite().all()):
            raise NotFinite(during="after merging")
        linear.weight = torch.nn.Parameter(merged, requires_grad=False)
