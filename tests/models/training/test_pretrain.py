"""The pretrain command from documents to a folder that is a model: same bytes when cut off, refusals, what is left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import yaml
from tiny_tokenizers import byte_level, corpus, forced, sentence_piece, starting
from tiny_tokenizers import save as save_tokenizer

from models.__main__ import main
from models.domain.engine import Prompt
from models.domain.errors import (
    BadDocuments,
    BadRunFolder,
    CannotPublish,
    DiskFilled,
    DiskFull,
    DoesNotFit,
    PretrainingDiverged,
    TrainingSettingOutOfBounds,
    UnknownSize,
)
from models.domain.memory.plan import Budget
from models.domain.memory.pretraining_plan import parameters
from models.domain.pretraining import PretrainingReport, PretrainingSettings
from models.domain.settings import Settings
from models.domain.training_events import Said
from models.domain.variant import Variant
from models.engines.transformers.tokens import tokenize
from models.planning import Planner
from models.runtime import Runtime
from models.training.documents import documents
from models.training.pretrain import RUN, pretrain
from models.training.token_rows import HELD_OUT, TRAIN, Rows
from models.workshop.push import Wanted, allowed, publication
from models.workshop.save import save
from tests.conftest import ROOT

SETTINGS = PretrainingSettings("stories-tiny", documents=80, vocabulary=300, tokens=12_000, precision="fp32")
FILES = ("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "losses.csv", "losses.svg")
LONG = " ".join(map(str, range(400))) + "\n\n" + " ".join(map(str, range(1000, 1400)))
COMMAND = """
import sys
from models.__main__ import main
from models.training.engine import pretrainer
pretrainer.SAVE_S = 0
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Runtime(Settings(cache_dir=str(tmp_path_factory.mktemp("cache")), threads=1))


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """A whole run: its folder, what was said, and its report."""
    out = tmp_path_factory.mktemp("runs") / "stories"
    *said, report = pretrain(tiny, SETTINGS, "stories", out)
    return out, [step for step in said if isinstance(step, Said)], report


def contents(out):
    return {name: (out / name).read_bytes() for name in FILES}


def test_what_a_run_leaves_is_a_model_of_transformers(finished):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from models.training.causal import load_llama

    out, said, report = finished
    assert not (out / RUN).exists()
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    ids = tokenizer("Once upon a time", return_tensors="pt")["input_ids"]
    assert (theirs(ids).logits - load_llama(out)(ids)).abs().max() < 1e-4
    assert theirs.generation_config.eos_token_id == tokenizer.eos_token_id == 0
    assert torch.is_tensor(theirs.get_output_embeddings().weight)
    assert isinstance(report, PretrainingReport)
    assert report.parameters == theirs.num_parameters() == parameters(SETTINGS.shape, report.counts.vocabulary)
    assert report.after < report.before - 0.5
    assert abs(report.losses[-1].held_out - report.after) < 1e-4  # all held-out rows are looked at each time here
    assert report.counts.documents + report.counts.held_out + report.counts.left_out == 80
    assert SETTINGS.tokens <= report.tokens < SETTINGS.tokens + 3000
    assert json.loads((out / "training.json").read_text())["after"] == report.after
    assert len([one for one in said if one.facts and "sample" in one.facts]) >= 1
    assert ElementTree.parse(out / "losses.svg").getroot().tag.endswith("svg")
    assert len((out / "losses.csv").read_text().splitlines()) == len(report.losses) + 1


