"""Meta's download against a server that signs, expires, counts and cuts; and the link is nowhere to be seen."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.__main__ import main
from models.domain.errors import (
    DiskFilled,
    DiskFull,
    MetaFileChanged,
    MetaFileDamaged,
    MetaFileTruncated,
    MetaLinkExpired,
    MetaLinkRefused,
    MetaLinkUnusable,
    MetaWrongModel,
    PaddockError,
    UnknownMetaModel,
)
from models.domain.messages import Progress
from models.workshop import meta_fetch, meta_parts
from models.workshop.meta_fetch import fetch_meta
from models.workshop.meta_link import Link
from models.workshop.meta_models import META_MODELS, meta_model

sys.path.insert(0, str(Path(__file__).parent))  # for the helper beside the tests

from fake_meta import SECRET, FakeMeta

ROOT = Path(__file__).parents[3]
MODEL = "llama-2-13b"
SHARDS = {f"{MODEL}/consolidated.{n:02}.pth": random.Random(n).randbytes(300_000 + n) for n in (0, 1)}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def published() -> dict[str, bytes]:
    files = {"LICENSE": b"the licence", "USE_POLICY.md": b"the policy", "tokenizer.model": b"pieces" * 99}
    files["tokenizer_checklist.chk"] = f"{md5(files['tokenizer.model'])}  tokenizer.model\n".encode()
    files[f"{MODEL}/params.json"] = b"{}"
    lines = [f"{md5(data)}  {path.split('/')[1]}" for path, data in {**SHARDS, f"{MODEL}/params.json": b"{}"}.items()]
    return files | SHARDS | {f"{MODEL}/checklist.chk": "\n".join(lines).encode()}


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMeta]:
    monkeypatch.setattr(meta_parts, "PART", 64_000)
    monkeypatch.setattr(meta_parts, "KEPT", 16_000)
    monkeypatch.setattr(meta_fetch, "PIECE", 8_000)
    monkeypatch.setattr(meta_fetch, "PAUSE_S", 0.0)
    server = FakeMeta(published())
    yield server
    server.close()


def fetch(meta: FakeMeta, folder: Path, parallel: int = 3, link: str = "") -> list[Progress]:
    steps: list[Progress] = []
    fetch_meta(meta_model(MODEL), Link(link or meta.link()), folder, parallel, steps.append)
    return steps


def whole(folder: Path) -> bool:
    return all((folder / path.split("/")[-1]).read_bytes() == data for path, data in published().items())


def fails(kind: type[PaddockError], meta: FakeMeta, folder: Path, match: str = ".", **how: Any) -> None:
    with pytest.raises(kind, match=match) as caught:
        fetch(meta, folder, **how)
    assert SECRET not in f"{caught.value} {caught.value.facts} {caught.value.__cause__!r}"
    for file in folder.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


def test_all_files_arrive_verified(meta: FakeMeta, tmp_path: Path) -> None:
    steps = fetch(meta, tmp_path / "out")
    assert whole(tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()} - {path.split("/")[-1] for path in published()}
    assert left == {meta_fetch.LOCK}
    assert meta.most_under_way <= 3
    assert all(method == "GET" for method, _, _ in meta.asked)  # as HEAD is refused
    download = [step for step in steps if step.total]
    assert download[-1].total == sum(map(len, SHARDS.values()))
    asked = len(meta.asked)
    stale = tmp_path / "out" / ".consolidated.00.pth.json"
    stale.write_text("{}")  # as a call leaves it that is killed when the file just has its name
    fetch(meta, tmp_path / "out")
    assert len(meta.asked) == asked + 2  # the lists of checksums: all else is here
    assert not stale.exists()


def test_cut_connections_are_taken_up(meta: FakeMeta, tmp_path: Path) -> None:
    meta.cut = [20_000, 0, 40_000, 7, 30_000]
    fetch(meta, tmp_path / "out")
    assert whole(tmp_path / "out")
    starts = [int(span.split("=")[1].split("-")[0]) for _, path, span in meta.asked if path in SHARDS]
    assert 20_000 in {start % 64_000 for start in starts}  # from where it broke off


def test_killed_and_run_again(meta: FakeMeta, tmp_path: Path) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    link.write_text(meta.link())
    meta.pause_s = 0.05
    code = (
        "import sys\nfrom models.workshop import meta_parts, meta_fetch\n"
        "meta_parts.PART, meta_parts.KEPT = 64_000, 16_000\nmeta_fetch.PIECE = 8_000\n"
        "from models.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "fetch-meta", MODEL, "--url-file", str(link), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    notes = out / ".consolidated.00.pth.json"
    until = time.monotonic() + 60
    while not (notes.is_file() and notes.read_text().count("16") > 1) and time.monotonic() < until:
        time.sleep(0.02)
    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/environ").read_bytes()
    process.send_signal(signal.SIGKILL)
    said = b"".join(process.communicate())
    assert SECRET.encode() not in shown + said
    assert not (out / "consolidated.00.pth").exists()
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in out.iterdir() if file.is_file())
    meta.pause_s = 0.0
    before = len(meta.asked)
    steps = fetch(meta, out)
    assert whole(out)
    spans = [span for _, path, span in meta.asked[before:] if path in SHARDS and span != "bytes=0-0"]
    starts = {int(span.split("=")[1].split("-")[0]) for span in spans}
    assert len(spans) < 10 or starts - set(range(0, 320_000, 64_000))  # some in the middle of a part
    assert next(step for step in steps if step.total).done > 0


def test_links_that_are_refused(meta: FakeMeta, tmp_path: Path) -> None:
    fails(MetaLinkExpired, meta, tmp_path, "good until", link=meta.link(lives_s=-5))
    assert meta.asked == []
    meta.most = 8  # after the small files
    fails(MetaLinkRefused, meta, tmp_path, "used up")
    fails(
        MetaLinkRefused, meta, tmp_path, "older than 24 hours", link=meta.link().replace("Signature=S", "Signature=T")
    )


def test_used_up_in_the_middle_goes_on_with_a_new_link(meta: FakeMeta, tmp_path: Path) -> None:
    meta.most = 14
    fails(MetaLinkRefused, meta, tmp_path)
    here = sum(file.stat().st_size > 0 for file in tmp_path.glob(".*.part"))
    assert here
    meta.most = 1000
    assert next(step for step in fetch(meta, tmp_path) if step.total).done > 0
    assert whole(tmp_path)


def test_a_link_for_other_models(meta: FakeMeta, tmp_path: Path) -> None:
    meta.files = {path: data for path, data in meta.files.items() if not path.startswith(MODEL)}
    fails(MetaWrongModel, meta, tmp_path, MODEL)
    elsewhere = meta.link().replace(meta.url, "https://llama3-1.llamameta.net")
    fails(MetaWrongModel, meta, tmp_path, link=elsewhere)


def test_a_file_that_always_ends_too_early(meta: FakeMeta, tmp_path: Path) -> None:
    meta.stop_at = {f"{MODEL}/consolidated.01.pth": 100_000}
    fails(MetaFileTruncated, meta, tmp_path, "consolidated.01.pth broke off at")
    assert not (tmp_path / "consolidated.01.pth").exists()
    meta.stop_at = {}
    fetch(meta, tmp_path)
    assert whole(tmp_path)


def test_a_file_that_changes_or_is_damaged(meta: FakeMeta, tmp_path: Path) -> None:
    path = f"{MODEL}/consolidated.00.pth"
    meta.stop_at = {path: 100_000}
    fails(MetaFileTruncated, meta, tmp_path)
    meta.stop_at = {}
    good = meta.files[path]
    meta.files[path] = good[:-1] + bytes([good[-1] ^ 1])  # now of another version: begun anew, and not as listed
    fails(MetaFileDamaged, meta, tmp_path, "consolidated.00.pth is damaged")
    assert not (tmp_path / "consolidated.00.pth").exists()
    assert not (tmp_path / ".consolidated.00.pth.part").exists()
    answer, asked = meta.answer, []

    def change(to: Any) -> None:
        asked.append(to.path)
        if len(asked) == 6:
            meta.files[path] = good + b"!"
        answer(to)

    meta.answer = change  # type: ignore[method-assign]
    fails(MetaFileChanged, meta, tmp_path, parallel=1)
    meta.answer, meta.files[path] = answer, good  # type: ignore[method-assign]
    fetch(meta, tmp_path)
    assert whole(tmp_path)
    (tmp_path / "consolidated.00.pth").write_bytes(good[:-1] + b"x")  # by somebody here
    fetch(meta, tmp_path)
    assert whole(tmp_path)


def test_a_full_disk(meta: FakeMeta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=500_000))
    fails(DiskFull, meta, tmp_path, "needs 600 kB and 500 kB are free")
    monkeypatch.undo()
    monkeypatch.setattr(meta_fetch, "PAUSE_S", 0.0)

    def full(self: Any, at: int, count: int, keep: bool) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(meta_parts.Download, "came", full)
        fails(DiskFilled, meta, tmp_path, "could not be written to the end")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not one line"),
        ("hello", "https"),
        ("https://download.llamameta.net/x?Policy=a&Signature=b&Key-Pair-Id=c", r"has no \*"),
        ("https://download.llamameta.net/*?Policy=SIGNED", "cut off: it has no Signature"),
        ("http://download.llamameta.net/*?Policy=a&Signature=b&Key-Pair-Id=c", "https"),
    ],
)
def test_what_is_no_link(text: str, match: str) -> None:
    with pytest.raises(MetaLinkUnusable, match=match) as caught:
        Link(text)
    assert SECRET not in str(caught.value)


def test_the_link_is_never_shown(meta: FakeMeta) -> None:
    link = Link(meta.link())
    assert SECRET not in f"{link!r} {link}"
    with pytest.raises(Exception, match="403") as caught:
        link.get("nowhere")
    assert SECRET not in repr(caught.getrepr()) + str(caught.getrepr(style="long", chain=True, showlocals=False))


def test_command(meta: FakeMeta, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fetch-meta", MODEL, "--url-file", meta.link()]) == 1
    assert "given as an argument" in (said := capsys.readouterr().err)
    assert SECRET not in said
    done = subprocess.run(
        [sys.executable, "-m", "models", "fetch-meta", MODEL, "--url-file", "-", "--out", str(tmp_path / "out")],
        cwd=ROOT, input=meta.link(), capture_output=True, text=True, env=os.environ | {"HF_DEBUG": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert f"download {MODEL}" in done.stderr
    assert whole(tmp_path / "out")


def test_the_table_of_models() -> None:
    assert {f"llama-2-{size}{kind}" for size in ("7b", "13b", "70b") for kind in ("", "-chat")} <= META_MODELS.keys()
    assert [path for _, path in META_MODELS["llama-3-8b-instruct"].large] == [
        "8b_instruction_tuned/consolidated.00.pth"
    ]
    assert META_MODELS["llama-3.1-70b"].large[7] == ("consolidated.07.pth", "Llama-3.1-70B/consolidated.07.pth")
    assert META_MODELS["llama-3.1-70b"].small[0] == ("checklist.chk", "Llama-3.1-70B/checklist.chk")
    with pytest.raises(UnknownMetaModel, match="llama-2-7b"):
        meta_model("llama-9")
