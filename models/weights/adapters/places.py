"""Adapters on this machine: where they may lie, and the checks, once for each content of the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...domain.errors import CorruptWeights, DiscardedWeights
from ...domain.file_state import state_of
from ...domain.lora import LoraConfig
from ...domain.settings import Settings
from ...domain.snapshot import Adapter
from ..hub import client as hub
from ..hub import revisions
from ..places import snapshot_folder
from ..sharing import Reporter
from ..verify import checks, markers
from ..verify.checksums import check_sha256, linked_sha256
from ..verify.discard import refused
from . import checks as adapter_checks
from .bases import Base
from .checks import CONFIG, WEIGHTS, Checked

FINETUNED = Path(__file__).resolve().parents[2] / "finetuned"  # the adapters that come with the app
RULES = 1  # goes up with the checks, so that what passed by older ones is looked at again


@dataclass(frozen=True)
class Source:
    """Where an adapter's files are: a folder here, or a repository of the Hub at a revision."""

    folder: Path | None = None
    repo: str = ""
    revision: str | None = None


def largest(settings: Settings) -> int:
    """The bytes that an adapter's file may have."""
    return int(settings.adapter_mb * 1e6)


def in_hub_cache(source: Source, settings: Settings) -> Path | None:
    """The folder of a repository in the Hub cache that holds an adapter's config at least."""
    folder = snapshot_folder(source.repo, source.revision, settings)
    return folder if folder is not None and (folder / CONFIG).is_file() else None


def known_good(folder: Path, name: str, base: Base, settings: Settings, inside: Path | None = None) -> Adapter | None:
    """The adapter of a folder whose files are as they were when they passed the checks; about a millisecond.

    Raises AdapterRefused when its file is larger than it may be.
    """
    noted = markers.noted(settings, folder, _purpose(base))
    if noted is None:
        return None
    adapter_checks.check_size((folder / WEIGHTS).stat().st_size, name, largest(settings))
    with adapter_checks.refusals(name):
        for file in (CONFIG, WEIGHTS):
            checks.check_link(folder / file, inside, name)
        config = adapter_checks.read_config(folder, name, base)
    return here(folder, name, config, int(noted.facts["parameters"]), base)


def accept(folder: Path, name: str, base: Base, settings: Settings, reporter: Reporter, repo: str = "") -> Adapter:
    """Check a folder in full unless it is known to be good, and remember the result.

    `repo` is that of a folder in the Hub cache. Raises AdapterRefused; DiscardedWeights after a file that is not what
    the Hub published was removed.
    """
    inside = hub.cache_folder() if repo else None
    known = known_good(folder, name, base, settings, inside)
    if known is not None:
        return known
    size = (folder / WEIGHTS).stat().st_size if (folder / WEIGHTS).is_file() else 0
    try:
        checked = adapter_checks.check_folder(
            folder,
            name,
            base,
            largest(settings),
            inside,
            lambda path: _check_published(path, reporter) if repo else None,
            reporter.hashing(WEIGHTS, size),
        )
    except CorruptWeights as fault:
        file = folder / fault.facts["file"]
        if repo and file.is_file():
            fault = refused(fault, file, hub.cache_folder(), reporter.hashing(file.name, file.stat().st_size))
        markers.forget(settings, folder)
        if isinstance(fault, DiscardedWeights):
            raise fault from None
        with adapter_checks.refusals(name):
            raise fault from None
    remember(folder, checked, base, settings)
    return here(folder, name, checked.config, checked.parameters, base)


def remember(folder: Path, checked: Checked, base: Base, settings: Settings) -> None:
    """Note that a folder passed the checks for a base of this shape."""
    files = [folder / path.name for path in checked.files]
    markers.remember(settings, folder, files, _purpose(base), parameters=checked.parameters)


def here(folder: Path, name: str, config: LoraConfig, parameters: int, base: Base) -> Adapter:
    """A checked adapter on this machine."""
    path = folder / WEIGHTS
    warning = adapter_checks.warning(config, base)
    return Adapter(name, config, parameters, str(path), state_of([path]), warning)


def known_on_hub(source: Source, name: str, base: Base, settings: Settings) -> Adapter | None:
    """What an earlier look noted of an adapter whose weights are not here; raises AdapterRefused."""
    folder = in_hub_cache(source, settings)
    facts = revisions.recorded(settings, source.repo, source.revision)
    if folder is None or "adapter_bytes" not in facts or folder.name != facts["commit"]:
        return None
    adapter_checks.check_size(facts["adapter_bytes"], name, largest(settings))
    try:
        config = adapter_checks.read_config(folder, name, base)
    except CorruptWeights:
        return None  # it is fetched anew
    return Adapter(name, config, facts["adapter_parameters"], warning=adapter_checks.warning(config, base))


def _purpose(base: Base) -> str:
    return f"adapter {RULES} for {base.shape} {base.fused}"


def _check_published(path: Path, reporter: Reporter) -> None:
    sha256 = linked_sha256(path)
    if sha256:
        check_sha256(path, sha256, reporter.hashing(path.name, path.stat().st_size))