def test_a_run_that_is_left_and_called_again_ends_with_the_same_bytes(tiny, finished, tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.engine.pretrainer.SHOW_S", 0)
    out = tmp_path / "again"
    for most in (3, 5):
        with closing(pretrain(tiny, SETTINGS, "stories", out)) as steps:
            for step in steps:
                if step.stage == "train" and step.done >= most:
                    break
        assert (out / RUN / "checkpoint.safetensors").is_file()
    assert list(pretrain(tiny, SETTINGS, "stories", out))[-1].resumed
    assert contents(out) == contents(finished[0])


def test_a_run_that_is_killed_and_called_again_ends_with_the_same_bytes(finished, tmp_path):
    out = tmp_path / "killed"
    options = ["--size", "stories-tiny", "--documents", "80", "--vocabulary", "300", "--tokens", "12000"]
    command = [sys.executable, "-c", COMMAND, "pretrain", *options, "--precision", "fp32", "--out", str(out), "--json"]
    environment = os.environ | {"PADDOCK_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / RUN / "checkpoint.safetensors").is_file() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "training.json").exists()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(finished[0])
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done"
    assert events[-1]["resumed"]


def test_a_folder_is_given_as_a_variant(finished, capsys, monkeypatch):
    monkeypatch.chdir(finished[0].parent)
    texts = []
    for variant in ("stories@fp32", f"{finished[0]}@bf16", "./stories@nf4"):
        assert main(["complete", "Once", "--variant", variant, "--max-new-tokens", "3", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["usage"]["variant"] == f"local/stories@{variant.partition('@')[2]}"
        texts.append(answer["text"])
    assert all(texts)


def test_it_is_published_without_a_base_and_a_saved_copy_of_it_too(finished, tmp_path):
    out, _, report = finished
    runtime = Runtime(Settings(cache_dir=str(tmp_path / "cache"), threads=1, model_folders=(str(out),)))
    save(runtime, Variant("local/stories", "bf16"), tmp_path / "copy", 10**9, lambda step: None)
    for folder in (out, tmp_path / "copy"):
        card = publication(runtime, folder, Wanted("me/stories", licence="mit")).card
        head = yaml.safe_load(card.split("---")[1])
        assert (head["license"], head["library_name"]) == ("mit", "transformers")
        assert not {"base_model", "base_model_relation"} & set(head)
        assert "local/" not in card
        assert f"{report.parameters:,} parameters" in card
        assert f"{report.before:.3f} nats a token before, {report.after:.3f} after" in card
        assert ("before they were converted" in card) == (folder != out)
    allowed(runtime, Variant("local/stories", "bf16"), Wanted("me/stories", licence="mit"))
    with pytest.raises(CannotPublish, match="choose one with --licence"):
        publication(runtime, out, Wanted("me/stories"))
    with pytest.raises(CannotPublish, match="so it has no base"):
        publication(runtime, out, Wanted("me/stories", base="them/model", licence="mit"))


@pytest.mark.parametrize("kind", [byte_level, sentence_piece])
def test_rows_begin_with_the_start_token_that_engines_put_before_a_text(kind, tmp_path):
    from transformers import AutoTokenizer

    theirs = tmp_path / "models/me/starts"
    tokenizer = save_tokenizer(starting(kind(), closing=True), theirs)
    forced(theirs, len(tokenizer), {}, default=2)
    data, out = tmp_path / "mine.txt", tmp_path / "out"
    data.write_text("\n\n".join(dict.fromkeys(corpus())))
    where = {"cache_dir": str(tmp_path / "cache"), "models_dir": str(tmp_path / "models"), "hub_ids": True}
    runtime = Runtime(Settings(threads=1, **where))
    settings = replace(SETTINGS, tokenizer="me/starts", documents=0, tokens=500)
    with closing(pretrain(runtime, settings, str(data), out)) as steps:
        next(step for step in steps if step.stage == "train")
    texts = list(documents([data], 0))
    splits = [Rows(out / RUN, split) for split in (TRAIN, HELD_OUT)]
    rows = {tuple(map(int, split[number])) for split in splits for number in range(len(split))}
    list(pretrain(runtime, settings, str(data), out))
    made = AutoTokenizer.from_pretrained(out)
    assert rows == {(*tokenize(made, Prompt(text)), made.eos_token_id) for text in texts}
    assert {row[0] for row in rows} == {made.bos_token_id}
    assert json.loads((out / "config.json").read_text())["bos_token_id"] == made.bos_token_id


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("", {}, "it is empty"),
        ("one", {}, "it has one document"),
        ("one\n\none\n\none", {}, "all of its documents are the same"),
        (LONG, {"max_tokens": 8}, "all its documents are longer than 8 tokens"),
    ],
)
def test_data_that_is_not_enough(tiny, tmp_path, text, changes, reason):
    data, out = tmp_path / "mine.txt", tmp_path / "out"
    data.write_text(text)
    with pytest.raises(BadDocuments, match=r"mine\.txt") as caught:
        list(pretrain(tiny, replace(SETTINGS, **changes), str(data), out))
    assert reason in caught.value.message
    assert not out.exists()  # a corrected command finds nothing in its way


def test_other_settings_or_data_are_refused_by_name(tiny, tmp_path):
    data, out = tmp_path / "mine.txt", tmp_path / "out"
    data.write_text("\n\n".join(f"story {number} of a fox" for number in range(40)))
    with closing(pretrain(tiny, SETTINGS, str(data), out)) as steps:
        next(step for step in steps if step.stage == "train")
    with pytest.raises(BadRunFolder, match="tokens 12000 instead of 13000"):
        list(pretrain(tiny, replace(SETTINGS, tokens=13_000), str(data), out))
    with pytest.raises(BadRunFolder, match="instead of stories"):
        list(pretrain(tiny, SETTINGS, "stories", out))
    data.write_text("\n\n".join(f"story {number} of a crow" for number in range(40)))
    with pytest.raises(BadRunFolder, match=r"other documents than mine\.txt has now"):
        list(pretrain(tiny, SETTINGS, str(data), out))


def test_what_is_refused_before_it_trains_leaves_nothing_in_the_way(tiny, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr("models.training.pretrain._COPIES", 10**9)  # more than the disk has
    with pytest.raises(DiskFull):
        list(pretrain(tiny, SETTINGS, "stories", out))
    assert not out.exists()
    monkeypatch.undo()
    with closing(pretrain(tiny, replace(SETTINGS, size="feed-forward"), "stories", out)) as steps:
        next(step for step in steps if step.stage == "train")


def test_what_does_not_fit_into_memory_is_refused_before_it_is_built(tiny, tmp_path, monkeypatch):
    from models.training.engine.decoder_run import Run

    monkeypatch.setattr(Planner, "budget", lambda planner: Budget("main memory", 10**9, 10_000_000))
    out, settings = tmp_path / "out", replace(SETTINGS, batch=64)
    with monkeypatch.context() as patched:
        patched.setattr(Run, "__init__", lambda *_: pytest.fail("it was built"))
        with pytest.raises(DoesNotFit, match="Training stories-tiny") as caught:
            list(pretrain(tiny, settings, "stories", out))
    assert not out.exists()
    fits = int(re.search(r"--batch (\d+)", caught.value.facts["suggestion"])[1])
    assert 1 <= fits < 64
    for batch, good in ((fits, True), (fits + 1, False)):
        with closing(pretrain(tiny, replace(settings, batch=batch), "stories", tmp_path / str(batch))) as steps:
            if good:
                plan = next(step for step in steps if step.stage == "train").facts["memory"]
                assert plan["needed"] <= 10_000_000
            else:
                with pytest.raises(DoesNotFit):
                    list(steps)


def test_a_checkpoint_of_other_tokens_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.engine.pretrainer.SHOW_S", 0)
    out = tmp_path / "out"
    with closing(pretrain(tiny, SETTINGS, "stories", out)) as steps:
        next(step for step in steps if step.stage == "train" and step.done)
    facts = json.loads((out / RUN / "rows.json").read_text())
    (out / RUN / "rows.json").write_text(json.dumps(facts | {"sha256": "of another version of tokenizers"}))
    with pytest.raises(BadRunFolder, match="other tokens of the same documents"):
        list(pretrain(tiny, SETTINGS, "stories", out))
    assert (out / RUN / "checkpoint.safetensors").is_file()


def test_a_folder_that_is_there(tiny, finished, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    for out, reason in (
        (finished[0], "a finished model"),
        (tmp_path / "other", "other files, like notes.txt"),
        (tmp_path / "other" / "notes.txt", "it is a file"),
    ):
        with pytest.raises(BadRunFolder, match=reason):
            list(pretrain(tiny, SETTINGS, "stories", out))


def test_settings_out_of_bounds():
    with pytest.raises(UnknownSize, match="stories-2m"):
        PretrainingSettings("stories-3m")
    for changes in ({"held_out": 0.0}, {"tokens": -1}, {"minutes": float("nan")}, {"precision": "fp8"}):
        with pytest.raises(TrainingSettingOutOfBounds, match=next(iter(changes))):
            replace(SETTINGS, **changes)


def test_a_loss_that_is_no_number_stops_at_the_last_good_checkpoint(tiny, finished, tmp_path, monkeypatch):
    from models.training.engine.decoder_run import Run

    step = Run.step

    def poisoned(run, batch):
        if run.steps == 4:
            next(iter(run.named.values())).data.fill_(float("nan"))
        return step(run, batch)

    monkeypatch.setattr("models.training.engine.pretrainer.SAVE_S", 0)
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Run, "step", poisoned)
        with pytest.raises(PretrainingDiverged, match=r"after step 4.*checkpoint of step 4"):
            list(pretrain(tiny, SETTINGS, "stories", out))
    list(pretrain(tiny, SETTINGS, "stories", out))  # what was kept is good
    assert contents(out) == contents(finished[0])


def test_a_full_disk_is_said_and_the_run_goes_on_from_the_checkpoint_before(tiny, finished, tmp_path, monkeypatch):
    import errno

    from models.training.engine import decoder_run

    monkeypatch.setattr("models.training.engine.pretrainer.SAVE_S", 0)
    written = decoder_run.write

    def full(tensors, path, notes):
        if (path.parent / decoder_run.CHECKPOINT).is_file():
            monkeypatch.setattr("safetensors.torch.save_file", refuse)
        return written(tensors, path, notes)

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(decoder_run, "write", full)
        with pytest.raises(DiskFilled, match="checkpoint"):
            list(pretrain(tiny, SETTINGS, "stories", out))
    monkeypatch.undo()
    list(pretrain(tiny, SETTINGS, "stories", out))
    assert contents(out) == contents(finished[0])


def test_the_baseline_and_a_run_by_minutes(tiny, tmp_path):
    settings = replace(SETTINGS, size="feed-forward", tokens=0, minutes=0.02)
    *_, report = pretrain(tiny, settings, "stories", tmp_path / "out")
    assert report.tokens > 0
    assert report.parameters == parameters(settings.shape, report.counts.vocabulary)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "feed-forward"
