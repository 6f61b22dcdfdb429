"""What is asked of the Hub to make a Space, bring it up to date and see it run.

The operator's own token does it. Raises SpaceError and its kinds, and nothing else.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.errors import PaddockError, SpaceNameTaken, SpaceNotRunning, SpaceRefused
from ..weights.hub.writing import told, writing_api
from .files import ROOT, files, is_ours, looks_like_ours

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BUILDING_S = 1800.0  # as long as the Hub itself waits for a start, unless the front matter says otherwise
POLL_S = 5.0
ASK_S = 120.0  # for the answer of a Space that has just started
LAST_LINES = 15  # of its log


@dataclass(frozen=True)
class Wanted:
    """A Space as it shall be; what is None stays as it is. `secrets` never show in a repr."""

    name: str  # OWNER/NAME
    hardware: str | None
    private: bool | None
    variables: Mapping[str, str]
    secrets: Secrets


class Secrets(dict[str, str]):
    """Values by their names, of which only the names are ever shown."""

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self)})"


def deploy(wanted: Wanted, say: Callable[[str], None], root: Path = ROOT) -> str:
    """Make the Space, or bring it up to date, and upload what changed; returns the commit.

    An upload that was cut off goes on where it stopped when this is called again.
    """
    with told(wanted.name, _refused):
        api = writing_api()
        names = _make(api, wanted, say)
        return _upload(api, wanted.name, names, say, root)


def check(name: str, commit: str, say: Callable[[str], None]) -> int:
    """Wait until the Space runs the commit; returns how many models it lists."""
    with told(name, _refused):
        api, last, until = writing_api(), "", time.monotonic() + BUILDING_S
        while time.monotonic() < until:
            runtime = api.get_space_runtime(name)
            stage = str(getattr(runtime.stage, "value", runtime.stage))
            if stage != last:
                say(f"{stage.lower().replace('_', ' ')}, hardware: {runtime.hardware or runtime.requested_hardware}")
            last = stage
            if stage == "RUNNING" and runtime.raw.get("sha") in (commit, None):  # else it is the one before
                return len(_models(api, name))
            if stage.endswith("ERROR") or stage in ("NO_APP_FILE", "STOPPED", "PAUSED", "DELETING"):
                say(_log(api, name, stage.startswith("BUILD")))
                raise SpaceNotRunning(space=name, stage=stage)
            time.sleep(POLL_S)
        raise SpaceNotRunning(space=name, stage=last)


def _refused(space: str, reason: str) -> PaddockError:
    return SpaceRefused(space=space, reason=reason)


def _make(api: HfApi, wanted: Wanted, say: Callable[[str], None]) -> set[str]:
    """The files that the Space already has; it is there afterwards, with its hardware, variables and secrets."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(
            wanted.name,
            repo_type="space",
            space_sdk="gradio",
            private=wanted.private,
            space_hardware=wanted.hardware,  # type: ignore[arg-type]
            space_variables=[{"key": key, "value": value} for key, value in wanted.variables.items()],
            space_secrets=[{"key": key, "value": value} for key, value in wanted.secrets.items()],
        )
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
    else:
        say(f"{wanted.name} is new")
        return set(api.list_repo_files(wanted.name, repo_type="space"))
    names = set(api.list_repo_files(wanted.name, repo_type="space"))
    if not looks_like_ours(names):
        raise SpaceNameTaken(space=wanted.name)
    say(f"{wanted.name} is brought up to date")
    if wanted.private is not None:
        api.update_repo_settings(wanted.name, private=wanted.private, repo_type="space")
    set_now = api.get_space_variables(wanted.name)
    for key, value in wanted.variables.items():
        if key not in set_now or set_now[key].value != value:  # each change restarts the Space
            api.add_space_variable(wanted.name, key, value)
    for key, value in wanted.secrets.items():
        api.add_space_secret(wanted.name, key, value)
    runtime = api.get_space_runtime(wanted.name)
    if wanted.hardware and wanted.hardware not in (runtime.requested_hardware, runtime.hardware):
        api.request_space_hardware(wanted.name, wanted.hardware)  # type: ignore[arg-type]
    return names


def _upload(api: HfApi, space: str, names: set[str], say: Callable[[str], None], root: Path) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    wanted = files(root)
    stale = sorted(name for name in names if is_ours(name) and name not in wanted)
    changes = [CommitOperationAdd(name, str(root / name)) for name in wanted]
    before = api.repo_info(space, repo_type="space").sha
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        commit = api.create_commit(
            space,
            [*changes, *(CommitOperationDelete(name) for name in stale)],
            repo_type="space",
            commit_message="Bring Paddock up to date",
        ).oid
    for warning in told:
        say(str(warning.message))
    say(f"nothing has changed: commit {commit[:12]}" if commit == before else f"uploaded as commit {commit[:12]}")
    return commit


def _models(api: HfApi, space: str) -> list[Any]:
    """What the running app answers at its endpoint /models."""
    from huggingface_hub import get_session

    host = api.space_info(space).host
    if not host:
        raise SpaceNotRunning(space=space, stage="RUNNING without an address")
    headers = {"authorization": f"Bearer {api.token}"}  # a private Space is open to its owner alone
    call = f"{host}/gradio_api/call/models"
    started = get_session().post(call, json={"data": []}, headers=headers, timeout=ASK_S)
    started.raise_for_status()
    answer = get_session().get(f"{call}/{started.json()['event_id']}", headers=headers, timeout=ASK_S)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    try:
        return list(json.loads(lines[-1])[0])
    except (IndexError, TypeError, ValueError):
        raise SpaceNotRunning(space=space, stage="RUNNING, but its endpoint /models gives no list") from None


def _log(api: HfApi, space: str, build: bool) -> str:
    """The end of what the Space printed, as far as it can be read."""
    try:
        lines = [line.rstrip() for line in api.fetch_space_logs(space, build=build)]
    except Exception:  # it only explains
        lines = []
    return "\n".join(lines[-LAST_LINES:]) or "It left no log."
