"""A variant, a folder or a GGUF file as a repository of the Hub, with a card that says what it is made of."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .. import loading
from ..compute.background import OnProgress, exhausted
from ..domain.errors import CannotPublish, PaddockError
from ..domain.load import Snapshot
from ..domain.variant import AUTO, Variant
from ..runtime import Runtime
from ..system.files import digest_of, file_state
from ..training.made import Made
from ..training.merge import MODES as PLAIN
from ..weights.sharing import safe_name
from . import hub_upload
from .card_training import is_pretraining
from .licences import UNKNOWN, require
from .model_card import Card
from .origin import LOCAL, origin
from .package import package_of, with_base
from .save import save

LICENCE_FILE, CARD = "LICENSE", "README.md"
SENT = ".sent-"  # begins the name of what is being removed
SHARD = 5_000_000_000  # bytes of a file of weights, as everywhere
_NOT_IN_NAMES = r"[^\w.@+-]"  # of folders, as a colon on some systems
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


@dataclass(frozen=True)
class Wanted:
    """Where it goes, and what the operator states of it where nothing is noted: its base, and that one's licence."""

    repo: str
    private: bool = False
    base: str = ""
    licence: str = ""
    licence_file: Path | None = None


@dataclass(frozen=True)
class Publication:
    """All that would be sent: files by their names, the card among them; and what of the folder would not."""

    repo: str
    files: dict[str, Path | bytes]
    left_out: tuple[str, ...]
    card: str

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by name."""
        return {
            name: len(each) if isinstance(each, bytes) else each.stat().st_size for name, each in self.files.items()
        }


def publication(runtime: Runtime, path: Path, wanted: Wanted) -> Publication:
    """What a folder or a GGUF file is published as; asks nobody but for the card of a base that is not known here.

    Raises CannotPublish, CorruptWeights, UnsafeWeights.
    """
    _check_name(wanted.repo)
    package = package_of(path)
    if wanted.base and package.is_from_nothing and package.made is None:
        reason = "it was trained from nothing, so it has no base"
        raise CannotPublish(what=package.name, reason=reason, suggestion="Leave --base out.")
    base = _base(package.name, package.base, package.is_from_nothing, wanted)
    licence = _licence(runtime, package.made, base, wanted)
    files: dict[str, Path | bytes] = dict(package.files)
    if wanted.licence_file:
        if not wanted.licence_file.is_file():
            reason = "the file of --licence-file is not there"
            raise CannotPublish(what=package.name, reason=reason, suggestion="Name another file.")
        files[LICENCE_FILE] = wanted.licence_file
        package = replace(package, files=package.files | {LICENCE_FILE: wanted.licence_file})
    terms = require(licence, base, wanted.repo, package.has_terms, package.name)
    if base:
        files |= with_base(package, base)
    card = Card(wanted.repo, package, base, terms).text()
    return Publication(wanted.repo, files | {CARD: card.encode()}, package.left_out, card)


def push(runtime: Runtime, what: Publication, private: bool, on_progress: OnProgress) -> str:
    """Send it; returns the commit. The same call after one that was cut off sends what has not arrived yet.

    Raises NoHubToken, NoWriteAccess, CannotPublish, PushRefused, UploadBroken.
    """
    return hub_upload.upload(what.repo, private, what.files, on_progress)


def push_variant(
    runtime: Runtime, variant: Variant, wanted: Wanted, on_progress: OnProgress, say: Callable[[Publication], None]
) -> str:
    """Write a variant's weights beside our conversions, adapters merged, send them, and remove them again.

    Cut off in either half, the same call goes on. Raises what `save` and `push` do.
    """
    allowed(runtime, variant, wanted)
    folder = _work_folder(runtime, variant, on_progress)
    if not folder.exists():
        save(runtime, variant, folder, SHARD, on_progress)
    what = publication(runtime, folder, wanted)
    say(what)
    commit = push(runtime, what, wanted.private, on_progress)
    # It loses its name at once: of a call that is killed meanwhile no half is taken for whole.
    os.replace(folder, folder.with_name(f"{SENT}{folder.name}"))
    for sent in folder.parent.glob(f"{SENT}*"):
        shutil.rmtree(sent, ignore_errors=True)
    return commit


def allowed(runtime: Runtime, variant: Variant, wanted: Wanted) -> None:
    """Raise CannotPublish for a variant that its licence, as far as it is known, does not let be published.

    Whether its text lies beside the weights is seen once they are here.
    """
    _check_name(wanted.repo)
    made = origin(runtime, variant, "")
    base = _base(str(variant), made.base, is_pretraining(made.training), wanted)
    require(_licence(runtime, made, base, wanted), base, wanted.repo, True, str(variant))


def _base(what: str, noted: str, from_nothing: bool, wanted: Wanted) -> str:
    """The Hub id of what it is made of; empty for what was trained from nothing."""
    base = wanted.base or noted
    if not base and from_nothing:
        return ""
    if base.startswith(LOCAL):
        raise CannotPublish(
            what=what,
            reason=f"{base[:80]} lies on this machine only, where nobody else finds it",
            suggestion="Publish that model first, and name its Hub id here with --base.",
        )
    if not _HUB_ID.fullmatch(base) or Path(base).exists():
        known = f"“{base[:80]}” is no Hub id" if base else "of what it is made is not noted"
        raise CannotPublish(what=what, reason=known, suggestion="Name the Hub id of its base with --base.")
    return base


def _work_folder(runtime: Runtime, variant: Variant, on_progress: OnProgress) -> Path:
    """Where a variant is written: another place for other contents of its files."""
    card = runtime.card(variant)
    mode = PLAIN[0] if variant.quantization == AUTO and variant.adapters else variant.quantization
    resolved, _ = runtime.resolve(variant.resolved(mode), card)
    snapshot: Snapshot = runtime.fetch(resolved.without_adapters, on_progress)
    beside = exhausted(loading.fetched_adapters(resolved, card, runtime.settings, None), on_progress)
    root = Path(snapshot.path)
    states = {path.name: file_state(path) for path in (root.iterdir() if root.is_dir() else [root]) if path.is_file()}
    states |= {f"adapter {each.adapter.name}": file_state(Path(each.adapter.file)) for each in beside}
    name = f"{re.sub(_NOT_IN_NAMES, '-', safe_name(str(variant)))[:80]}-{digest_of(states)[:16]}"
    return runtime.settings.cache / "publishing" / name


def _licence(runtime: Runtime, made: Made | None, base: str, wanted: Wanted) -> str:
    """That of the base, as the catalog or the Hub states it; else what was noted; else what the operator states."""
    if not base:
        return wanted.licence
    card = next((card for card in runtime.catalog.values() if card.hub_id == base), None)
    found = card.licence if card else ""
    if _is_unknown(found) and made and made.base == base:
        found = made.licence
    if _is_unknown(found):
        found = _asked(runtime, base)
    return wanted.licence if _is_unknown(found) else found


def _asked(runtime: Runtime, base: str) -> str:
    try:
        return runtime.card(Variant(base)).licence
    except PaddockError:  # then nothing is known, which is said
        return ""


def _is_unknown(licence: str) -> bool:
    return licence.lower() in UNKNOWN


def _check_name(repo: str) -> None:
    if not _HUB_ID.fullmatch(repo):
        raise CannotPublish(what=repo[:80], reason="it is not OWNER/NAME", suggestion="Spell it like me/my-model.")
