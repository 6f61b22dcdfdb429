"""A package as a repository of the Hub: checksums first, one large file after another, then one commit of all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from ..domain.errors import CannotPublish, PaddockError, PushRefused
from ..domain.messages import Progress
from ..weights.hub.writing import told, writing_api

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

OnProgress = Callable[[Progress], None]
# In a repository that is not ours to write over: what a model, an adapter or a GGUF file is known by.
EMPTY = frozenset((".gitattributes", ".gitignore", "README.md"))


def upload(repo: str, private: bool, files: dict[str, Path | bytes], on_progress: OnProgress) -> str:
    """Have the repository with these files, in one commit; returns it.

    The same call after one that was cut off sends only what has not arrived. In a repository that is there already
    other files stay; one that holds something of another kind is refused.
    Raises NoHubToken, NoWriteAccess, CannotPublish, PushRefused, UploadBroken.
    """
    with told(repo, _refused):
        api = writing_api()
        _have(api, repo, private, files)
        adds = _hashed(files, on_progress)
        _send(api, repo, adds, on_progress)
        return str(api.create_commit(repo, adds, commit_message="Publish with Paddock").oid)


def _refused(repo: str, reason: str) -> PaddockError:
    return PushRefused(repo=repo, reason=reason)


def _have(api: HfApi, repo: str, private: bool, files: dict[str, Path | bytes]) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(repo, private=private)
        return
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
    held = set(api.list_repo_files(repo))
    if not held <= EMPTY and not held & (files.keys() - EMPTY):
        raise CannotPublish(
            what=repo,
            reason=f"it is there already, and holds other files, like {min(held - EMPTY)}",
            suggestion="Nothing was changed; pick another name.",
        )
    if private:
        api.update_repo_settings(repo, private=True)


def _hashed(files: dict[str, Path | bytes], on_progress: OnProgress) -> list[CommitOperationAdd]:
    from huggingface_hub import CommitOperationAdd

    step, adds = _Steps("hash", sum(map(_size, files.values())), on_progress), []
    for name, content in files.items():
        with _opened(content, step.of(name)) as file:
            add = CommitOperationAdd(name, file)
        add.path_or_fileobj = content if isinstance(content, bytes) else str(content)
        adds.append(add)
        step.done += _size(content)
    return adds


def _send(api: HfApi, repo: str, adds: list[CommitOperationAdd], on_progress: OnProgress) -> None:
    """Send what is large, one after another, so that all that arrived is known to the Hub if this is cut off."""
    step = _Steps("upload", sum(add.upload_info.size for add in adds), on_progress)
    for add in adds:
        content, at = add.path_or_fileobj, step.of(add.path_in_repo)
        with _opened(content if isinstance(content, bytes) else Path(str(content)), at) as file:
            add.path_or_fileobj = file
            api.preupload_lfs_files(repo, [add], free_memory=False)
        add.path_or_fileobj = content
        step.done += add.upload_info.size
        at(0)


@dataclass
class _Steps:
    """How far several files are, one after another; `done` are the bytes of those that are behind."""

    stage: Literal["hash", "upload"]
    total: int
    on_progress: OnProgress
    done: int = 0

    def of(self, name: str) -> Callable[[int], None]:
        """What a file calls with how far it has been read."""
        return lambda at: self.on_progress(Progress(self.stage, self.done + at, self.total, "bytes", name))


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


@contextmanager
def _opened(content: Path | bytes, at: Callable[[int], None]) -> Iterator[BinaryIO]:
    if isinstance(content, bytes):
        yield io.BytesIO(content)
        return
    with _Watched(io.FileIO(content), at) as file:
        yield file


class _Watched(io.BufferedReader):
    """A file that says how far it has been read."""

    def __init__(self, raw: io.FileIO, at: Callable[[int], None]) -> None:
        super().__init__(raw, 1 << 20)
        self._at = at

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._at(self.tell())
        return found
