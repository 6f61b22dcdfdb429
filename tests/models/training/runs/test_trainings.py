"""Trainings as processes of their own: whatever is killed, what they have learned is found again and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from models.domain.errors import (
    AdapterNameTaken,
    BadSpelling,
    BadTrainingData,
    NothingNamed,
    NoTraining,
    TrainingBusy,
    TrainingSettingOutOfBounds,
)
from models.domain.settings import Settings
from models.domain.training import TrainingSettings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.system.files import write_json
from models.training.runs import process
from models.training.runs.asked import Asked, ask, read_asked, read_columns, read_settings
from models.training.runs.preview import Preview, preview
from models.training.runs.process import environment, running
from models.training.runs.trainings import ACTS, Training, Trainings
from models.weights.adapters.places import REPORT

ROOT = Path(__file__).parents[4]
WORDS = ["fox", "crow", "tags", "time", "once", "upon", "was", "there", "and", "naive"]
FAST = TrainingSettings(rank=4, epochs=300, learning_rate=2e-2, batch=4, max_tokens=128)
# An app that begins a training and is ended in the next moment.
APP = """import json, os, signal, sys
from models.domain.settings import Settings
from models.system.files import write_json
from models.training.runs import process
from models.training.runs.asked import read_asked
from models.weights.adapters.places import REPORT
from models.training.runs.trainings import Trainings
settings, asked = map(json.loads, sys.argv[1:])
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as one that a shell has put into the background
process.NICE = 0
Trainings(Settings(**settings)).begin(read_asked(asked))
os.kill(os.getpid(), signal.SIGKILL)"""


@pytest.fixture(autouse=True)
def as_fast_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "NICE", 0)


@pytest.fixture
def places(tmp_path: Path, tiny_folder: Path) -> dict[str, str]:
    """Where things lie on a machine whose models folder holds me/tiny."""
    shutil.copytree(tiny_folder, tmp_path / "models/me/tiny")
    return {"cache_dir": str(tmp_path / "cache"), "models_dir": str(tmp_path / "models")}


@pytest.fixture
def settings(places: dict[str, str]) -> Settings:
    return Settings(**places, threads=1)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"say {word}", "completion": word}) + "\n" for word in WORDS))
    return file


def until(trainings: Trainings, what: Callable[[Training], bool], name: str = "mine", seconds: float = 240) -> Training:
    """The training once that holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what(found := trainings.one(name)):
            return found
        time.sleep(0.05)
    errors = (trainings.root / name / "errors.txt").read_text()
    raise AssertionError(f"{found.status}, {found.seen.progress}, {errors}")


@pytest.mark.slow  # four processes that load torch
def test_whatever_is_killed_it_goes_on(places: dict[str, str], settings: Settings, data: Path) -> None:
    asked = Asked("mine", "me/tiny@fp32", str(data), FAST)
    given = [json.dumps(places | {"threads": 1}), json.dumps(asked.to_dict())]
    assert subprocess.run([sys.executable, "-c", APP, *given], cwd=ROOT).returncode == -signal.SIGKILL
    trainings = Trainings(settings)  # of the app that was started again
    data.unlink()  # it has a copy
    until(trainings, lambda one: one.status == "running" and one.resumable)
    with pytest.raises(TrainingBusy, match="mine is still running"):
        trainings.go_on("mine")
    with pytest.raises(TrainingBusy):
        trainings.remove("mine")
    assert Runtime(settings).adapters(Variant("me/tiny")) == []  # half an adapter is none
    found = running(trainings.root)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    before = until(trainings, lambda one: one.status == "interrupted")
    assert len(before.seen.held_out) > 1

    trainings.go_on("mine")
    reached = before.seen.learning[-1].step
    until(trainings, lambda one: one.seen.learning[-1].step > reached)
    trainings.stop("mine")
    assert until(trainings, lambda one: one.status != "running").status == "stopped"

    trainings.go_on("mine")
    until(trainings, lambda one: one.status == "running" and one.seen.step is not None)
    trainings.finish("mine")
    done = until(trainings, lambda one: one.status != "running")
    assert done.status == "finished", done.error
    assert done.seen.report["resumed"]
    steps = [loss.step for loss in done.seen.learning]
    assert steps == sorted(set(steps))
    assert reached < steps[-1] < 3 * FAST.epochs
    assert [adapter.key for adapter in Runtime(settings).adapters(Variant("me/tiny"))] == ["mine"]
    trainings.remove("mine")
    assert trainings.all() == []
    assert (trainings.out("mine") / "adapter_model.safetensors").is_file()
    with pytest.raises(AdapterNameTaken):
        trainings.begin(asked)


