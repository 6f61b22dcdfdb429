"""What a visitor's answer loses while an adapter is trained from the page on the same machine."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from models.domain.training import TrainingSettings
from models.training.runs.asked import Asked
from models.training.runs.process import Running, running
from models.training.runs.trainings import Trainings

from .client import Answer, greedy
from .processes import ROOT, SMOLLM2, Stage
from .report import Row, Target, print_rows, quiet_watch, spread

DATA = ROOT / "models/finetuned/data/pirate.jsonl"
PROMPT = "Write a long story about a horse."
MODES = ("gguf", "bf16")
KEPT = Target(">=", 0.8)
PATIENCE_S = 900


def training(stage: Stage, new_tokens: int, repeats: int) -> None:
    """Decode speed and time to the first token, with a training of the same model beside it, or held still."""
    print(f"### training: {SMOLLM2}, an adapter of rank 8 is trained while a visitor asks\n")
    with tempfile.TemporaryDirectory() as folder, quiet_watch():
        trainings = Trainings(replace(stage.settings, adapters_dir=str(Path(folder, "adapters"))))
        trainings.root = Path(folder, "training")
        for mode in MODES:
            greedy(stage.client, PROMPT, f"{SMOLLM2}@{mode}", 4)
        trainings.begin(Asked("bench", SMOLLM2, str(DATA), TrainingSettings(epochs=100)))
        try:
            process = _learning(trainings)
            print_rows([row for mode in MODES for row in _rows(stage, process, mode, new_tokens, repeats)])
        finally:
            if found := running(trainings.root):
                os.kill(found.pid, signal.SIGKILL)
            while running(trainings.root):
                time.sleep(0.1)


def _learning(trainings: Trainings) -> Running:
    """The process, once it takes steps."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if len(trainings.one("bench").seen.learning) > 1 and (found := running(trainings.root)):
            return found
        time.sleep(0.2)
    raise RuntimeError(trainings.one("bench").error or "it takes no steps")


def _rows(stage: Stage, process: Running, mode: str, new_tokens: int, repeats: int) -> list[Row]:
    alone: list[Answer] = []
    beside: list[Answer] = []
    for number in range(repeats):
        for answers, sign in ((alone, signal.SIGSTOP), (beside, signal.SIGCONT)):
            os.kill(process.pid, sign)
            time.sleep(1)
            text = f"{PROMPT} Number {number}{len(answers)}{sign.value}."  # of which nothing is kept
            answers.append(greedy(stage.client, text, f"{SMOLLM2}@{mode}", new_tokens))
    os.kill(process.pid, signal.SIGCONT)
    speeds = [[answer.tokens_per_s for answer in answers] for answers in (beside, alone)]
    waits = [[answer.ttft_s for answer in answers] for answers in (beside, alone)]
    decode = " beside it, ".join(spread(each, "tok/s") for each in speeds)
    ttft = " beside it, ".join(spread(each, "s", 2) for each in waits)
    kept, waited = (statistics.median(each[0]) / statistics.median(each[1]) for each in (speeds, waits))
    return [Row(f"{mode}: decode", f"{decode} alone", kept, KEPT), Row(f"{mode}: TTFT", f"{ttft} alone", waited)]
