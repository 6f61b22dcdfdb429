"""A model card for a Hub id that the catalog does not list, read from the model's own config.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...domain.catalog import Kind, ModelCard, Quantized, load_catalog
from ...domain.errors import HubIdsNotAllowed, HubUnreachable
from ...domain.settings import Settings
from ...domain.variant import Variant
from .. import faults, own_folder
from ..places import operators_folders, snapshot_folder
from ..sharing import Reporter
from ..verify import checkpoints, checks
from ..verify.architectures import read_context, read_shape
from ..verify.file_names import CHAT_TEMPLATES, CONFIG
from ..verify.json_files import read_object
from . import access, counting, reach, revisions
from . import client as hub


def hub_card(model: str, settings: Settings, token: str | None = None) -> ModelCard:
    """The card of `owner/name[=revision]`; the catalog's own if it lists that repository.

    The first look fixes the commit, later ones need no network. Raises BadSpelling, ModelIsAPath, UnknownModel,
    HubIdsNotAllowed, UnsafeWeights, CorruptWeights, GatedModel, NotOnHub, HubUnreachable.
    """
    if not Variant(model).is_hub_id:
        return load_catalog()[model]
    repo, _, revision = model.partition("=")
    listed = [card for card in load_catalog().values() if card.hub_id == repo]
    if listed and not revision:
        return listed[0]
    if not settings.hub_ids:
        raise HubIdsNotAllowed(model=model)
    with faults.translated(model, settings.cache):
        return _card(model, repo, revision or None, settings, token)


def _card(model: str, repo: str, revision: str | None, settings: Settings, token: str | None) -> ModelCard:
    reporter = Reporter(model, lambda progress: None, lambda: False)
    own = operators_folders(model, repo, settings)
    if own and (own[0] / CONFIG).is_file():
        return _read(model, repo, revision, own[0], {})
    facts = revisions.recorded(settings, repo, revision)
    folder = snapshot_folder(repo, revision, settings)
    if folder is not None and (folder / CONFIG).is_file() and (facts or revisions.is_commit(revision)):
        if access.is_restricted(settings, repo):
            hub.prove_access(repo, settings, reporter, token)
        return _read(model, repo, folder.name, folder, facts)
    if not reach.hub_reachable(settings):
        if folder is not None and (folder / CONFIG).is_file() and not access.is_restricted(settings, repo):
            return _read(model, repo, folder.name, folder, {})
        raise HubUnreachable(model=model)
    own_folder.require(settings)
    facts = hub.look_up(repo, facts.get("commit") or revision, settings, reporter, token)
    folder = hub.repo_folder(repo) / "snapshots" / facts["commit"]
    noted = {name: facts.get(name) for name in ("licence", "gated", "parameters")}
    card = _read(model, repo, facts["commit"], folder, noted)
    revisions.record(settings, repo, revision, facts["commit"], **noted)
    return card


def _read(model: str, repo: str, revision: str | None, folder: Path, facts: dict[str, Any]) -> ModelCard:
    config = checks.read_config(folder, model)
    shape, checkpoint = read_shape(config, model), checkpoints.read_checkpoint(config, model)
    quantized: tuple[Quantized, ...] = ()
    counted = None
    if checkpoint is None:
        counted = facts.get("parameters") or counting.count_folder(folder, shape)
    elif checkpoint.group:
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
        counted_parameters=counted,
    )


def _kind(folder: Path) -> Kind:
    if any((folder / name).is_file() for name in CHAT_TEMPLATES):
        return "instruct"
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return "base"
    return "instruct" if read_object(path, checks.LARGEST_TOKENIZER_CONFIG).get("chat_template") else "base"