def test_the_commands_own_sentence_says_why_it_failed(settings: Settings, data: Path) -> None:
    trainings, bad = Trainings(settings), data.with_name("bad.jsonl")
    bad.write_text(data.read_text() + "{}\n")
    asked = Asked("mine", "me/tiny@gguf", str(bad), FAST)
    trainings.begin(asked)
    failed = until(trainings, lambda one: one.status != "running")
    assert failed.status == "failed"
    assert failed.error.startswith("Line 11 of bad.jsonl cannot be used for training")
    assert failed.error.endswith("nothing was trained.")
    trainings.begin(replace(asked, data=str(data)))  # a failed one makes room for the next of its name
    failed = until(trainings, lambda one: one.status != "running")
    assert "no gradients flow through weights in gguf" in failed.error


@pytest.mark.slow
def test_a_look_shows_rows_and_what_a_step_takes(settings: Settings, data: Path) -> None:
    *_, found = preview(Asked("mine", "me/tiny", str(data), FAST), settings)
    assert isinstance(found, Preview)
    assert len(found.rows) == 10
    assert any(span.learned and "crow" in span.text for span in found.rows[1])
    assert not any(span.learned and "say" in span.text for row in found.rows for span in row)
    assert found.counts == {"train": 9, "held_out": 1, "cut": 0, "left_out": 0}
    assert found.memory["needed"] == sum(found.memory.values()) - found.memory["needed"] - found.memory["free"]
    assert not list(settings.cache.glob("never-*"))


def test_what_cannot_be_begun_is_refused_and_leaves_nothing(settings: Settings, data: Path, tmp_path: Path) -> None:
    trainings = Trainings(settings)

    def refused(kind: type[Exception], name: str = "mine", file: Path = data) -> None:
        with pytest.raises(kind):
            trainings.begin(Asked(name, "me/tiny", str(file), FAST))

    refused(NothingNamed, "")
    refused(BadSpelling, "two words")
    refused(BadSpelling, "me/mine")
    refused(AdapterNameTaken, "pirate")
    refused(BadTrainingData, file=tmp_path / "none.jsonl")
    (settings.adapters_folder / "mine").mkdir(parents=True)
    (settings.adapters_folder / "mine" / "notes.txt").touch()
    refused(AdapterNameTaken)
    assert trainings.all() == []
    with pytest.raises(NoTraining):
        trainings.go_on("../mine")


def test_the_lock_is_held_by_the_process_and_by_nobody_after_it(settings: Settings) -> None:
    root = settings.cache / "training"
    (root / "one").mkdir(parents=True)
    process.start(root, "one", ["-c", "import time; time.sleep(60)"], settings)
    found = running(root)
    assert found is not None
    assert found.name == "one"
    (root / "two").mkdir()
    with pytest.raises(TrainingBusy, match="one is still running"):
        process.start(root, "two", ["-c", ""], settings)
    end = time.monotonic() + 20
    while running(root) and time.monotonic() < end:
        process.interrupt(found)
        time.sleep(0.1)
    assert running(root) is None


