"""One finetuning on the engine thread: transformers' Trainer over a base that learns by one of the methods."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...domain.errors import DiskFilled, OutOfMemory, TrainingDiverged, TrainingOutOfMemory
from ...domain.training_events import Said
from ...engines.device import tensors_outside_the_heap
from ...engines.lora.attached import Adapters
from ...engines.transformers import group
from ...engines.transformers.engine_thread import computed
from ...engines.transformers.loader import Loaded, OnProgress, load
from ...engines.transformers.plain_four_bits import plain_four_bits
from .batches import collate
from .methods import METHODS, trained
from .sharded import sharded_trainer
from .training import BEST, Learned, Training
from .watch import looks, take_up, watch

WARMUP = 0.1  # share of the steps in which the learning rate rises


def learn(training: Training, folder: Path, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Learned:
    """Train, from any thread, and write what was learned to `folder`.

    Raises TrainingStopped within a step of `cancelled`, TrainingDiverged, NotTrainable, OutOfMemory, ProcessLost,
    EngineFailed.
    """

    def job() -> Learned:
        if training.processes > 1:
            group.tell(partial(_learn_too, training=replace(training, leads=False), folder=folder))
        return _learn(training, folder, on_progress, cancelled)

    try:
        return computed(job, training.threads, during="while training")
    except OutOfMemory:
        raise TrainingOutOfMemory from None
    except DiskFilled:
        raise DiskFilled(file="a checkpoint", folder=Path(training.checkpoints).parent.name) from None


def _learn_too(held: Any, training: Training, folder: Path) -> None:
    """What the other processes do meanwhile: the same, in silence."""
    _learn(training, folder, lambda progress: None, lambda: False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries would print to themselves; what matters is raised."""
    from transformers.utils import logging as messages

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # imported by PEFT, it warns of what it could use
    verbosity = messages.get_verbosity()
    messages.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        messages.set_verbosity(verbosity)


@_quiet()
def _learn(training: Training, folder: Path, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Learned:
    several = training.processes > 1
    stopped = (lambda: group.agreed(cancelled())) if several else cancelled  # all leave off after the same step
    with plain_four_bits(training.mode):
        # What is shared out is read into main memory, since a GPU may have room for its part only.
        loaded = load(training.snapshot, training.mode, "cpu" if several else training.accelerator, on_progress)
    acting = Adapters(loaded.model, len(training.on), sys.maxsize, training.accelerator).hooked(training.on)
    with acting, group.noticing_loss(training.processes):
        return _learned(loaded, training, folder, on_progress, stopped)


def _learned(
    loaded: Loaded, training: Training, folder: Path, on_progress: OnProgress, cancelled: Callable[[], bool]
) -> Learned:
    from torch import no_grad
    from transformers import PrinterCallback, Trainer, set_seed

    method, settings = METHODS[training.settings.method], training.settings
    set_seed(settings.seed)  # of the matrices' first values
    model = method.prepare(loaded.model, training)
    watching = watch(training, loaded, on_progress, cancelled)
    trainer = (sharded_trainer(training.copies) if training.processes > 1 else Trainer)(
        model=model,
        args=_arguments(training),
        train_dataset=[{"input_ids": example.ids, "labels": example.labels} for example in training.examples.train],
        data_collator=collate,
        callbacks=[watching],
    )
    trainer.remove_callback(PrinterCallback)
    with tensors_outside_the_heap() if training.frugal else nullcontext():
        trainer.train(resume_from_checkpoint=training.resume or None)
    before, *epochs = looks(trainer.state.log_history)
    if (settings.patience or watching.finished) and training.beside(BEST).is_file():
        take_up(model, training)
    with no_grad():
        for value in trained(model).values():
            value.copy_(value.bfloat16())
    after = watching.held_out_loss(model, "")
    if not math.isfinite(after):
        raise TrainingDiverged(step=trainer.state.global_step)
    said = f"with the {method.what} as it is stored: held-out loss {after:.3f}"
    on_progress(Said("evaluate", detail=said, facts={"step": trainer.state.global_step, "stored": after}))
    count = sum(value.numel() for value in trained(model).values())
    method.save(model, training, folder)
    return Learned(before.held_out, after, tuple(epochs), count)


def _arguments(training: Training) -> Any:
    from transformers import TrainingArguments

    settings, cuda = training.settings, training.accelerator == "cuda"
    arguments = TrainingArguments(
        output_dir=training.checkpoints,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP,
        weight_decay=0.0,
        optim="adamw_torch",
        train_sampling_strategy="group_by_length",  # a batch is padded to its longest row
        # On a GPU memory is short, and computing activations twice cheap; on a CPU it is the other way round.
        activation_checkpointing=cuda,
        activation_checkpointing_kwargs={"use_reentrant": False} if cuda else None,
        use_cpu=training.accelerator == "cpu",
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        include_num_input_tokens_seen="non_padding",
        seed=settings.seed,
        save_strategy="epoch",
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        log_level="error",
    )
    if arguments.n_gpu > 1:  # else the Trainer copies the model to each, and takes as many batches for one
        arguments._n_gpu = 1
    return arguments
