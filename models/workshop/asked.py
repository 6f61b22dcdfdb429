"""One piece of work in the workshop as data, and what it says when it is done: for whoever asks it of a server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..compute.background import OnProgress
from ..domain.errors import BadSize, NothingNamed, PaddockError, WorkshopError
from ..domain.messages import Progress
from ..domain.units import byte_count, size
from ..domain.variant import Variant
from ..runtime import Runtime

Action = Literal["show", "to-gguf", "save", "convert", "push"]
KINDS = ("q4_k_m", "q5_k_m", "q6_k", "q8_0", "f16", "bf16", "f32")  # of a GGUF file, the usual one first


@dataclass(frozen=True)
class Asked:
    """What shall be done: with a path on the server, or with a variant where there is none."""

    action: Action
    variant: str = ""
    path: str = ""
    out: str = ""
    kind: str = KINDS[0]
    shard: str = "5GB"
    repo: str = ""
    private: bool = True
    only_show: bool = True  # of push: the card and the files, and nothing is sent
    base: str = ""
    licence: str = ""
    licence_file: str = ""


class Stopped(Exception):
    """Whoever asked has had enough."""


def do(runtime: Runtime, asked: Asked, on_progress: OnProgress) -> list[str]:
    """Do it; returns what there is to read. Raises what its command raises, and NothingNamed."""
    return _WORK[asked.action](runtime, asked, on_progress)


def _show(runtime: Runtime, asked: Asked, on_progress: OnProgress) -> list[str]:
    from .listing import files_of, listed
    from .tree import tree

    path = _path(asked.path) if asked.path else files_of(runtime, _variant(asked))
    return [*tree(listed(path))]


def _to_gguf(runtime: Runtime, asked: Asked, on_progress: OnProgress) -> list[str]:
    from .to_gguf import to_gguf

    out = _path(_named(asked.out, "the file to write"))
    found = to_gguf(runtime, _variant(asked), asked.kind, out, on_progress)
    return [
        str(out),
        f"{size(found.bytes)}, {found.bits:.2f} bits a parameter",
        f"perplexity {found.perplexity:.3f}, of its source {found.source:.3f}",
        f"same next token {100 * found.agreement:.1f} %",
    ]


def _save(runtime: Runtime, asked: Asked, on_progress: OnProgress) -> list[str]:
    from .save import save

    out = _path(_named(asked.out, "the folder to write"))
    save(runtime, _variant(asked), out, _bytes(asked.shard), on_progress)
    return _written(out)


def _convert(runtime: Runtime, asked: Asked, on_progress: OnProgress) -> list[str]:
    from .convert import convert

    source = _path(_named(asked.path, "the folder with Meta's files"))
    out = _path(_named(asked.out, "the folder to write"))
    convert(source, out, _bytes(asked.shard), on_progress)
    return _written(out)


def _push(runtime: Runtime, asked: Asked, on_progress: OnProgress) -> list[str]:
    from .push import Publication, Wanted, allowed, publication, push, push_variant

    terms = _path(asked.licence_file) if asked.licence_file else None
    wanted = Wanted(asked.repo.strip(), asked.private, asked.base.strip(), asked.licence.strip(), terms)
    said: list[str] = []

    def say(what: Publication) -> None:
        said.extend(f"{count:>14,}  {name}" for name, count in what.sizes.items())
        said.extend(f"{'left out':>14}  {name}" for name in what.left_out)

    if not asked.path:
        variant = _variant(asked)
        if asked.only_show:
            allowed(runtime, variant, wanted)
            return [f"{variant} -> {wanted.repo}"]
        push_variant(runtime, variant, wanted, on_progress, say)
    else:
        what = publication(runtime, _path(asked.path), wanted)
        say(what)
        if asked.only_show:
            return [*said, "", *what.card.splitlines()]
        push(runtime, what, wanted.private, on_progress)
    return [f"https://huggingface.co/{wanted.repo}", *said]


_WORK: dict[Action, Callable[[Runtime, Asked, OnProgress], list[str]]] = {
    "show": _show,
    "to-gguf": _to_gguf,
    "save": _save,
    "convert": _convert,
    "push": _push,
}


def _variant(asked: Asked) -> Variant:
    return Variant.parse(asked.variant)


def _path(text: str) -> Path:
    return Path(text.strip()).expanduser().absolute()


def _bytes(text: str) -> int:
    try:
        return byte_count(text)
    except ValueError:
        raise BadSize(text=text[:40]) from None


def _named(text: str, what: str) -> str:
    if not text.strip():
        raise NothingNamed(what=what)
    return text


def _written(out: Path) -> list[str]:
    return [str(out), *(f"{file.stat().st_size:>14,}  {file.name}" for file in sorted(out.iterdir()) if file.is_file())]


@dataclass
class Work:
    """What a server is doing, or has done last, in the workshop."""

    asked: Asked
    step: Progress | None = None
    lines: list[str] = field(default_factory=list)
    error: PaddockError | None = None
    stopped: bool = False
    ended: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


class Bench:
    """One piece of work at a time, in a thread of its own: it goes on while nobody looks."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._lock = runtime, threading.Lock()
        self.work: Work | None = None

    def begin(self, asked: Asked) -> bool:
        """Start it; False where something is still being done."""
        with self._lock:
            if self.work and not self.work.ended:
                return False
            self.work = Work(asked)
            threading.Thread(target=self._do, args=(self.work,), name="workshop", daemon=True).start()
            return True

    def stop(self) -> None:
        """Have what is being done end at its next step."""
        if self.work:
            self.work.stop.set()

    def _do(self, work: Work) -> None:
        def step(progress: Progress) -> None:
            work.step = progress
            if work.stop.is_set():
                raise Stopped

        try:
            work.lines = do(self._runtime, work.asked, step)
        except Stopped:
            work.stopped = True
        except PaddockError as error:
            # What a library wraps while we end it is no error.
            work.stopped, work.error = work.stop.is_set(), None if work.stop.is_set() else error
        except Exception as error:  # a fault of ours ends the work, and is said
            work.error = WorkshopError(detail=f"{type(error).__name__}: {error}"[:300])
        finally:
            work.ended = True
