"""Which commit a model without a pinned revision got the first time; it gets the same ever after."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from ...domain.errors import NotOnHub
from ...domain.settings import Settings
from ..sharing import file_lock
from ..verify.json_files import read_json, write_json

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
    path = settings.cache / "revisions.json"
    with file_lock(settings, "revisions"):
        table = read_json(path)
        entry = {"commit": commit, **facts}
        known = table.get(_name(repo, revision))
        if isinstance(known, dict) and is_commit(known.get("commit")):
            entry = {**entry, **known}
        if entry != known:
            write_json(path, {**table, _name(repo, revision): entry})


def forget(settings: Settings, repo: str, revision: str | None) -> None:
    """Drop a commit that the Hub no longer has."""
    path = settings.cache / "revisions.json"
    with file_lock(settings, "revisions"):
        table = read_json(path)
        if table.pop(_name(repo, revision), None) is not None:
            write_json(path, table)


def ask_for(settings: Settings, repo: str, revision: str | None, ask: Callable[[str | None], Answer]) -> Answer:
    """`ask` for the commit that a repository must have; where its owner has removed that one, for what it has now."""
    commit = pinned_commit(settings, repo, revision)
    try:
        return ask(commit or revision)
    except NotOnHub:
        if commit is None or commit == revision:
            raise
    # The commit that was noted the first time is gone, because the owner rewrote the history.
    forget(settings, repo, revision)
    return ask(revision)


def _name(repo: str, revision: str | None) -> str:
    return f"{repo}={revision}" if revision else repo
