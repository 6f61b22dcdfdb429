"""One pretraining from documents to a folder that is a model: what is checked, where it goes on, what it leaves."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..compute.background import reported
from ..domain.errors import BadRunFolder, PaddockError, PretrainingDiverged, PretrainingStopped
from ..domain.memory.pretraining_plan import parameters
from ..domain.messages import Progress
from ..domain.pretraining import (
    PretrainingReport,
    PretrainingSettings,
    difference,
    fingerprint,
)
from ..domain.training_events import Said
from ..runtime import Runtime
from ..system.durable import settle, write_text
from ..system.files import read_json
from ..weights.disk import writing
from ..weights.fetch_errors import require_space
from ..weights.verify.file_names import SETTINGS_FILES
from .alone import alone
from .corpus import Corpus, prepare
from .curves import csv_text, svg
from .engine.decoder_run import CHECKPOINT, Pretraining, checkpoint_notes
from .engine.pretrainer import WEIGHTS, Pretrained, learn, tokens_in
from .pretrain_memory import required
from .tokenizing import Tokens
from .waited import waited

REPORT, RUN = "training.json", "unfinished"
CSV, SVG, SAMPLES = "losses.csv", "losses.svg", "samples.txt"
_ASKED, _PLAN = "asked.json", "plan.json"
_COPIES = 4  # of the weights, on the disk: two of Adam's means beside them, and the finished file


def pretrain(
    runtime: Runtime, settings: PretrainingSettings, data: str, out: Path
) -> Generator[Progress | PretrainingReport, None, None]:
    """Train a decoder on documents and write it to the folder `out`.

    `data` is a file, a folder, or `stories` or `tinystories`. Yields progress, and at last the report; closing it waits
    for the current step, and leaves a checkpoint from which the same call goes on. Raises PaddockError.
    """
    started = time.perf_counter()
    _require_free(out)
    run = out / RUN
    with writing(out.name, out), alone(run, _busy(out)), _nothing_in_the_way(run):
        _require_same(run / _ASKED, {"data": data, **asdict(settings)}, out)
        corpus = yield from reported(
            lambda on_progress, cancelled: prepare(runtime, settings, data, run, on_progress, cancelled),
            Progress("read", detail="the documents"),
        )
        yield Said("read", detail=f"{corpus.counts.sentence(settings.max_tokens)}.", facts=asdict(corpus.counts))
        training = _training(runtime, settings, data, out, corpus)
        plan = required(runtime, training)
        yield Said("train", detail=f"{plan.sentence()}.", facts={"memory": plan.facts()})
        if not training.tokens:
            training = yield from _planned(training)
        said = f"{training.tokens:,} tokens are to be learned from, {training.tokens / corpus.counts.tokens:.2f} epochs"
        yield Said("read", detail=said, facts={"tokens": training.tokens})
        resumed = (run / CHECKPOINT).is_file()
        made = run / "model"
        made.mkdir(exist_ok=True)
        learned = yield from waited(
            reported(
                lambda on_progress, cancelled: learn(training, made, on_progress, cancelled),
                Progress("train", detail="starting"),
            )
        )
        report = _report(runtime, training, data, corpus, learned, time.perf_counter() - started, resumed)
        _write_beside(made, run, training, learned, report)
        _deliver(made, out)
    shutil.rmtree(run)
    yield report


@contextmanager
def _nothing_in_the_way(run: Path) -> Iterator[None]:
    """Of what fails before its first checkpoint nothing is left that would have a corrected command refused."""
    try:
        yield
    except (PaddockError, OSError) as error:
        if (
            not isinstance(error, BadRunFolder | PretrainingStopped | PretrainingDiverged)
            and not (run / CHECKPOINT).exists()
        ):
            shutil.rmtree(run)
            with suppress(OSError):
                run.parent.rmdir()
        raise


def _training(runtime: Runtime, settings: PretrainingSettings, data: str, out: Path, corpus: Corpus) -> Pretraining:
    """What is trained; raises BadRunFolder where a checkpoint is of another training, DiskFull."""
    from .llama import Config

    run, size = out / RUN, settings.shape
    config = Config(
        corpus.counts.vocabulary,
        size.hidden,
        size.intermediate,
        size.layers,
        size.heads,
        size.kv_heads,
        max_position_embeddings=settings.max_tokens,
    )
    made_with = fingerprint(settings, data, corpus.sha256, corpus.tokens_sha256)
    earlier = json.loads(checkpoint_notes(run).get("made_with", "{}"))
    if earlier and (other := difference(earlier, made_with)):
        reason = f"it holds the checkpoint of another training ({other})"
        raise BadRunFolder(folder=out.name, reason=reason, suggestion="Name another folder with --out.")
    precision = settings.precision
    if precision == "auto":
        # On a CPU, even one with AMX, casting costs these sizes more than bf16 saves (docs/pretraining.md).
        on_gpu = runtime.machine.accelerator != "cpu"
        precision = "bf16" if on_gpu and runtime.machine.native_bf16 else "fp32"
    threads, accelerator = runtime.settings.compute_threads, runtime.machine.accelerator
    require_space(_COPIES * 4 * parameters(size, corpus.counts.vocabulary), "the checkpoint", run)
    tokens = settings.tokens or int(read_json(run / _PLAN).get("tokens", 0))
    return Pretraining(settings, config.to_dict(), run, accelerator, threads, precision, tokens, made_with)


def _planned(training: Pretraining) -> Generator[Progress, None, Pretraining]:
    """The same with as many tokens as the minutes allow, noted once, so that a run that goes on has the same."""
    tokens = yield from waited(
        reported(
            lambda on_progress, cancelled: tokens_in(training, 60 * training.settings.minutes, on_progress),
            Progress("train", detail="starting"),
        )
    )
    write_text(training.rows / _PLAN, json.dumps({"tokens": tokens}))
    return replace(training, tokens=tokens)


def _require_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BadRunFolder(folder=out.name, reason="it is a file", suggestion="Name a folder with --out.")
    held = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    if held and RUN not in held:
        reason = f"it holds other files, like {held[0][:60]}"
        if REPORT in held or WEIGHTS in held:
            reason = "it holds a finished model"
        suggestion = "Name a new or empty folder with --out."
        raise BadRunFolder(folder=out.name, reason=reason, suggestion=suggestion)


def _busy(out: Path) -> BadRunFolder:
    reason = "another process trains there"
    return BadRunFolder(folder=out.name, reason=reason, suggestion="Wait, or name another --out.")


def _require_same(path: Path, asked: dict[str, Any], out: Path) -> None:
    """Note what is asked for, or raise BadRunFolder where the folder is of a run with other settings."""
    earlier = read_json(path)
    if not earlier:
        write_text(path, json.dumps(asked))
    elif other := difference(earlier, asked):
        raise BadRunFolder(
            folder=out.name,
            reason=f"it holds an unfinished run of other settings ({other})",
            suggestion="Run that command to go on with it, or name another folder with --out.",
        )


def _report(
    runtime: Runtime,
    training: Pretraining,
    data: str,
    corpus: Corpus,
    learned: Pretrained,
    seconds: float,
    resumed: bool,
) -> PretrainingReport:
    names = ("torch", "transformers", "tokenizers")
    return PretrainingReport(
        size=training.settings.size,
        parameters=learned.parameters,
        data=Path(data).name,
        data_sha256=corpus.sha256,
        counts=corpus.counts,
        settings=training.settings,
        precision=training.precision,
        steps=learned.steps,
        tokens=learned.tokens,
        before=learned.before,
        after=learned.after,
        losses=learned.losses,
        tokens_per_s=round(learned.tokens_per_s, 1),
        peak=round(learned.peak, 4),
        peak_flops=learned.peak_flops,
        seconds=round(seconds, 1),
        resumed=resumed,
        versions={name: importlib.metadata.version(name) for name in names},
        machine={
            "accelerator": training.accelerator,
            "cores": training.threads,
            "processor": platform.machine(),
        },
    )


def _write_beside(made: Path, run: Path, training: Pretraining, learned: Pretrained, report: PretrainingReport) -> None:
    """The config, the tokenizer and the curves, beside the weights."""
    tokens = Tokens(run)
    special = {"bos_token_id": tokens.start, "eos_token_id": tokens.end}
    config = training.model | special | {"pad_token_id": None}
    if training.settings.shape.kind != "llama":
        kept = ("vocab_size", "hidden_size")
        config = {"model_type": training.settings.shape.kind, **{name: config[name] for name in kept}}
    write_text(made / "config.json", json.dumps(config, indent=2) + "\n")
    stated = {name: value for name, value in special.items() if value is not None} | {"do_sample": True}
    write_text(made / "generation_config.json", json.dumps(stated, indent=2) + "\n")
    for name in SETTINGS_FILES:
        if (run / name).is_file():
            shutil.copyfile(run / name, made / name)
    title = f"{training.settings.size}: {report.parameters:,} parameters, held-out loss {report.after:.3f}"
    write_text(made / CSV, csv_text(learned.losses))
    write_text(made / SVG, svg(learned.losses, title))
    write_text(made / SAMPLES, "\n\n----\n\n".join(learned.samples) + "\n")
    write_text(made / REPORT, json.dumps(asdict(report), indent=2) + "\n")


def _deliver(made: Path, out: Path) -> None:
    """Move the finished files into place, the report last."""
    for path in sorted(made.iterdir(), key=lambda path: path.name == REPORT):
        settle(path)
        os.replace(path, out / path.name)
    settle(out)
