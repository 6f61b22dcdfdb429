"""Each command is killed at points spread over its work: nothing half has a name, and the same command finishes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lora_files import write_adapter

from models.engines.transformers.engine_thread import engine_thread

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside the tests
sys.path.insert(0, str(Path(__file__).parents[1] / "space"))

from fake_meta import FakeMeta
from fake_spaces import WRITER, FakeSpaces
from killing import run
from meta_files import tiny_llama, write_meta, write_sentence_piece
from test_fetch_meta import published
from tiny_tokenizers import sentence_piece

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked")
LOCKS = (".lock", ".paddock-fetch.lock")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A folder with a tiny model, an adapter of it, and a Llama of Meta's in two shards."""
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree(tiny_folder, root / "models/me/tiny")
    write_adapter(root / "adapters", "mine", seed=3, size=0.2)
    engine_thread().run(lambda: write_meta(tiny_llama(num_key_value_heads=8), root / "meta", 2))
    write_sentence_piece(sentence_piece(), root / "meta/tokenizer.model")
    (root / "made").mkdir()
    return root


def contents(folder: Path) -> dict[str, str]:
    """What each file holds, but for locks. The name of an adapter's file says of which inode it is made: left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(LOCKS)]
    names = [re.sub(r"-[0-9a-f]{16}\.gguf$", ".gguf", str(path.relative_to(folder))) for path in files]
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in zip(names, files, strict=True)}


def points(count: int, some: int) -> list[int]:
    """Numbers of things at which to kill: spread over all, and close to the end, where names are given."""
    spread = {1 + round(each * (count - 1) / some) for each in range(some)}
    return sorted(spread | set(range(max(1, count - 3), count + 1)))


def killed_and_finished(name: str, machine: Path, tmp_path: Path, some: int, made: str, **given: Any) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(machine, whole)
    count = run(name, whole, **given)
    assert count > 5
    expected = contents(whole / made)
    assert expected
    killed = 0
    for at in points(count, some):
        root = tmp_path / str(at)
        shutil.copytree(machine, root)
        killed += run(name, root, at, **given) == -signal.SIGKILL
        shown = contents(root / made) if (root / made).exists() else {}
        half = {each: shown[each] for each in shown if not each.startswith(".") and f"{os.sep}." not in each}
        assert half.items() <= expected.items(), f"killed at {at} of {count}, something half has a name"
        if (not (root / made / "out").exists() and not (root / made / "out.gguf").exists()) or name in RESUMES:
            run(name, root, **given)
        assert contents(root / made) == expected, f"killed at {at} of {count}, the second call did not finish"
        shutil.rmtree(root)
    assert killed > some // 2  # threads do not do the same number of things each time


RESUMES = ("fetch-meta", "adapter")  # they write into a folder that may be there, and ask what of it is whole
CASES = {
    "save": (6, "made", {}),
    "merged": (3, "made", {"spelling": "me/tiny@bf16+mine:0.5"}),
    "convert": (6, "made", {}),
    "to-gguf": (3, "made", {}),
    "adapter": (5, "cache/converted/adapters", {}),
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in ("merged", "to-gguf") else []) for case in CASES]
)
def test_it_finishes_after_it_was_killed(case: str, machine: Path, tmp_path: Path) -> None:
    some, made, given = CASES[case]
    killed_and_finished("save" if case == "merged" else case, machine, tmp_path, some, made, **given)


def test_a_download_finishes_after_it_was_killed(tmp_path: Path) -> None:
    meta, machine = FakeMeta(published()), tmp_path / "machine"
    machine.mkdir()
    try:
        killed_and_finished("fetch-meta", machine, tmp_path, 6, "made/out", link=meta.link())
    finally:
        meta.close()


@pytest.fixture
def hub() -> Iterator[FakeSpaces]:
    server = FakeSpaces()
    yield server
    server.close()


@pytest.mark.slow
def test_a_push_finishes_after_it_was_killed(hub: FakeSpaces, machine: Path, tmp_path: Path) -> None:
    given = {"url": hub.url, "token": WRITER}
    shutil.copytree(machine, tmp_path / "whole")
    count = run("push", tmp_path / "whole", **given)
    expected, nothing = hub.spaces["me/copy"].files, {".gitattributes", "README.md"}
    for at in points(count, 4):
        hub.spaces.clear()
        hub.stored.clear()
        root = tmp_path / str(at)
        shutil.copytree(machine, root)
        if run("push", root, at, **given) == -signal.SIGKILL:
            there = hub.spaces.get("me/copy")
            assert there is None or set(there.files) <= nothing or there.files == expected  # all in one commit
            run("push", root, **given)
        assert hub.spaces["me/copy"].files == expected
        assert not list((root / "cache/publishing").iterdir())
        shutil.rmtree(root)
