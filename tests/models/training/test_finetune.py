"""The finetune command from its arguments to the folder it leaves: refusals, what is said, and going on."""

import argparse
import json
import re
import shutil
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.cli.finetune import add_arguments, run
from models.domain.catalog import Catalog, ModelCard
from models.domain.data_sets import data_sets
from models.domain.errors import (
    BadOutputFolder,
    BadProcesses,
    BadTrainingData,
    BadTrainingRow,
    DiskFull,
    DoesNotFit,
    NotTrainable,
    PaddockError,
    UnknownAdapter,
)
from models.domain.memory.plan import Part
from models.domain.messages import Progress
from models.domain.settings import Settings
from models.domain.shapes.read import read_shape
from models.domain.training import TrainingSettings
from models.domain.training_events import Said, Step
from models.domain.variant import Variant
from models.runtime import Runtime
from models.system.ranks import Place
from models.training import finetune as finetuning
from models.training import finetune_plan, rows_file
from models.training.engine.methods import CONFIG, MATRICES
from models.training.engine.training import MARK
from models.training.finetune import finetune
from models.training.finetune_folder import CHECKPOINTS
from models.training.made import read_made
from models.weights.adapters.places import REPORT

SETTINGS = TrainingSettings(rank=4, epochs=2, learning_rate=2e-2, batch=4, max_tokens=128)
WORDS = ["fox", "crow", "tags", "time", "once", "upon", "was", "there", "and", "naive"]
BASE = Variant("tiny")


