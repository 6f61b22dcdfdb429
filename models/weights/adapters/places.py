"""Adapters on this machine: where they may lie, and the checks, once for each content of the files."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...domain.errors import CorruptWeights, DiscardedWeights
from ...domain.load import Adapter
from ...domain.lora import LoraConfig
from ...domain.settings import Settings
from ...system.files import read_json, state_of
from ..hub import revisions
from ..sharing import Visit
from ..verify import checked_files, checks
from ..verify.checksums import check_sha256, refused
from . import checks as adapter_checks
from .bases import Base
from .checks import CONFIG, WEIGHTS, Checked

REPORT = "training.json"  # beside an adapter that was trained here: how

FINETUNED = Path(__file__).resolve().parents[2] / "finetuned"  # the adapters that come with the app
RULES = 1  # goes up with the checks, so that what passed by older ones is looked at again


@dataclass(frozen=True)
class Source:
    """Where an adapter's files are: a folder here, or a repository of the Hub at a revision."""

    folder: Path | None = None
    repo: str = ""
    revision: str | None = None


@dataclass(frozen=True)
class Wanted:
    """An adapter for a base, and who waits for it; the visit has its name."""

    base: Base
    visit: Visit

    @property
    def name(self) -> str:
        return self.visit.name

    @property
    def settings(self) -> Settings:
        return self.visit.settings

    @property
    def purpose(self) -> str:
        """For what its files are checked: for any base of this shape."""
        shape = self.base.shape
        modules = repr((*self.base.modules.items(), shape.vocabulary, shape.hidden))
        return f"adapter {RULES} for {hashlib.sha256(modules.encode()).hexdigest()}"


def largest(settings: Settings) -> int:
    """The bytes that an adapter's file may have."""
    return int(settings.adapter_mb * 1e6)


def in_hub_cache(source: Source, settings: Settings) -> Path | None:
    """The folder of a repository in the Hub cache that holds an adapter's config at least."""
    folder = revisions.snapshot_folder(source.repo, source.revision, settings)
    return folder if folder is not None and (folder / CONFIG).is_file() else None


def known_good(folder: Path, wanted: Wanted, inside: Path | None = None) -> Adapter | None:
    """The adapter of a folder whose files are as they were when they passed the checks; about a millisecond.

    Raises AdapterRefused when its file is larger than it may be.
    """
    noted = checked_files.noted(wanted.settings, folder, wanted.purpose)
    if noted is None:
        return None
    adapter_checks.check_size((folder / WEIGHTS).stat().st_size, wanted.name, largest(wanted.settings))
    with adapter_checks.refusals(wanted.name):
        for file in (CONFIG, WEIGHTS):
            checks.check_link(folder / file, inside, wanted.name)
        config = adapter_checks.read_config(folder, wanted.name, wanted.base)
    return here(folder, wanted, config, int(noted.facts["parameters"]))


def accept(folder: Path, wanted: Wanted, repo: str = "") -> Adapter:
    """Check a folder in full unless it is known to be good, and remember the result.

    `repo` is that of a folder in the Hub cache. Raises AdapterRefused; DiscardedWeights after a file that is not what
    the Hub published was removed.
    """
    inside, hashing = revisions.cache_folder() if repo else None, wanted.visit.hashing
    if known := known_good(folder, wanted, inside):
        return known
    try:
        checked = adapter_checks.check_folder(
            folder,
            wanted.name,
            wanted.base,
            largest(wanted.settings),
            inside,
            lambda path: check_sha256(path, hashing(path)) if repo else None,
            hashing(folder / WEIGHTS),
        )
    except CorruptWeights as fault:
        checked_files.forget(wanted.settings, folder)
        file = folder / fault.facts["file"]
        error = refused(fault, file, inside, hashing(file)) if inside else fault
        if isinstance(error, DiscardedWeights):
            raise error from None
        with adapter_checks.refusals(wanted.name):
            raise error from None
    return remember(folder, wanted, checked)


def remember(folder: Path, wanted: Wanted, checked: Checked) -> Adapter:
    """Note that a folder passed the checks for a base of this shape."""
    files = [folder / path.name for path in checked.files]
    checked_files.remember(wanted.settings, folder, files, wanted.purpose, parameters=checked.parameters)
    return here(folder, wanted, checked.config, checked.parameters)


def here(folder: Path, wanted: Wanted, config: LoraConfig, parameters: int) -> Adapter:
    """A checked adapter on this machine."""
    path, warning = folder / WEIGHTS, adapter_checks.warning(config, wanted.base)
    return Adapter(wanted.name, config, parameters, str(path), state_of([path]), warning, _trained_on(folder))


def _trained_on(folder: Path) -> tuple[str, ...]:
    """The adapters that acted on the base of one that was trained here, by what its training.json says."""
    on = read_json(folder / REPORT).get("on")
    return tuple(name[:200] for name in on if isinstance(name, str)) if isinstance(on, list) else ()


def elsewhere(folder: Path, wanted: Wanted, parameters: int) -> Adapter:
    """An adapter of which only the config is here; raises AdapterRefused, CorruptWeights."""
    config = adapter_checks.read_config(folder, wanted.name, wanted.base)
    return Adapter(wanted.name, config, parameters, warning=adapter_checks.warning(config, wanted.base))


def known_on_hub(source: Source, wanted: Wanted) -> Adapter | None:
    """What an earlier look noted of an adapter whose weights are not here; raises AdapterRefused."""
    folder = in_hub_cache(source, wanted.settings)
    facts = revisions.recorded(wanted.settings, source.repo, source.revision)
    if folder is None or "adapter_bytes" not in facts or folder.name != facts["commit"]:
        return None
    adapter_checks.check_size(facts["adapter_bytes"], wanted.name, largest(wanted.settings))
    with suppress(CorruptWeights):  # then it is fetched anew
        return elsewhere(folder, wanted, facts["adapter_parameters"])
    return None
