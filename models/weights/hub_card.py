"""A model card for a Hub id that the catalog does not list, read from the model's own config.json."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.catalog import GgufFile, Kind, ModelCard, Quantized, part_names
from ..domain.errors import CorruptWeights, HubIdsNotAllowed, HubUnreachable, UnknownModel
from ..domain.settings import Settings
from ..domain.shapes.read import WHOLES
from ..domain.variant import Variant
from ..system.files import read_object
from . import fetch_errors, own_folder
from .hub import access, revisions
from .hub import client as hub
from .places import operators_folders
from .sharing import Visit
from .verify import checkpoints, checks
from .verify.architectures import read_context, shape_of
from .verify.file_names import CHAT_TEMPLATES, CONFIG, INDEX, weight_files, weight_map, weights_entry
from .verify.safetensors_header import read_tensors


def hub_card(model: str, settings: Settings, token: str | None = None) -> ModelCard:
    """The card of `owner/name[=revision]`.

    The first look fixes the commit, later ones need no network. Raises BadSpelling, ModelIsAPath, UnknownModel,
    HubIdsNotAllowed, UnsafeWeights, CorruptWeights, GatedModel, NotOnHub, HubUnreachable.
    """
    if not Variant(model).is_hub_id:  # a name that could not be spelled, or that leaves a folder, ends here, too
        raise UnknownModel(model=model, suggestion="A Hub id is spelled owner/name.")
    repo, _, revision = model.partition("=")
    if not settings.hub_ids and not settings.local_folder(model):
        raise HubIdsNotAllowed(model=model)
    with fetch_errors.translated(model, settings.cache):
        return _card(repo, revision or None, Visit(model, settings, token))


def _card(repo: str, revision: str | None, visit: Visit) -> ModelCard:
    model, settings = visit.name, visit.settings
    own = operators_folders(model, repo, settings)
    if own and (own[0] / CONFIG).is_file():
        return replace(_read(model, repo, revision, own[0], {}), gguf=_gguf(own[0], repo))
    facts = revisions.recorded(settings, repo, revision)
    folder = revisions.snapshot_folder(repo, revision, settings)
    if folder is not None and (folder / CONFIG).is_file() and (facts or revisions.is_commit(revision)):
        if access.is_restricted(settings, repo):
            hub.prove_access(repo, visit)
        return _read(model, repo, folder.name, folder, facts)
    if not access.hub_reachable(settings):
        if folder is not None and (folder / CONFIG).is_file() and not access.is_restricted(settings, repo):
            return _read(model, repo, folder.name, folder, {})
        raise HubUnreachable(model=model)
    own_folder.require(settings)
    return asked(repo, revision, visit, facts.get("commit") or revision)


def asked(repo: str, revision: str | None, visit: Visit, commit: str | None) -> ModelCard:
    """The card by what the Hub says now, of a commit or of the newest; raises as `hub_card`."""
    found = hub.look_up(repo, commit, visit)
    facts = {"licence": found.licence, "gated": found.gated, "parameters": found.parameters}
    card = _read(visit.name, repo, found.commit, found.folder, facts)
    revisions.record(visit.settings, repo, revision, found.commit, **facts)
    return card


def _read(model: str, repo: str, revision: str | None, folder: Path, facts: dict[str, Any]) -> ModelCard:
    config = checks.read_config(folder, model)
    shape, checkpoint = shape_of(config, model), checkpoints.read_checkpoint(config, model)
    quantized: tuple[Quantized, ...] = ()
    counted, text_only = None, config.get("model_type") in WHOLES
    if checkpoint is None and not text_only:  # what sees is counted in the files, and not loaded
        counted = facts["parameters"] if "parameters" in facts else _count(folder)
        head = shape.vocabulary * shape.hidden
        if shape.tied_embeddings and not shape.estimated and counted and counted - head >= shape.parameters:
            counted -= head  # it is stored too, though it is none of its own
    elif checkpoint and checkpoint.group:
        quantized = (Quantized(checkpoint.mode, repo, revision, checkpoint.bits, checkpoint.group),)
    return ModelCard(
        key=model,
        title=repo.partition("/")[2],
        family=str(config.get("model_type", "other"))[:40],
        kind=_kind(folder),
        hub_id=repo,
        licence=facts.get("licence") or "unknown",
        context=read_context(config, model),
        shape=shape,
        gated=bool(facts.get("gated")),
        revision=revision,
        quantized=quantized,
        checkpoint=checkpoint.mode if checkpoint else "",
        dequantized=checkpoint.dequantized if checkpoint else "",
        counted_parameters=counted,
        text_only=text_only,
    )


def _gguf(folder: Path, repo: str) -> GgufFile | None:
    """The GGUF files of an operator's folder, the first by name as the one that `gguf` means."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.gguf"))}
    first = next((name for name in sizes if part_names(name)[0] == name), None)
    return GgufFile(repo, first).among(sizes) if first else None


def _count(folder: Path) -> int | None:
    """The parameters of a folder of plain weights by their headers; None where they are not all there."""
    try:
        names = {path.name for path in folder.iterdir()}
        files = weight_files(names, folder)
        # Only what the index names is loaded: a repository may hold the files of an older split too.
        named = weight_map(folder / INDEX) if weights_entry(names) == INDEX else None
        held = [(file, *item) for file in files for item in read_tensors(folder / file).items()]
    except (CorruptWeights, OSError):
        return None
    return sum(math.prod(tensor.shape) for file, name, tensor in held if not named or named.get(name) == file) or None


def _kind(folder: Path) -> Kind:
    if any((folder / name).is_file() for name in CHAT_TEMPLATES):
        return "instruct"
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return "base"
    return "instruct" if read_object(path, checks.LARGEST_TOKENIZER_CONFIG).get("chat_template") else "base"
