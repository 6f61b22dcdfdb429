"""What transformers' Trainer tells of while it trains: progress, held-out losses, whole checkpoints, when to end."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...domain.errors import TrainingDiverged, TrainingStopped
from ...domain.messages import Progress
from ...domain.training import EpochLoss
from ...domain.training_events import Said, Step
from ...engines.transformers import group
from ...engines.transformers.loader import Loaded, OnProgress
from .batches import held_out_loss
from .methods import trained
from .openings import continued, openings
from .sharded import collected, part_of
from .training import BEST, FINISH, MARK, Training

ASKED, SHOWN = 60, 160  # characters of an opening, its end, and of what follows
TOO_HIGH = 1.1  # times the loss before the training, while learning and held out
_LOOK = "paddock_look"  # our entries in the Trainer's history, which checkpoints keep


def looks(history: Sequence[dict[str, Any]]) -> list[EpochLoss]:
    """The losses at the ends of epochs, the first before the training."""
    return [EpochLoss(**entry[_LOOK]) for entry in history if _LOOK in entry]


def watch(training: Training, loaded: Loaded, on_progress: OnProgress, cancelled: Callable[[], bool]) -> Any:
    """A TrainerCallback that raises TrainingStopped within a step of `cancelled`, and TrainingDiverged."""
    from transformers import TrainerCallback

    settings, held_out, several = training.settings, training.examples.held_out, training.processes > 1

    fixed = [] if several else openings(held_out)

    def finished() -> bool:
        asked = training.beside(FINISH).exists()
        return group.agreed(asked) if several else asked

    class Watch(TrainerCallback):  # type: ignore[misc]
        finished = False  # it was asked to end with what there is

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._state = state
            self._began, self._first = time.perf_counter(), state.num_input_tokens_seen
            earlier = looks(state.log_history)
            self._held_out = earlier[-1].held_out if earlier else 0.0
            self._ended = _stalled(earlier, settings.patience)  # and was cut off before it was stored
            if state.global_step == 0:
                self._look(state, kwargs["model"], 0.0)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.stop_if_cancelled()
            self.finished = self.finished or finished()
            control.should_training_stop |= self._ended or self.finished

        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.stop_if_cancelled()

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            if "loss" not in logs:
                return
            if not math.isfinite(logs["loss"]):
                raise TrainingDiverged(step=state.global_step)
            on_progress(self._step(state, logs["loss"]))

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if self._ended:
                return
            last = max(n for n, entry in enumerate(state.log_history) if _LOOK in entry)
            losses = [entry["loss"] for entry in state.log_history[last:] if "loss" in entry]
            self._look(state, kwargs["model"], sum(losses) / max(1, len(losses)))
            if state.epoch % 1:  # it was ended within an epoch, which nothing can go on with
                control.should_save = False
            control.should_training_stop |= _stalled(looks(state.log_history), settings.patience)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not training.leads:
                return
            written = training.beside(f"checkpoint-{state.global_step}")
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

        def _step(self, state: Any, loss: float) -> Step:
            tokens = state.num_input_tokens_seen
            speed = (tokens - self._first) / (time.perf_counter() - self._began)
            left = (state.max_steps - state.global_step) * tokens / state.global_step / speed if speed else 0.0
            pace = f"{speed:,.0f} tokens/s, {left / 60:.1f} min left"
            epoch = min(math.ceil(state.epoch), settings.epochs)
            detail = f"epoch {epoch} of {settings.epochs}, loss {loss:.3f}, {pace}"
            return Step(
                "train",
                state.global_step,
                state.max_steps,
                "steps",
                detail,
                tokens=tokens,
                loss=loss,
                held_out=self._held_out,
                tokens_per_s=speed,
                seconds_left=left,
            )

        def _look(self, state: Any, model: Any, train: float) -> None:
            began, epoch = time.perf_counter(), round(state.epoch or 0, 2)
            when = f"epoch {epoch:g} of {settings.epochs}" if state.global_step else "before the training"
            loss = self._held_out = self.held_out_loss(model, when)
            if not math.isfinite(loss):
                raise TrainingDiverged(step=state.global_step)
            earlier = looks(state.log_history)
            state.log_history.append({_LOOK: {"epoch": epoch, "train": train, "held_out": loss}})
            said = f"{when}: {f'loss {train:.3f}, ' if state.global_step else ''}held-out loss {loss:.3f}"
            facts = {"step": state.global_step, "tokens": state.num_input_tokens_seen, "train": train, "held_out": loss}
            on_progress(Said("evaluate", detail=said, facts=facts))
            for asked, text in continued(model, loaded, fixed):
                facts = {"step": state.global_step, "asked": asked, "sample": text}
                on_progress(Said("evaluate", detail=f"{_end(asked, ASKED)} → {_end(text, SHOWN)}", facts=facts))
            self._began += time.perf_counter() - began  # the speed is that of learning
            if earlier and min(train, loss) > TOO_HIGH * earlier[0].held_out:
                rate = settings.learning_rate
                said = f"The loss is higher than before the training: the learning rate {rate:g} is too high for this"
                on_progress(Said("train", detail=f"{said}; try {rate / 10:g}.", facts={"too_high": rate}))
            if not earlier or loss < min(look.held_out for look in earlier):
                _keep(model, training)

    return Watch()


def _end(text: str, most: int) -> str:
    """The end of a text, on a line."""
    words = " ".join(text.split())
    return words if len(words) <= most else f"… {words[-most:]}"


def _stalled(found: Sequence[EpochLoss], patience: int) -> bool:
    """Whether the last `patience` looks were no better than one before them; 0 waits forever."""
    if not patience or len(found) <= patience:
        return False
    return min(look.held_out for look in found[-patience:]) >= min(look.held_out for look in found[:-patience])


def _keep(model: Any, training: Training) -> None:
    from safetensors.torch import save_file

    values = collected((name, value.detach()) for name, value in trained(model).items())
    if training.leads:
        part = training.beside(f".{BEST}.part")
        save_file({name: value.contiguous() for name, value in values.items()}, part)
        part.replace(training.beside(BEST))


def take_up(model: Any, training: Training) -> None:
    """Put the kept values back into the model."""
    from safetensors.torch import load_file
    from torch import no_grad

    kept = load_file(training.beside(BEST))
    with no_grad():
        for name, value in trained(model).items():
            value.copy_(part_of(kept[name], value))
