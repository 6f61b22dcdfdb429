"""A model, perhaps with adapters merged into its weights, written as a folder; nothing that is loaded changes."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...domain.errors import AdapterRefused, NotFinite
from ...domain.load import ActiveAdapter, Snapshot
from ...domain.messages import Progress
from ...domain.settings import Settings
from ...engines.lora.attached import Adapters
from ...engines.transformers.engine_thread import computed
from ...engines.transformers.loader import OnProgress, load
from ...engines.transformers.plain_four_bits import plain_four_bits
from ...system.durable import unfinished, write_text
from ...weights.verify.checks import check_written

LARGEST_FILE = 5_000_000_000  # bytes, of weights
# Beside the weights and config.json, a copy has what tokenizers read, what `generate` reads, and the terms of use.
_SETTINGS = (".json", ".model", ".tiktoken", ".txt", ".jinja")
_TERMS = ("license", "licence", "notice", "copying", "use_policy")
_OTHERS = ("config.json", "adapter_config.json", "quantize_config.json", "trainer_state.json")
_OF_TRAINING = ("training.json", "samples.txt")
_OF_THE_WEIGHTS = (".index.json", "-conversion.json")
_TEMPLATES = "additional_chat_templates"  # a folder


def write_merged(
    snapshot: Snapshot,
    mode: str,
    adapters: Sequence[ActiveAdapter],
    folder: Path,
    settings: Settings,
    on_progress: OnProgress,
    most: int = LARGEST_FILE,
    texts: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write W + sum(weight * scaling * B A) into `folder`, which must not exist, as safetensors with the tokenizer.

    The sum is taken in fp32 and rounded once, to the type of `mode` (fp32, bf16 or fp16); without adapters `mode` may
    also be one of bitsandbytes. In other programs the copy tokenizes, samples and ends as its source does. A file has
    at most `most` bytes; `texts` are small files beside it, by their names.
    Raises AdapterRefused, OutOfMemory, CorruptWeights, NotFinite, DiskFull, EngineFailed.
    """

    def write(begun: Path) -> None:
        with plain_four_bits(mode):
            model = load(snapshot, mode, "cpu", on_progress).model
        if adapters:
            on_progress(Progress("merge"))
            _add(model, adapters)
        model.save_pretrained(begun, max_shard_size=most)
        copy_settings(Path(snapshot.path), begun)
        for name, text in texts.items():
            write_text(begun / name, text)

    with unfinished(folder, {"begun": secrets.token_hex(8)}) as begun:  # nothing of an earlier one is taken up
        try:
            computed(partial(write, begun), settings.compute_threads, during="while writing the model")
            check_written(begun, folder.name)
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise


def copy_settings(source: Path, folder: Path) -> None:
    """Copy what stands beside the weights, as it is at the source.

    Where a source has no generation_config.json, transformers takes the values from its config.json, which is why the
    copy has none either, and why its config.json is not the one that was saved: that lacks them.
    """
    (folder / "generation_config.json").unlink(missing_ok=True)
    for file in source.iterdir():
        name = file.name.lower()
        terms = name.startswith(_TERMS) and file.suffix in ("", ".txt", ".md")
        other = name in (*_OTHERS, *_OF_TRAINING) or name.endswith(_OF_THE_WEIGHTS)
        if file.is_file() and (terms or (name.endswith(_SETTINGS) and not other)):
            shutil.copyfile(file, folder / file.name)
    for file in (source / _TEMPLATES).glob("*.jinja"):
        (folder / _TEMPLATES).mkdir(exist_ok=True)
        shutil.copyfile(file, folder / _TEMPLATES / file.name)
    stated = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if (folder / "config.json").is_file():
        saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = [name for name in ("dtype", "torch_dtype") if name in stated] or ["dtype"]
        stated |= {"architectures": saved["architectures"]} | dict.fromkeys(names, saved["dtype"])
        stated |= {name: saved[name] for name in ("quantization_config",) if name in saved}
    write_text(folder / "config.json", json.dumps(stated, indent=2) + "\n")


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
