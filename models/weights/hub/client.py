"""The Hub, asked through a child process; what comes lands in the ordinary Hub cache."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from ...domain.errors import DownloadFailed, GatedModel, HubUnreachable, PaddockError, from_dict
from ...domain.messages import Progress
from ...domain.secrets import without_secrets
from ...domain.settings import Settings
from .. import processes
from ..sharing import Reporter
from . import access, reach

STALL_S = 45.0


def fetch(
    repo: str,
    revision: str | None,
    file: str | None,
    settings: Settings,
    reporter: Reporter,
    token: str | None,
    checkpoint: str = "",
) -> str:
    """Download one file, or a whole safetensors model when `file` is None; returns the commit that it got.

    `checkpoint` is the mode that a whole model has to be quantized for, which is checked before its weights come.
    Raises GatedModel, NotOnHub, HubUnreachable, UnsafeWeights, DiskFull, DownloadFailed, DownloadCancelled.
    """
    request = {"operation": "fetch", "repo": repo, "revision": revision, "file": file, "checkpoint": checkpoint}
    return str(_ask(request, settings, reporter, token, STALL_S)["commit"])


def look_up(
    repo: str, revision: str | None, settings: Settings, reporter: Reporter, token: str | None
) -> dict[str, Any]:
    """Download the settings of a model, without its weights; returns `commit`, `licence`, `gated` and `parameters`.

    `parameters` are counted in the headers of the weights; None where that took too long, or they are quantized.
    """
    request = {"operation": "card", "repo": repo, "revision": revision}
    return _ask(request, settings, reporter, token, 2 * settings.hub_timeout_s + 10)


def adapter(
    repo: str, revision: str | None, wanted: dict[str, Any], settings: Settings, reporter: Reporter, token: str | None
) -> dict[str, Any]:
    """Download the config of an adapter, and its weights if `wanted` says `whole`; they are checked by their header.

    `wanted` holds the `adapter`'s name, the `base` as plain data and the `largest` file in bytes. Returns `commit`,
    `adapter_bytes` and `adapter_parameters`. Raises AdapterRefused, and what `fetch` raises.
    """
    request = {"operation": "adapter", "repo": repo, "revision": revision, **wanted}
    stall_s = STALL_S if wanted["whole"] else 2 * settings.hub_timeout_s + 10
    return _ask(request, settings, reporter, token, stall_s)


def adapters_for(
    base: str, limit: int, settings: Settings, reporter: Reporter, token: str | None
) -> list[dict[str, Any]]:
    """`hub_id`, `downloads`, `likes` and `updated` of the adapters that the Hub has registered for a model."""
    request = {"operation": "search", "repo": base, "limit": limit}
    return list(_ask(request, settings, reporter, token, 2 * settings.hub_timeout_s + 10)["found"])


def prove_access(repo: str, settings: Settings, reporter: Reporter, token: str | None) -> None:
    """Raise GatedModel, NotOnHub or HubUnreachable unless the visitor's own token may read the repository."""
    if token is None:
        raise GatedModel(model=repo)
    if not reach.hub_reachable(settings):
        raise HubUnreachable(model=repo)
    _ask({"operation": "access", "repo": repo}, settings, reporter, token, settings.hub_timeout_s + 5)


def cache_folder() -> Path:
    """The Hub cache of this machine."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    """The folder of one repository in the Hub cache."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def _ask(
    request: dict[str, Any], settings: Settings, reporter: Reporter, token: str | None, stall_s: float
) -> dict[str, Any]:
    from huggingface_hub import constants

    # The operator's token is for reading single repositories: a search with it would list his private ones.
    own_token = token if request["operation"] == "search" else access.token_for(request["repo"], settings, token)
    request |= {
        "cache": str(cache_folder()),
        "endpoint": constants.ENDPOINT,
        "token": own_token,
        "timeout_s": settings.hub_timeout_s,
    }
    answer: dict[str, Any] = {}

    def on_line(line: str) -> None:
        message = _read(line)
        answer.update(message)
        if "progress" in message:
            done, total, file = message["progress"]
            reporter.report(Progress("download", done, total, "bytes", file))

    def tick() -> float:
        reporter.check()
        return 0.0

    ended = processes.run(
        [sys.executable, "-m", f"{__package__}.child"],
        _environment(settings, constants.ENDPOINT),
        tick,
        on_line,
        json.dumps(request),
        request["repo"],
        stall_s,
    )
    if "result" in answer:
        if answer["result"].get("closed") and token:
            access.restrict(settings, request["repo"])
        return dict(answer["result"])
    raise _error(answer, request["repo"], ended.status)


def _environment(settings: Settings, endpoint: str) -> dict[str, str]:
    root = Path(__file__).resolve().parents[3]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH", ""))))
    # The token comes with the request or not at all: none is taken from the environment or from a login.
    return without_secrets() | {
        "PYTHONPATH": path,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_ETAG_TIMEOUT": str(math.ceil(settings.hub_timeout_s)),
    }


def _error(answer: dict[str, Any], repo: str, status: int) -> PaddockError:
    if "error" in answer:
        return from_dict(answer["error"])
    return DownloadFailed(what=repo, reason=f"the process that fetched it ended with status {status}")


def _read(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
