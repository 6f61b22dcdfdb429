"""Work in processes of their own that end with SIGKILL at the nth thing that they do to files, or the nth step."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

# The first of each is what is about to happen to a path; a process that is killed has not done it.
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
HEAVY = ["torch", "transformers", "gguf", "models.workshop.save", "models.workshop.convert", "models.workshop.to_gguf"]
HEAVY += ["models.workshop.push", "models.workshop.meta_fetch", "models.training.merge", __name__]
Step = Callable[[Any], None]


class Counter:
    """Counts what is done below a folder, and ends this process at the nth."""

    def __init__(self, root: Path, at: int) -> None:
        self.root, self.at, self.count = f"{root}{os.sep}", at, 0
        sys.addaudithook(self._hook)

    def tick(self, *_: object) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not str(arguments[0]).startswith(self.root):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.tick()


def context() -> ForkServerContext:
    """Processes that are forked from one that has the heavy libraries loaded, and has computed nothing."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(HEAVY)
    return found


def run(name: str, root: Path, at: int = 0, **given: Any) -> int:
    """Do the work of that name below a folder; returns how many things it did, or -9 once it was killed."""
    here, there = context().Pipe(duplex=False)
    process = context().Process(target=_work, args=(there, name, root, at, given))
    process.start()
    there.close()
    try:
        found = here.recv()
    except EOFError:
        found = 0
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{name} ended with {process.exitcode}"
    return -signal.SIGKILL if process.exitcode else int(found)


def _work(answer: Any, name: str, root: Path, at: int, given: dict[str, Any]) -> None:
    counter = Counter(root, at)
    WORK[name](root, counter.tick, **given)
    answer.send(counter.count)


def machine(root: Path) -> Any:
    """A Runtime whose models folder holds me/tiny, and whose adapters are `mine`."""
    from models.domain.settings import Settings
    from models.runtime import Runtime

    where = {"models_dir": str(root / "models"), "adapters_dir": str(root / "adapters")}
    return Runtime(Settings(cache_dir=str(root / "cache"), hub_ids=True, threads=1, **where))


def _save(root: Path, step: Step, spelling: str = "me/tiny@fp32") -> None:
    from models.domain.variant import Variant
    from models.workshop.save import save

    save(machine(root), Variant.parse(spelling), root / "made/out", 60_000, step)


def _convert(root: Path, step: Step) -> None:
    from models.workshop.convert import convert

    convert(root / "meta", root / "made/out", 200_000, step)


def _to_gguf(root: Path, step: Step) -> None:
    from models.domain.variant import Variant
    from models.workshop import to_gguf

    to_gguf.REFERENCE_TEXT = "Once upon a time there was a fox."
    to_gguf.to_gguf(machine(root), Variant.parse("me/tiny@fp32+mine"), "q8_0", root / "made/out.gguf", step)


def _adapter(root: Path, step: Step) -> None:
    from models.domain.variant import Variant
    from models.weights.adapters import sources
    from models.weights.adapters.gguf_file import as_gguf

    runtime = machine(root)
    card = runtime.card(Variant("me/tiny"))
    adapter = sources.fetch("mine", card, runtime.settings, step, lambda: False)
    as_gguf(adapter, card, "llama", runtime.settings)


def _fetch_meta(root: Path, step: Step, link: str) -> None:
    from models.workshop import meta_fetch, meta_parts
    from models.workshop.meta_link import Link
    from models.workshop.meta_models import meta_model

    meta_parts.PART, meta_parts.KEPT, meta_fetch.PIECE, meta_fetch.TICK_S = 64_000, 16_000, 8_000, 0.01
    meta_fetch.fetch_meta(meta_model("llama-2-13b"), Link(link), root / "made/out", 2, step)


def _push(root: Path, step: Step, url: str, token: str) -> None:
    from huggingface_hub import constants

    from models.domain.variant import Variant
    from models.workshop.push import Wanted, push_variant

    constants.ENDPOINT = url
    os.environ["HF_TOKEN"] = token
    wanted = Wanted("me/copy", licence="mit")
    push_variant(machine(root), Variant.parse("me/tiny@bf16+mine:0.5"), wanted, step, lambda what: None)


WORK: dict[str, Callable[..., None]] = {
    "save": _save,
    "convert": _convert,
    "to-gguf": _to_gguf,
    "adapter": _adapter,
    "fetch-meta": _fetch_meta,
    "push": _push,
}