@pytest.fixture
def tiny_runtime(tiny_folder, tmp_path):
    """A Runtime that knows one model, a base model, whose files lie in the operator's folder."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(tiny_folder, target_is_directory=True)
    config = json.loads((tiny_folder / "config.json").read_text())
    card = ModelCard("tiny", "Tiny", "Tiny", "base", "owner/tiny", "mit", 2048, read_shape(config))
    settings = Settings(
        models_dir=str(tmp_path / "models"),
        adapters_dir=str(tmp_path / "adapters"),
        threads=1,
        cache_dir=str(tmp_path / "cache"),
    )
    return Runtime(settings, Catalog((card,)))


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"say {word}", "completion": word}) + "\n" for word in WORDS))
    return file


def events(runtime, data, out, settings=SETTINGS, base=BASE, overwrite=False):
    """All that was yielded, and the report."""
    steps = finetune(runtime, base, data, out, settings, overwrite)
    *seen, report = steps
    return seen, report


def interrupt(runtime, data, out, overwrite=False, base=BASE, settings=SETTINGS):
    """Leave a run in its second epoch."""
    with closing(finetune(runtime, base, data, out, settings, overwrite)) as steps:
        for step in steps:
            if isinstance(step, Progress) and step.detail.startswith("epoch 1 of 2: "):
                return


def test_a_run_leaves_three_files_and_says_what_it_did(tiny_runtime, data, tmp_path):
    seen, report = events(tiny_runtime, data, tmp_path / "out")
    said = [step.facts for step in seen if isinstance(step, Said)]
    (prompt,) = said[0].pop("prompts")
    assert said[0] == {"train": 9, "held_out": 1, "cut": 0, "left_out": 0}
    assert said[1]["memory"]["needed"] < said[1]["memory"]["free"]
    points = [(facts["step"], facts["held_out"]) for facts in said if "tokens" in facts]
    assert points == [(0, report.before), *((3 * one.epoch, one.held_out) for one in report.epochs)]
    samples = [facts for facts in said if "sample" in facts]
    assert [facts["step"] for facts in samples] == [0, 3, 6]
    assert {facts["asked"] for facts in samples} == {samples[0]["asked"]}
    assert f"Q: {prompt}" in samples[0]["asked"], "of the row that is held out"
    stages = {step.stage for step in seen if isinstance(step, Progress)}
    assert {"train", "evaluate"} <= stages
    trained = [step for step in seen if isinstance(step, Step)]
    assert (trained[-1].done, trained[-1].total, trained[-1].seconds_left) == (6, 6, 0)
    assert trained[-1].tokens > trained[0].tokens > 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted((CONFIG, MATRICES, REPORT))
    written = json.loads((tmp_path / "out" / REPORT).read_text())
    assert written == json.loads(json.dumps(asdict(report)))
    assert (written["base"], written["data"], len(written["data_sha256"])) == ("owner/tiny", "rows.jsonl", 64)
    assert written["settings"]["quantization"] == "fp32"
    assert written["after"] < written["before"]
    assert len(written["epochs"]) == 2
    assert set(written["versions"]) == {"torch", "transformers", "peft"}
    assert str(tmp_path) not in (tmp_path / "out" / REPORT).read_text() + (tmp_path / "out" / CONFIG).read_text()

    with pytest.raises(BadOutputFolder, match=r"holds a finished adapter.*--overwrite"):
        events(tiny_runtime, data, tmp_path / "out")


def test_a_run_that_was_left_goes_on_or_is_refused(tiny_runtime, data, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    events(tiny_runtime, data, whole)
    interrupt(tiny_runtime, data, out)
    assert [file.name for file in out.iterdir()] == [CHECKPOINTS]

    other = TrainingSettings(**{**SETTINGS.__dict__, "rank": 8})
    with pytest.raises(BadOutputFolder, match=r"rank 4 instead of 8.*--overwrite"):
        events(tiny_runtime, data, out, other)
    more = tmp_path / "more.jsonl"
    more.write_bytes(data.read_bytes() * 2)
    with pytest.raises(BadOutputFolder, match="other data"):
        events(tiny_runtime, more, out)

    checkpoint = next((out / CHECKPOINTS).glob("checkpoint-*")) / MARK
    written = checkpoint.read_text()
    checkpoint.write_text(json.dumps(json.loads(written) | {"tokens": "of another tokenizer or template"}))
    with pytest.raises(BadOutputFolder, match="other tokens of the same rows"):
        events(tiny_runtime, data, out)
    checkpoint.write_text(written)

    shutil.copytree(next((out / CHECKPOINTS).glob("checkpoint-*")), out / CHECKPOINTS / "checkpoint-99")
    (out / CHECKPOINTS / "checkpoint-99" / MARK).unlink()  # as if it were still being written
    report = events(tiny_runtime, data, out)[1]
    assert report.resumed
    assert (out / MATRICES).read_bytes() == (whole / MATRICES).read_bytes()
    assert not (out / CHECKPOINTS).exists()


@pytest.mark.parametrize("mode", ["fp32", "nf4"])
def test_one_on_top_of_another_begins_where_that_ended_and_says_that_it_needs_it(tiny_runtime, data, tmp_path, mode):
    settings = replace(SETTINGS, quantization=mode)
    first = events(tiny_runtime, data, tmp_path / "adapters" / "first", settings)[1]
    lower = (tmp_path / "adapters" / "first" / MATRICES).read_bytes()
    interrupted, on = tmp_path / "adapters" / "second", Variant.parse("tiny+first")
    interrupt(tiny_runtime, data, interrupted, base=on, settings=settings)
    with pytest.raises(BadOutputFolder, match="other adapters below it"):
        events(tiny_runtime, data, interrupted, settings)
    second = events(tiny_runtime, data, interrupted, settings, on)[1]
    assert second.resumed
    assert second.before == pytest.approx(first.after, abs=1e-5), "its own matrices change nothing at first"
    assert second.epochs[1].train < second.epochs[0].train - 0.05
    assert second.on == ("first",)
    assert (tmp_path / "adapters" / "first" / MATRICES).read_bytes() == lower
    alone, both = (tiny_runtime.plan(Variant.parse(f"tiny@{mode}{names}")) for names in ("+second", "+first+second"))
    assert alone.warnings == ("second: it was trained on top of first; pick that too",)
    assert both.warnings == ()
    again = events(
        tiny_runtime, data, tmp_path / "third", replace(settings, epochs=1), Variant.parse("tiny+first+second")
    )[1]
    assert again.before == pytest.approx(second.after, abs=1e-5), "resuming kept the lower one active"


def test_a_model_all_of_whose_weights_learned_is_a_variant(tiny_runtime, data, tmp_path, monkeypatch):
    settings = replace(SETTINGS, method="full", learning_rate=5e-3)
    out = tmp_path / "mine"
    report = events(tiny_runtime, data, out, settings)[1]
    assert report.after < report.before
    assert read_made(out).base == "owner/tiny"
    own = replace(tiny_runtime.settings, model_folders=(str(out),))
    assert Runtime(own, tiny_runtime.catalog).plan(Variant.parse("local/mine@fp32")).fits
    for other in (SETTINGS, settings):
        with pytest.raises(BadOutputFolder, match="holds a finished model"):
            events(tiny_runtime, data, out, other)
    with pytest.raises(BadOutputFolder, match="holds a finished model"):
        events(tiny_runtime, data, out, SETTINGS, overwrite=True)
    with pytest.raises(NotTrainable, match="nf4 are too coarse"):
        events(tiny_runtime, data, tmp_path / "none", replace(settings, quantization="nf4"))
    monkeypatch.setattr(finetuning, "disk_bytes", lambda *given: 1 << 60)
    with pytest.raises(DiskFull, match="a checkpoint needs"):
        events(tiny_runtime, data, tmp_path / "none", settings)


def test_a_data_set_is_read_from_the_hub_by_its_short_name(tiny_runtime, tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"say {n}", "prompt_id": str(n), "messages": [{"role": "user", "content": f"say {n}"},
             {"role": "assistant", "content": str(n)}]} for n in range(30)]  # fmt: skip
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = replace(data_sets()["no-robots"], hub_id=str(tmp_path / "hub"))  # the library reads a folder likewise
    monkeypatch.setattr(rows_file, "data_sets", lambda: {"no-robots": chosen})
    with pytest.raises(BadTrainingData, match="the Hub cannot be reached"):
        events(tiny_runtime, Path("no-robots"), tmp_path / "out")
    monkeypatch.setattr("models.weights.hub.access.hub_reachable", lambda settings: True)
    report = events(tiny_runtime, Path("no-robots"), tmp_path / "out", replace(SETTINGS, rows=20, epochs=1))[1]
    assert (report.rows.train, report.rows.held_out) == (18, 2)
    assert report.data.endswith("--hub-20.jsonl")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadTrainingData, match="takes the package datasets"):
        events(tiny_runtime, Path("no-robots"), tmp_path / "other")


def test_texts_are_learned_whole_and_columns_renamed(tiny_runtime, tmp_path, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n\n".join(f"Once upon a time there was a {word}, and that is all." for word in WORDS))
    report = events(tiny_runtime, texts, tmp_path / "text")[1]
    assert report.after < report.before
    table = tmp_path / "table.csv"
    table.write_text("Frage;Antwort\n" + "".join(f'"say {word};";{word}\n' for word in WORDS))
    parser = argparse.ArgumentParser()
    add_arguments(parser, tiny_runtime.settings)
    chosen = ["--column", "Frage=question", "--column", "Antwort=answer", "--look"]
    assert run(tiny_runtime, parser.parse_args(["tiny", "--data", str(table), *chosen])) == 0
    shown = capsys.readouterr().out
    assert "say fox;" in shown
    assert shown.count("--- row") == len(WORDS)
    assert re.search(r"⟦ ?crow.*⟧", shown), "the answer and its end are learned"
    with pytest.raises(BadTrainingRow, match=r"Line 2 .*“Frage”, “Antwort”"):
        events(tiny_runtime, table, tmp_path / "none")


def test_a_finished_adapter_stays_until_the_next_is_finished(tiny_runtime, data, tmp_path):
    out = tmp_path / "out"
    events(tiny_runtime, data, out)
    (out / MATRICES).write_bytes(b"of old")
    (out / "notes.txt").write_text("mine")
    interrupt(tiny_runtime, data, out, overwrite=True)
    assert (out / MATRICES).read_bytes() == b"of old"
    assert events(tiny_runtime, data, out, overwrite=True)[1].resumed
    assert (out / MATRICES).read_bytes() != b"of old"
    assert (out / "notes.txt").read_text() == "mine"


def test_what_cannot_be_trained_is_refused_before_anything_is_loaded(tiny_runtime, data, tmp_path):
    def refused(kind: type[PaddockError], words: str, file=data, base="tiny", out="new", **values):
        settings = TrainingSettings(**{**SETTINGS.__dict__, **values})
        with pytest.raises(kind, match=words):
            events(tiny_runtime, file, tmp_path / out, settings, Variant.parse(base))

    for mode in ("gguf", "dynamic-int8", "gptq", "awq", "fp16"):
        refused(NotTrainable, f"weights in {mode}.*fp32, bf16, int8, nf4", quantization=mode)
        refused(NotTrainable, f"weights in {mode}", base=f"tiny@{mode}")
    refused(NotTrainable, "two quantizations", base="tiny@nf4", quantization="fp32")
    refused(UnknownAdapter, "pirate", base="tiny+pirate")
    refused(PaddockError, "max_tokens is 4096.*at most 2,048", max_tokens=4096)
    refused(PaddockError, "no model called", base="tinier")
    refused(BadTrainingData, "neither a file nor one of the names", file=tmp_path / "none.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text(data.read_text() + "{}\n")
    refused(BadTrainingRow, "Line 11 of bad.jsonl", file=bad)
    refused(BadOutputFolder, "it is a file", out="bad.jsonl")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").touch()
    refused(BadOutputFolder, "other files, like thesis.tex", out="foreign")
    assert not (tmp_path / "new").exists()


def test_a_step_that_does_not_fit_is_refused(tiny_runtime, data, tmp_path, monkeypatch):
    def step(shape, settings, *others):
        return (Part("activations", "activations", (settings.batch - 1) << 50),)

    monkeypatch.setattr(finetune_plan, "step_parts", step)
    with pytest.raises(DoesNotFit, match=r"Training tiny@fp32 needs .*--batch 1 --accumulate 4\): "):
        events(tiny_runtime, data, tmp_path / "out")
    monkeypatch.setattr(finetune_plan, "step_parts", lambda *step: (Part("logits", "logits", 1 << 50),))
    with pytest.raises(DoesNotFit, match="fewer tokens of a row"):
        events(tiny_runtime, data, tmp_path / "out")


def test_what_a_step_takes_does_not_depend_on_what_the_server_gives_a_conversation(tiny_runtime, data, tmp_path):
    def needed(context):
        settings = replace(tiny_runtime.settings, context=context)
        seen = events(
            Runtime(settings, tiny_runtime.catalog), data, tmp_path / str(context), replace(SETTINGS, epochs=1)
        )[0]
        return next(s.facts["memory"]["needed"] for s in seen if isinstance(s, Said) and "memory" in (s.facts or {}))

    assert needed(2048) == needed(256)


def test_over_several_processes_main_memory_has_to_hold_what_is_read(tiny_runtime, data, tmp_path, monkeypatch):
    two = Place(0, 2, 0, 2, "127.0.0.1", 29500)
    monkeypatch.setattr(finetune_plan, "memory", lambda: SimpleNamespace(free=100_000))
    with pytest.raises(DoesNotFit, match=r"Reading tiny@fp32 to train it over several processes needs .* main memory"):
        list(finetune(tiny_runtime, BASE, data, tmp_path / "out", SETTINGS, place=two))


def test_one_at_a_time_trains_into_a_folder(tiny_runtime, data, tmp_path):
    out = tmp_path / "out"
    steps = finetune(tiny_runtime, BASE, data, out, SETTINGS)
    next(step for step in steps if isinstance(step, Step))
    for overwrite in (False, True):
        with pytest.raises(BadOutputFolder, match="another process trains there"):
            events(tiny_runtime, data, out, SETTINGS, overwrite=overwrite)
    *_, report = steps
    assert report.after < report.before
    assert sorted(path.name for path in out.iterdir()) == [CONFIG, MATRICES, REPORT]


def test_a_batch_has_a_row_for_each_process(tiny_runtime, data, tmp_path):
    place = Place(0, 6, 0, 6, "127.0.0.1", 29500)
    with pytest.raises(BadProcesses, match=r"a batch of 4 rows has none for some of 6 processes.*--batch 6 or more"):
        list(finetune(tiny_runtime, BASE, data, tmp_path / "out", SETTINGS, place=place))
    two = Place(0, 2, 0, 2, "127.0.0.1", 29500)
    with pytest.raises(BadProcesses, match="3 copies of the base in equal parts"):
        list(finetune(tiny_runtime, BASE, data, tmp_path / "out", SETTINGS, place=two, copies=3))
    with pytest.raises(BadProcesses, match=r"int8 base.* in one process only"):
        list(finetune(tiny_runtime, BASE, data, tmp_path / "out", replace(SETTINGS, quantization="int8"), place=two))
    assert not (tmp_path / "out").exists()


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser, Settings())
    return parser.parse_args(arguments)


def test_the_command_says_what_matters(tiny_runtime, data, tmp_path, capsys):
    fast = ("--rank", "4", "--epochs", "2", "--learning-rate", "2e-2", "--batch", "4", "--targets", "q_proj,v_proj")
    options = parsed("tiny", "--data", str(data), "--out", str(tmp_path / "out"), *fast, "--max-tokens", "128")
    with data.open("a") as rows:
        rows.write(json.dumps({"prompt": "fox " * 200, "completion": "crow"}) + "\n")
    assert run(tiny_runtime, options) == 0
    written = capsys.readouterr()
    assert "rows" in written.err
    assert "left out" in written.err
    assert written.err.count("epoch 1 of 2: loss ") == 1
    assert "held-out loss" in written.out


def test_the_defaults_of_the_command_are_those_of_the_settings():
    options = vars(parsed("tiny", "--data", "f", "--out", "d"))
    defaults = TrainingSettings().__dict__
    assert {name: options[name] for name in defaults} == defaults | {"learning_rate": None}  # the method's
    assert parsed("--on", "tiny+a", "--data", "f", "--out", "d").on == "tiny+a"
