"""A LoRA learned on the engine thread: PEFT's matrices, transformers' Trainer, losses on held-out rows."""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...domain.errors import NotTrainable, TrainingDiverged, TrainingStopped
from ...domain.load import ActiveAdapter, Snapshot
from ...domain.messages import Progress
from ...domain.training import EpochLoss, TrainingSettings
from ...domain.training_events import Said, Step
from ...engines.lora.attached import Adapters
from ...engines.transformers import group
from ...engines.transformers.engine_thread import computed
from ...engines.transformers.loader import OnProgress, load
from .batches import collate, held_out_loss
from .examples import Examples
from .sharded import sharded_trainer, whole

CONFIG, MATRICES = "adapter_config.json", "adapter_model.safetensors"
MARK = "paddock-training.json"  # in a checkpoint that was written to its end: what it was made with
WARMUP = 0.1  # share of the steps in which the learning rate rises
_HELD_OUT, _TRAIN = "paddock_held_out", "paddock_train"  # our entries in the Trainer's history, which checkpoints keep


@dataclass(frozen=True)
class Training:
    """What is trained on what; `checkpoints` is a folder of our own, `fingerprint` is written into each of them.

    `hub_id` names the base in the adapter's config; the adapters that it is trained `on` act on the base, and stay as
    they are. `resume` is the checkpoint to go on from, empty for none. With several `processes` this one leads the
    others, which have joined it.
    """

    snapshot: Snapshot
    mode: str
    accelerator: str
    threads: int
    hub_id: str
    settings: TrainingSettings
    examples: Examples
    checkpoints: str
    fingerprint: dict[str, Any]
    on: tuple[ActiveAdapter, ...] = ()
    resume: str = ""
    processes: int = 1
    leads: bool = True  # of several processes the first, which writes the files


@dataclass(frozen=True)
class Learned:
    """Losses in nats a token; `after` is that of the matrices as they were stored."""

    before: float
    after: float
    epochs: tuple[EpochLoss, ...]
    parameters: int


