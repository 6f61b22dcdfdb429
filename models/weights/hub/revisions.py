"""Repositories in the Hub cache: which commit one without a pinned revision got first, and gets ever after."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ...domain.errors import NotOnHub
from ...domain.settings import Settings
from ...system.files import read_json
from ..sharing import shared_table

Answer = TypeVar("Answer")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash, which never moves."""
    return revision is not None and bool(_COMMIT.fullmatch(revision))


def recorded(settings: Settings, repo: str, revision: str | None) -> dict[str, Any]:
    """What the first download noted: `commit`, perhaps `licence`, `gated`, `parameters`; empty when there was none."""
    entry = read_json(settings.cache / "revisions.json").get(_name(repo, revision), {})
    return entry if isinstance(entry, dict) and is_commit(entry.get("commit")) else {}


def pinned_commit(settings: Settings, repo: str, revision: str | None) -> str | None:
    """The commit that a model must have, None when any will do."""
    return revision if is_commit(revision) else recorded(settings, repo, revision).get("commit")


def record(settings: Settings, repo: str, revision: str | None, commit: str, **facts: Any) -> None:
    """Note the commit that a branch or no revision at all meant the first time; a later call keeps the first one."""
    if is_commit(revision) and not facts:
        return
    with shared_table(settings, "revisions") as table:
        known = table.get(_name(repo, revision))
        kept = known if isinstance(known, dict) and is_commit(known.get("commit")) else {}
        table[_name(repo, revision)] = {"commit": commit, **facts, **kept}


def ask_for(settings: Settings, repo: str, revision: str | None, ask: Callable[[str | None], Answer]) -> Answer:
    """`ask` for the commit that a repository must have; where its owner has removed that one, for what it has now."""
    commit = pinned_commit(settings, repo, revision)
    try:
        return ask(commit or revision)
    except NotOnHub:
        if commit is None or commit == revision:
            raise
    # The commit that was noted the first time is gone, because the owner rewrote the history.
    with shared_table(settings, "revisions") as table:
        table.pop(_name(repo, revision), None)
    return ask(revision)


def cache_folder() -> Path:
    """The Hub cache of this machine."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    """The folder of one repository in the Hub cache."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def snapshot_folder(repo: str, revision: str | None, settings: Settings) -> Path | None:
    """The folder of a repository in the Hub cache at the commit that this model must have, if there is one."""
    storage = repo_folder(repo)
    if not storage.is_dir():  # of most models in a list, without reading what was noted of them
        return None
    commit = pinned_commit(settings, repo, revision)
    if commit is None:
        try:
            commit = (storage / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
    folder = storage / "snapshots" / commit
    return folder if is_commit(commit) and folder.is_dir() else None


def _name(repo: str, revision: str | None) -> str:
    return f"{repo}={revision}" if revision else repo
