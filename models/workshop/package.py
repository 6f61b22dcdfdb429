"""What of a folder or file would be published: by its kind, the files that are known to belong to it and no others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..domain.catalog import part_names
from ..domain.errors import CannotPublish
from ..system.files import read_json, read_object
from ..training.made import FILE, Made, beside, read_made
from ..weights.adapters.checks import CONFIG as ADAPTER_CONFIG
from ..weights.adapters.checks import WEIGHTS as ADAPTER_WEIGHTS
from ..weights.adapters.places import REPORT as TRAINING
from ..weights.verify.checks import LARGEST_CONFIG, check_written
from ..weights.verify.file_names import CONFIG, INDEX, SETTINGS_FILES, weight_files, weights_entry
from ..weights.verify.gguf_header import check_whole
from ..weights.verify.safetensors_header import SHORT_HEADER, read_tensors
from .card_training import is_pretraining

Kind = Literal["model", "adapter", "gguf"]
TERMS = ("license", "licence", "notice", "copying", "use_policy")
_BASES = {ADAPTER_CONFIG: "base_model_name_or_path", TRAINING: "base", FILE: "base"}  # where a base is named
_TOKENIZERS = frozenset(("vocab.txt", "spiece.model", "tekken.json"))


@dataclass(frozen=True)
class Package:
    """Files by their names in the repository, those of the folder that are left out, and what is known of them."""

    kind: Kind
    name: str
    files: dict[str, Path]
    left_out: tuple[str, ...]
    base: str  # as an adapter's own config, or a note, names it
    made: Made | None
    training: dict[str, Any]

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files.values())

    @property
    def is_from_nothing(self) -> bool:
        """Whether it was pretrained here, so that it has no base."""
        return not self.base and is_pretraining(self.training)

    @property
    def has_terms(self) -> bool:
        """Whether the text of a licence is among the files."""
        return any(name.lower().startswith(("license", "licence", "copying")) for name in self.files)


def package_of(path: Path) -> Package:
    """What is in a folder, or a GGUF file; checked. Raises CannotPublish, CorruptWeights, UnsafeWeights."""
    if path.is_file() and path.suffix == ".gguf":
        return _gguf(path.parent, [path.name], alone=True)
    if not path.is_dir():
        raise _refused(path.name, "it is neither a folder nor a .gguf file")
    names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
    if ADAPTER_CONFIG in names:
        return _adapter(path, names)
    if weights_entry(names):
        return _model(path, names)
    if ggufs := [name for name in names if name.endswith(".gguf")]:
        return _gguf(path, ggufs)
    raise _refused(path.name, "it holds no safetensors, no adapter and no .gguf file")


def _adapter(folder: Path, names: list[str]) -> Package:
    if ADAPTER_WEIGHTS not in names:
        raise _refused(folder.name, f"it lacks {ADAPTER_WEIGHTS}")
    read_tensors(folder / ADAPTER_WEIGHTS, SHORT_HEADER)
    base = read_object(folder / ADAPTER_CONFIG, LARGEST_CONFIG).get("base_model_name_or_path")
    listed = {ADAPTER_CONFIG, ADAPTER_WEIGHTS, TRAINING} | _terms(names)
    training = read_json(folder / TRAINING)
    return _package("adapter", folder, names, listed, str(base or ""), training)


def _model(folder: Path, names: list[str]) -> Package:
    check_written(folder, folder.name)
    weights = weight_files(names, folder)
    entry = {INDEX} if INDEX in names and weights_entry(names) == INDEX else set()
    listed = {*weights, *entry, CONFIG, FILE, TRAINING} | (SETTINGS_FILES | _TOKENIZERS) & set(names) | _terms(names)
    listed |= {f"additional_chat_templates/{file.name}" for file in folder.glob("additional_chat_templates/*.jinja")}
    return _package("model", folder, names, listed, training=read_json(folder / TRAINING))


def _gguf(folder: Path, ggufs: list[str], alone: bool = False) -> Package:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    parts = sorted({part for name in ggufs for part in part_names(name)})
    for name in parts:
        if name not in names:
            raise _refused(folder.name, f"it lacks {name}")
        check_whole(folder / name)
    notes = {beside(folder / name).name for name in ggufs}
    made = next((found for name in ggufs if (found := read_made(folder / name))), None)
    seen = parts if alone else [name for name in names if name not in notes]
    name = ggufs[0] if alone else folder.name
    return _package("gguf", folder, seen, {*parts} | _terms(names), name=name, made=made)


def _package(
    kind: Kind,
    folder: Path,
    names: list[str],
    listed: set[str],
    base: str = "",
    training: dict[str, Any] | None = None,
    name: str = "",
    made: Made | None = None,
) -> Package:
    files = {each: folder / each for each in sorted(listed) if (folder / each).is_file()}
    made = made or read_made(folder)
    left = tuple(each for each in names if each not in files and each != "README.md")
    training = training or (made.training if made else {})
    base = base or (made.base if made else str(training.get("base") or ""))
    return Package(kind, name or folder.name, files, left, base, made, training)


def _terms(names: list[str]) -> set[str]:
    return {
        name for name in names if name.lower().startswith(TERMS) and Path(name).suffix.lower() in ("", ".txt", ".md")
    }


def _refused(name: str, reason: str) -> CannotPublish:
    suggestion = "Name a variant, or a folder that save, finetune or to-gguf wrote."
    return CannotPublish(what=name, reason=reason, suggestion=suggestion)


def with_base(package: Package, base: str) -> dict[str, bytes]:
    """The files that name another base, with this one: a folder on the machine that trained it tells others nothing."""
    changed = {}
    for name, field in ((name, field) for name, field in _BASES.items() if name in package.files):
        stated = read_json(package.files[name])
        if (field in stated or name == ADAPTER_CONFIG) and stated.get(field) != base:
            changed[name] = (json.dumps(stated | {field: base}, indent=2) + "\n").encode()
    return changed
