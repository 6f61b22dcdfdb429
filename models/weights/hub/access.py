"""Whose token may be used for which repository, and who may use what a token has fetched."""

from __future__ import annotations

from ...domain.settings import Settings
from ..sharing import file_lock
from ..verify.json_files import read_json, write_json


def token_for(repo: str, settings: Settings, token: str | None) -> str | None:
    """The token for one repository: the visitor's own, or the operator's where the operator lists it, or none.

    The operator's is not used for anything else, so that nobody reaches private or gated models by naming them.
    """
    if token:
        return token
    if repo in settings.gated_models:
        from huggingface_hub import get_token

        return get_token()
    return None


def may_try(repo: str, gated: bool, settings: Settings, token: str | None) -> bool:
    """Whether asking the Hub for a repository can succeed; without any token a gated one cannot."""
    return not gated or token_for(repo, settings, token) is not None


def restrict(settings: Settings, repo: str) -> None:
    """Note that a closed repository is here by a visitor's token: others have to show that they may read it too."""
    with file_lock(settings, "restricted"):
        table = read_json(settings.cache / "restricted.json")
        if repo not in table:
            write_json(settings.cache / "restricted.json", {**table, repo: True})


def is_restricted(settings: Settings, repo: str) -> bool:
    """Whether the files of a repository may only be used by who has access to it on the Hub."""
    return repo not in settings.gated_models and repo in read_json(settings.cache / "restricted.json")
