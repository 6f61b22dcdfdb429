"""Meta's shards become a Hugging Face folder bit by bit, and what a kill leaves is taken up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_tokenizers
import torch

from models.__main__ import main
from models.domain.errors import BadCheckpoint, CorruptWeights, DiskFull, OutputExists, UnsafePickle
from models.domain.messages import Progress
from models.workshop import convert as conversion
from models.workshop.convert import convert
from models.workshop.engine import meta_weights, pickles

sys.path.insert(0, str(Path(__file__).parent))  # for the helper beside the tests

from meta_files import meta_logits, tiny_llama, write_meta, write_sentence_piece, write_tiktoken

ROOT = Path(__file__).parents[3]
GB = 1_000_000_000
IDS = [1, 7, 300, 42, 9, 500, 3, 3, 77]


def silent(step: Progress) -> None:
    return


def llama_2(folder: Path, model: Any, shards: int, **params: Any) -> Path:
    write_meta(model, folder, shards, **params)
    write_sentence_piece(tiny_tokenizers.sentence_piece(), folder / "tokenizer.model")
    return folder


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    return model, AutoTokenizer.from_pretrained(folder)


def same(one: Any, other: Any) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize(("shards", "kv_heads"), [(1, 8), (2, 8), (8, 8), (2, 2), (8, 1)])
def test_llama_2_comes_back_bit_by_bit(tmp_path: Path, shards: int, kv_heads: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(meta_weights, "PIECE", 9000)  # several pieces, which reach over shards
    monkeypatch.setattr(pickles, "REMAP", 300_000)
    model = tiny_llama(num_key_value_heads=kv_heads)
    folder = llama_2(tmp_path / "llama-2-tiny", model, shards)
    out = tmp_path / "out"
    convert(folder, out, 200_000, silent)
    back, tokenizer = loaded(out)
    assert same(model, back)
    assert len(list(out.glob("*.safetensors"))) > 2
    assert all(file.stat().st_size < 210_000 for file in out.glob("*.safetensors"))
    ids = torch.tensor([IDS])
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, back(ids).logits)
        theirs, ours = meta_logits(folder, IDS), back.float()(ids).logits[0]
    assert torch.allclose(theirs, ours, atol=2e-4, rtol=1e-4)
    assert (theirs.argmax(-1) == ours.argmax(-1)).all()
    assert (back.config.max_position_embeddings, back.config.eos_token_id) == (4096, 2)
    text = "Hello, the fox  and\n a crow! 狐"
    assert tokenizer(text).input_ids == tiny_tokenizers.sentence_piece().encode(text).ids
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_llama_3_with_scaled_rope_and_a_template(tmp_path: Path) -> None:
    vocabulary = tiny_tokenizers.byte_level(()).get_vocab_size() + 256
    model = tiny_llama(vocab_size=vocabulary + vocabulary % 2, num_key_value_heads=4)
    folder = tmp_path / "Llama-3.1-tiny"
    write_meta(model, folder, 2, llama_3=True, rope_theta=500000.0, use_scaled_rope=True)
    write_tiktoken(tiny_tokenizers.byte_level(()), folder / "tokenizer.model")
    convert(folder, tmp_path / "out", GB, silent, chat_template="{{ bos_token }}{{ messages[0].content }}<|eot_id|>")
    back, tokenizer = loaded(tmp_path / "out")
    assert same(model, back)
    rope = back.config.rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["rope_theta"]) == ("llama3", 8.0, 500000.0)
    assert back.config.max_position_embeddings == 131072
    text = "Once upon a time in 2024"
    expected = tiny_tokenizers.byte_level(()).encode("Once").ids
    ids = tokenizer(text).input_ids
    assert ids[0] == tokenizer.bos_token_id == back.config.bos_token_id == vocabulary - 256
    assert ids[1 : 1 + len(expected)] == expected
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(back.generation_config.eos_token_id) == 3
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False).endswith("<|eot_id|>")


def test_a_head_that_is_the_embeddings_is_written_once(tmp_path: Path) -> None:
    model = tiny_llama(tie_word_embeddings=True)
    convert(llama_2(tmp_path / "meta", model, 2), tmp_path / "out", GB, silent)
    back, _ = loaded(tmp_path / "out")
    assert back.config.tie_word_embeddings
    assert same(model, back)


def test_a_killed_conversion_is_taken_up(tmp_path: Path) -> None:
    model = tiny_llama()
    folder, out = llama_2(tmp_path / "meta", model, 2), tmp_path / "out"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom models.workshop.convert import convert\n"
        "def step(p):\n    if p.done > 500_000: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"convert(Path({str(folder)!r}), Path({str(out)!r}), 100_000, step)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    begun = tmp_path / ".out.unfinished"
    before = {file.name: file.stat().st_mtime_ns for file in begun.glob("*.safetensors")}
    assert len(before) > 2
    steps: list[Progress] = []
    convert(folder, out, 100_000, steps.append)
    assert steps[0].done > 300_000  # not from the beginning
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert same(model, loaded(out)[0])
    assert [path.name for path in out.iterdir() if path.name.startswith((".", "paddock"))] == []
    with pytest.raises(OutputExists):
        convert(folder, out, 100_000, silent)


def test_what_was_begun_of_other_files_is_thrown_away(tmp_path: Path, monkeypatch: Any) -> None:
    folder, out = llama_2(tmp_path / "meta", tiny_llama(), 1), tmp_path / "out"

    def stop(step: Progress) -> None:
        if step.done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(folder, out, 100_000, stop)
    other = tiny_llama(seed=1)
    time.sleep(0.01)
    write_meta(other, folder, 1)
    convert(folder, out, 100_000, silent)
    assert same(other, loaded(out)[0])


def test_what_cannot_be_converted_says_why(tmp_path: Path) -> None:
    folder = llama_2(tmp_path / "meta", tiny_llama(), 2)
    out = tmp_path / "out"

    def refused(kind: type[Exception], match: str) -> None:
        with pytest.raises(kind, match=match):
            convert(folder, out, GB, silent)
        assert not out.exists()

    second = (folder / "consolidated.01.pth").read_bytes()
    (folder / "consolidated.01.pth").unlink()
    refused(BadCheckpoint, "attention.wq.weight is 64 x 128, and by params.json")
    (folder / "consolidated.01.pth").write_bytes(second[: len(second) // 2])
    refused(CorruptWeights, "cut short")

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"tok_embeddings.weight": Evil()}, folder / "consolidated.01.pth")
    refused(UnsafePickle, "would run code")
    assert not (tmp_path / "ran").exists()
    (folder / "consolidated.01.pth").write_bytes(second)
    (folder / "params.json").write_text("{}")
    refused(BadCheckpoint, "params.json cannot be read")


def test_full_disk(tmp_path: Path, monkeypatch: Any) -> None:
    folder = llama_2(tmp_path / "meta", tiny_llama(), 1)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DiskFull, match="disk is full"):
        convert(folder, tmp_path / "out", GB, silent)


def test_command_shows_and_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_llama()
    folder = llama_2(tmp_path / "meta", model, 2)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert main(["convert", str(folder), "--out", str(tmp_path / "out"), "--max-shard-size", "0.3MB"]) == 0
    capsys.readouterr()
    for place, form in ((folder, "Meta's .pth, 2 shards"), (tmp_path / "out", "safetensors")):
        assert main(["show", str(place)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f"{count:,} parameters" in lines[0]
        assert form in lines[0]
        assert any("layers.0 to 1: " in line and "in each of 2" in line for line in lines)
        assert main(["show", str(place), "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["parameters"] == count
        assert {"name", "shape", "dtype", "bytes", "file", "parameters"} == shown["tensors"][0].keys()


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 2, 8])
def test_a_real_model_comes_back_bit_by_bit(tmp_path: Path, shards: int, smollm2_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder).eval()
    rope = model.config.rope_parameters["rope_theta"]
    folder, out = tmp_path / "meta", tmp_path / "out"
    write_meta(model, folder, shards, rope_theta=rope)
    source = conversion.read_source(folder)
    out.mkdir()
    tied = conversion.write_weights(source, out, 200_000_000, silent)
    stated = conversion.config(source.params, list(source.wholes.values()), tied, 8192, {})
    (out / "config.json").write_text(json.dumps(stated))
    back = AutoModelForCausalLM.from_pretrained(out).eval()
    assert tied
    assert same(model, back)
    with torch.inference_mode():
        ids = torch.arange(1, 65)[None]
        assert torch.equal(model(ids).logits, back(ids).logits)