def learn(training: Training, folder: Path, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Learned:
    """Train, from any thread, and write the adapter's two files to `folder`.

    Raises TrainingStopped within a step of `cancelled`, TrainingDiverged, NotTrainable, OutOfMemory, ProcessLost,
    EngineFailed.
    """

    def job() -> Learned:
        if training.processes > 1:
            group.tell(partial(_learn_too, replace(training, leads=False), folder))
        return _learn(training, folder, on_progress, cancelled)

    return computed(job, training.threads, during="while training")


def _learn_too(training: Training, folder: Path) -> None:
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
    with _layout_for_training(training.mode):
        # What is shared out is read into main memory, since a GPU may have room for its part only.
        loaded = load(training.snapshot, training.mode, "cpu" if several else training.accelerator, on_progress)
    acting = Adapters(loaded.model, len(training.on), sys.maxsize).hooked(training.on)
    with acting, group.noticing_loss(training.processes):
        return _learned(loaded.model, training, folder, on_progress, stopped)


def _learned(
    model: Any, training: Training, folder: Path, on_progress: OnProgress, cancelled: Callable[[], bool]
) -> Learned:
    from torch import no_grad
    from transformers import PrinterCallback, Trainer, set_seed

    settings, examples = training.settings, training.examples
    set_seed(settings.seed)  # of the matrices' first values
    model = _with_lora(model, training)
    watch = _watch(training, on_progress, cancelled)
    trainer = (sharded_trainer() if training.processes > 1 else Trainer)(
        model=model,
        args=_arguments(training),
        train_dataset=[{"input_ids": example.ids, "labels": example.labels} for example in examples.train],
        data_collator=collate,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=training.resume or None)
    history = trainer.state.log_history
    with no_grad():
        for matrix in _trained(model):
            matrix.copy_(matrix.bfloat16())
    after = watch.held_out_loss(model, "")
    said = f"with the adapter as it is stored: held-out loss {after:.3f}"
    on_progress(Said("evaluate", detail=said, facts={"step": trainer.state.global_step, "stored": after}))
    save(model, training.hub_id, folder, training.leads)
    losses = [entry for entry in history if _HELD_OUT in entry]
    epochs = tuple(EpochLoss(n, entry[_TRAIN], entry[_HELD_OUT]) for n, entry in enumerate(losses[1:], 1))
    return Learned(losses[0][_HELD_OUT], after, epochs, sum(matrix.numel() for matrix in _trained(model)))


def _with_lora(model: Any, training: Training) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    settings = training.settings
    linears = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    names = {name.rpartition(".")[2] for name in linears if ".layers." in f".{name}"}
    if missing := [name for name in settings.targets if name not in names]:
        raise NotTrainable(
            model=training.hub_id,
            reason=f"its layers have no linear module {', '.join(missing)}",
            suggestion=f"Name some of {', '.join(sorted(names))} with --targets.",
        )
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(settings.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _trained(model: Any) -> list[Any]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _arguments(training: Training) -> Any:
    from transformers import TrainingArguments

    settings, cuda = training.settings, training.accelerator == "cuda"
    return TrainingArguments(
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


def save(model: Any, hub_id: str, folder: Path, writes: bool = True) -> None:
    """The adapter's two files as PEFT reads them: matrices in bf16, a config that names the base by its Hub id.

    Of several processes all have to gather the matrices, and one `writes` them.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save as serialized

    matrices = get_peft_model_state_dict(model, save_embedding_layers=False)  # “auto” would ask the Hub
    stored = {name: whole(matrix.detach()).to("cpu", torch.bfloat16).contiguous() for name, matrix in matrices.items()}
    if not writes:
        return
    (folder / MATRICES).write_bytes(serialized(stored, metadata={"format": "pt"}))
    config = model.peft_config["default"].to_dict() | {"base_model_name_or_path": hub_id, "inference_mode": True}
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (folder / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _watch(training: Training, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Any:
    """What the Trainer tells of: progress, cancellation, the held-out losses, and checkpoints that are whole."""
    from transformers import TrainerCallback

    settings, held_out = training.settings, training.examples.held_out

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._state = state
            self._began, self._first = time.perf_counter(), state.num_input_tokens_seen
            if state.global_step == 0:
                self._check(state, kwargs["model"], "before the training", 0.0)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.stop_if_cancelled()

        on_substep_end = on_step_end

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            if "loss" not in logs:
                return
            if not math.isfinite(logs["loss"]):
                raise TrainingDiverged(step=state.global_step)
            on_progress(self._step(state, logs["loss"]))

        def _step(self, state: Any, loss: float) -> Step:
            epoch = min(math.ceil(state.epoch), settings.epochs)
            tokens = state.num_input_tokens_seen
            speed = (tokens - self._first) / (time.perf_counter() - self._began)
            left = (state.max_steps - state.global_step) * tokens / state.global_step / speed if speed else 0.0
            detail = (
                f"epoch {epoch} of {settings.epochs}, loss {loss:.3f}, {speed:,.0f} tokens/s, {left / 60:.1f} min left"
            )
            return Step(
                "train",
                state.global_step,
                state.max_steps,
                "steps",
                detail,
                tokens=tokens,
                loss=loss,
                held_out=[entry[_HELD_OUT] for entry in state.log_history if _HELD_OUT in entry][-1],
                tokens_per_s=speed,
                seconds_left=left,
            )

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            last = max(n for n, entry in enumerate(state.log_history) if _HELD_OUT in entry)
            losses = [entry["loss"] for entry in state.log_history[last:] if "loss" in entry]
            train = sum(losses) / max(1, len(losses))
            self._check(state, kwargs["model"], f"epoch {round(state.epoch)} of {settings.epochs}", train)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not training.leads:
                return
            written = Path(training.checkpoints) / f"checkpoint-{state.global_step}"
            (written / MARK).write_text(json.dumps(training.fingerprint), encoding="utf-8")
            for other in Path(training.checkpoints).glob("checkpoint-*"):
                if other != written:
                    shutil.rmtree(other)

        def stop_if_cancelled(self) -> None:
            if cancelled():
                raise TrainingStopped(step=self._state.global_step, steps=self._state.max_steps)

        def held_out_loss(self, model: Any, when: str) -> float:
            def on_batch(done: int, total: int) -> None:
                self.stop_if_cancelled()
                on_progress(Progress("evaluate", done, total, "steps", when))

            return held_out_loss(model, held_out, settings.batch, on_batch, training.processes)

        def _check(self, state: Any, model: Any, when: str, train: float) -> None:
            began = time.perf_counter()
            loss = self.held_out_loss(model, when)
            self._began += time.perf_counter() - began  # the speed is that of learning
            state.log_history.append({_HELD_OUT: loss, _TRAIN: train, "step": state.global_step})
            said = f"{when}: {f'loss {train:.3f}, ' if state.global_step else ''}held-out loss {loss:.3f}"
            facts = {"step": state.global_step, "tokens": state.num_input_tokens_seen, "train": train, "held_out": loss}
            on_progress(Said("evaluate", detail=said, facts=facts))

    return Watch()


@contextmanager
def _layout_for_training(mode: str) -> Iterator[None]:
    """Load 4-bit layers that keep their plain layout on a CPU with AVX512-BF16.

    There, a layer's first forward pass in eval mode reorders its weights for a kernel through which no gradient
    flows, so that all layers but the last would learn nothing. Layers ask once, when they are made (0.50).
    """
    if mode in ("fp32", "bf16"):
        yield
        return
    from bitsandbytes.nn import modules

    asked = modules.has_avx512bf16
    modules.has_avx512bf16 = lambda: False
    try:
        yield
    finally:
        modules.has_avx512bf16 = asked
