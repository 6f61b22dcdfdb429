"""What is asked of the Hub about models; what comes lands in the ordinary Hub cache."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from ...domain.adapters import FoundAdapter
from ...domain.catalog import part_names
from ...domain.errors import CorruptWeights, HubUnreachable, NotOnHub, NotSignedIn
from ..sharing import Visit
from ..verify import checkpoints, checks
from ..verify.checksums import discarding
from ..verify.file_names import CHAT_TEMPLATES, CONFIG, INDEX, LARGEST_INDEX, wanted_names, weight_files
from . import access
from .question import Question, Repository, ask
from .revisions import cache_folder


def fetch(repo: str, revision: str | None, file: str | None, visit: Visit, checkpoint: str = "") -> str:
    """Download one file, or a whole safetensors model when `file` is None; returns the commit that it got.

    `checkpoint` is the mode that a whole model has to be quantized for. Raises UnsafeWeights, DiskFull, and as `ask`.
    """

    def work(question: Question) -> str:
        found = question.look_up(revision)
        names = part_names(file) if file else _names(question, found, checkpoint)
        if lacks := [name for name in names if name not in found.sizes]:
            raise NotOnHub(what=f"file {lacks[0]} in {repo}")
        question.download(found, names, shown=True)
        return found.commit

    return ask(work, repo, visit, downloading=True)


def look_up(repo: str, revision: str | None, visit: Visit) -> Repository:
    """What the Hub says of a model, whose settings are downloaded, without its weights, and checked."""

    def work(question: Question) -> Repository:
        found = question.look_up(revision)
        wanted_names(found.sizes, repo)
        small = [name for name in ("tokenizer_config.json", *CHAT_TEMPLATES) if name in found.sizes]
        question.download(found, [CONFIG, *small])
        read_config(found.folder, repo)
        return found

    return ask(work, repo, visit)


def file_sizes(repo: str, revision: str | None, visit: Visit) -> dict[str, int]:
    """Bytes of each file of a repository; raises as `ask`."""
    return ask(lambda question: question.look_up(revision).sizes, repo, visit)


def adapters_for(base: str, limit: int, visit: Visit) -> list[FoundAdapter]:
    """The adapters that the Hub has registered for a model, most downloaded first."""

    def work(question: Question) -> list[FoundAdapter]:
        found = question.api().list_models(
            filter=f"base_model:adapter:{base}",
            sort="downloads",
            limit=limit,
            expand=["downloads", "likes", "lastModified"],
            token=visit.token or False,  # the operator's would list their private ones
        )
        return [FoundAdapter(one.id, one.downloads or 0, one.likes or 0, _day(one.last_modified)) for one in found]

    return ask(work, base, visit)


def prove_access(repo: str, visit: Visit) -> None:
    """Raise GatedModel, NotOnHub or HubUnreachable unless the visitor's own token may read the repository."""
    if visit.token is None:
        raise NotSignedIn(model=repo)
    if not access.hub_reachable(visit.settings):
        raise HubUnreachable(model=repo)
    ask(lambda question: question.api().auth_check(repo), repo, visit)


def diagnose(repo: str, revision: str | None, visit: Visit) -> None:
    """Raise what keeps a visitor from a repository at a revision: as `ask`, HubUnreachable for no answer at all."""
    if not access.hub_reachable(visit.settings):
        raise HubUnreachable(model=repo)

    def work(question: Question) -> None:
        if question.look_up(revision).closed:
            question.api().auth_check(repo)

    ask(work, repo, visit)


def read_config(folder: Path, repo: str) -> dict[str, Any]:
    """The config.json of a repository in the Hub cache; a broken one is discarded. Raises what the checks raise."""
    with discarding(folder, cache_folder()):
        return checks.read_config(folder, repo)


def _names(question: Question, found: Repository, checkpoint: str) -> list[str]:
    """The files of a whole model, whose settings are checked; only an index knows what its files are called."""
    names = wanted_names(found.sizes, question.repo)
    question.download(found, [CONFIG])
    checkpoints.check_mode(read_config(found.folder, question.repo), question.repo, checkpoint)
    if names[-1] != INDEX:
        return names
    if found.sizes[INDEX] > LARGEST_INDEX:
        raise CorruptWeights(file=INDEX, reason=f"it has {found.sizes[INDEX]:,} bytes, more than {LARGEST_INDEX:,}")
    question.download(found, [INDEX])
    with discarding(found.folder, cache_folder()):
        return [*names, *weight_files(found.sizes, found.folder)]


def _day(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d}" if time else ""