def test_a_training_is_told_of_the_apps_settings_and_of_no_key() -> None:
    env = {
        "PADDOCK_THREADS": "7",
        "PADDOCK_LINK_KEY": "s" * 40,
        "HF_TOKEN": "t",
        "OAUTH_CLIENT_SECRET": "o",
        "PATH": "p",
    }
    settings = Settings(cache_dir="/c", adapters_dir="/a", load_anyway=True, hub_ids=False, link_key="s" * 40)
    told = environment(settings, env)
    assert told["PADDOCK_CACHE_DIR"] == "/c"
    assert told["PADDOCK_LOAD_ANYWAY"] == "1"
    assert told["PADDOCK_HUB_IDS"] == "0"
    assert told["HF_TOKEN"] == "t"
    assert not {"PADDOCK_THREADS", "PADDOCK_LINK_KEY", "OAUTH_CLIENT_SECRET"} & told.keys()
    assert Settings.from_env(told).adapters_folder == settings.adapters_folder


def test_what_is_asked_is_kept_as_it_was() -> None:
    asked = Asked(
        "mine", "m@bf16+pirate", "rows.csv", TrainingSettings(targets=("q_proj", "v_proj"), learning_rate=1e-3)
    )
    assert read_asked(json.loads(json.dumps(asked.to_dict()))) == asked
    assert str(asked.variant) == "m@bf16+pirate+mine"
    assert "--targets=q_proj,v_proj" in asked.command(Path("out"))
    shown = {"rank": 4.0, "epochs": None, "targets": " q_proj , v_proj", "quantization": "auto", "learning_rate": 1e-3}
    assert read_settings(shown) == TrainingSettings(rank=4, targets=("q_proj", "v_proj"), learning_rate=1e-3)


def test_what_a_program_names_is_checked(settings: Settings, data: Path) -> None:
    base = Variant.parse("me/tiny")
    asked = ask("mine", base, data, {"rank": 4}, read_columns("Frage = question, Antwort=answer"))
    assert (asked.settings.rank, asked.columns) == (4, {"Frage": "question", "Antwort": "answer"})
    assert read_asked(json.loads(json.dumps(asked.to_dict()))) == asked
    assert asked.command(data)[-3:] == ["--column=Frage=question", "--column=Antwort=answer", "--json"]
    assert ask("mine", base, "alpaca", {}).data == "alpaca"
    with pytest.raises(NothingNamed, match="the rows to learn from"):
        ask("mine", base, " ", {})
    for shown, columns, words in (
        ({"ranks": 4}, {}, "setting is ranks, but it must be one of method, rank"),
        ({"method": "full"}, {}, "all weights of a model are trained by the command line"),
        ({"rank": "many"}, {}, "rank is many"),
        ({}, {"": "question"}, "column is question, but it must be NAME=FIELD with one of"),
        ({}, {"Frage": "what"}, "column is Frage=what"),
        ({}, {"Frage": ["answer"]}, "column is Frage="),
    ):
        with pytest.raises(TrainingSettingOutOfBounds, match=words):
            ask("mine", base, data, shown, columns)
    with pytest.raises(TrainingSettingOutOfBounds, match="column is question"):
        read_columns("question")
    assert ask("mine", base, data, asdict(asked.settings), {"a, b": "text"}).settings == asked.settings
    trainings = Trainings(settings)
    with pytest.raises(TrainingSettingOutOfBounds, match="one of stop, finish, go-on, remove"):
        trainings.act("pause", "mine")
    for act in ACTS:
        with pytest.raises(NoTraining):
            trainings.act(act, "mine")


def test_what_was_killed_after_its_last_word_is_finished(settings: Settings) -> None:
    trainings = Trainings(settings)
    write_json(trainings.root / "mine/request.json", Asked("mine", "me/tiny", "rows.jsonl").to_dict())
    write_json(trainings.out("mine") / REPORT, {"before": 2.0, "after": 1.0})
    found = trainings.one("mine")
    assert (found.status, found.seen.report["after"]) == ("finished", 1.0)


def test_a_training_may_have_any_name_of_an_adapter(settings: Settings, data: Path) -> None:
    trainings = Trainings(settings)
    trainings.begin(Asked("lock", "me/tiny@gguf", str(data), FAST))
    assert until(trainings, lambda one: one.status != "running", "lock").status == "failed"
