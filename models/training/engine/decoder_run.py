"""A decoder of our own while it is trained: its steps, looks at its loss and its text, and its checkpoint."""

from __future__ import annotations

import errno
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...domain.errors import DiskFilled, PretrainingDiverged
from ...domain.memory.pretraining_plan import HELD_OUT_AT_ONCE
from ...domain.messages import Progress
from ...domain.pretraining import Loss, PretrainingSettings
from ...domain.training_events import Said, Step
from ...system.durable import put
from ..token_rows import HELD_OUT, TRAIN, Rows
from ..tokenizing import Tokens

if TYPE_CHECKING:
    from ..causal import Decoder

OnProgress = Callable[[Progress], None]
CHECKPOINT = "checkpoint.safetensors"
BETAS, WEIGHT_DECAY, CLIP = (0.9, 0.95), 0.1, 1.0
WARMUP, FLOOR = 0.05, 0.1  # shares of the tokens in which the rate rises, and of the rate that is left at the end
LOOKS, SAMPLES = 20, 4  # in a run
GLANCE = 256  # held-out rows of a look
FILLER = -1
_ADAM = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Pretraining:
    """What is trained on what; `rows` is the folder of token ids, tokenizer and checkpoint.

    `model` is the config of a Llama; `tokens` are those of the whole run.
    """

    settings: PretrainingSettings
    model: dict[str, Any]
    rows: Path
    accelerator: str
    threads: int
    precision: str
    tokens: int
    fingerprint: dict[str, Any]


class Run:
    """The model, its optimizer and how far it has come."""

    def __init__(self, training: Pretraining) -> None:
        import torch

        from ..feed_forward import FeedForward
        from ..llama import Config, Llama

        self.training, self.settings = training, training.settings
        self.train, self.held_out = Rows(training.rows, TRAIN), Rows(training.rows, HELD_OUT)
        self.tokenizer = Tokens(training.rows)
        torch.manual_seed(self.settings.seed)
        config = Config.read(training.model)
        kind = Llama if self.settings.shape.kind == "llama" else FeedForward
        self.model: Decoder = kind(config).to(training.accelerator)
        self.named = dict(self.model.named_parameters())
        self.parameters = sum(one.numel() for one in self.named.values())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [one for one in self.named.values() if one.dim() >= 2], "weight_decay": WEIGHT_DECAY},
                {"params": [one for one in self.named.values() if one.dim() < 2], "weight_decay": 0.0},
            ],
            lr=self.settings.rate,
            betas=BETAS,
            fused=training.accelerator != "mps",
        )
        self.steps = self.tokens = 0
        self.losses: list[Loss] = []
        self.sums: list[float] = [0.0, 0.0]  # nats and tokens since the last look
        self.recent = 0.0

    # --- one step --------------------------------------------------------------------------------------

    @property
    def flops(self) -> float:
        """Of a token, forwards and backwards: two a weight that it meets, and what attention does with those before."""
        config = self.model.config
        looked_up = 0 if getattr(config, "tie_word_embeddings", False) and self.settings.shape.kind == "llama" else 1
        met = self.parameters - looked_up * config.vocab_size * config.hidden_size
        before = float(self.train.lengths.mean()) / 2
        layers = config.num_hidden_layers if self.settings.shape.kind == "llama" else 0
        return 3 * (2 * met + 4 * layers * config.hidden_size * before)

    @property
    def expected_steps(self) -> int:
        """How many steps the whole run will have, about."""
        return max(self.steps, math.ceil(self.training.tokens * self.steps / self.tokens)) if self.tokens else 0

    def batches(self) -> Iterator[Any]:
        """From where the run has come, epoch after epoch."""
        to_skip = self.steps
        size = self.settings.rows
        a_epoch = math.ceil(len(self.train) / size)
        for epoch in count(to_skip // a_epoch):
            for number, batch in enumerate(self.train.batches(size, self.settings.seed, epoch)):
                if epoch * a_epoch + number >= to_skip:
                    yield batch

    def rate(self) -> float:
        """Of the step that comes, by the tokens before it: up, then down along a cosine."""
        done = self.tokens / self.training.tokens
        if done < WARMUP:
            return self.settings.rate * max(done / WARMUP, 0.01)
        turn = (1 + math.cos(math.pi * min(1.0, (done - WARMUP) / (1 - WARMUP)))) / 2
        return self.settings.rate * (FLOOR + (1 - FLOOR) * turn)

    def step(self, batch: Any) -> int:
        """Learn from some rows; returns how many tokens they have. Raises PretrainingDiverged."""
        import torch

        from ..causal import row_losses

        ids = self.padded(self.train, batch)
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with self.autocast():
            losses = row_losses(self.model, ids, FILLER)
            loss = losses.mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self.diverged()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        tokens = int(self.train.lengths[batch].sum())
        self.steps, self.tokens = self.steps + 1, self.tokens + tokens
        self.sums = [self.sums[0] + value * losses.numel(), self.sums[1] + losses.numel()]
        self.recent = value if self.steps == 1 else 0.95 * self.recent + 0.05 * value
        return tokens

    def diverged(self) -> PretrainingDiverged:
        """What to say when the loss is no number."""
        kept = json.loads(self.notes().get("run", "{}")).get("steps", 0)
        return PretrainingDiverged(step=self.steps, kept=kept, folder=str(self.training.rows))

    def padded(self, rows: Rows, numbers: Any) -> Any:
        """B x T ids, FILLER after the end of each row."""
        import numpy as np
        import torch

        chosen = [rows[int(number)] for number in numbers]
        ids = np.full((len(chosen), max(map(len, chosen))), FILLER, np.int64)
        for place, row in enumerate(chosen):
            ids[place, : len(row)] = row
        return torch.from_numpy(ids).to(self.training.accelerator)

    def autocast(self) -> AbstractContextManager[Any]:
        import torch

        low = self.training.precision == "bf16"
        return torch.autocast(self.training.accelerator, torch.bfloat16, enabled=low)

    # --- looks -----------------------------------------------------------------------------------------

    def look_is_due(self) -> bool:
        """Whether another twentieth of the tokens is done."""
        seen, looks = self.losses[-1].tokens, LOOKS / self.training.tokens
        return int(self.tokens * looks) > int(seen * looks)

    def look(self, on_progress: OnProgress) -> None:
        """A point of the curves, and now and then how the model writes."""
        train = self.sums[0] / self.sums[1] if self.sums[1] else 0.0
        loss = Loss(self.steps, self.tokens, self.rate(), train, self.held_out_loss(GLANCE))
        self.losses.append(loss)
        self.sums = [0.0, 0.0]
        learned = f"loss {train:.3f}, " if train else ""
        line = f"step {self.steps:,}, {self.tokens:,} tokens: {learned}held-out loss {loss.held_out:.3f}"
        on_progress(Said("evaluate", detail=line, facts=asdict(loss)))
        if (len(self.losses) - 1) % (LOOKS // SAMPLES) == 0 and self.steps:
            text = self.sample(0)
            on_progress(Said("evaluate", detail=text, facts={"step": self.steps, "sample": text}))

    def held_out_loss(self, most: int) -> float:
        """The mean over all tokens of `most` held-out rows."""
        import numpy as np
        import torch

        from ..causal import row_losses

        self.model.eval()
        chosen = np.arange(min(most, len(self.held_out)))
        chosen = chosen[np.argsort(self.held_out.lengths[chosen], kind="stable")]
        size, total, tokens = max(HELD_OUT_AT_ONCE, self.settings.rows), 0.0, 0
        for start in range(0, len(chosen), size):
            with torch.inference_mode(), self.autocast():
                losses = row_losses(self.model, self.padded(self.held_out, chosen[start : start + size]), FILLER)
            total, tokens = total + float(losses.sum()), tokens + losses.numel()
        return total / tokens

    def sample(self, number: int) -> str:
        """The beginning of a held-out document, its first line or a quarter of it, as the model goes on with it."""
        from ..causal import generate

        text = self.tokenizer.decode(self.held_out[number].tolist()[:-1])
        opening, broken, _ = text.partition("\n")
        opening = opening + broken if broken else text[: max(1, len(text) // 4)]
        ids = self.tokenizer.encode([opening])[0]
        most = max(1, min(200, self.settings.max_tokens - len(ids)))
        new = list(generate(self.model, ids, self.tokenizer.end, most))
        return self.tokenizer.decode([*ids, *new])

    def shown(self, speed: float, peak: float) -> Step:
        """How far the run has come."""
        left = (self.training.tokens - self.tokens) / speed
        detail = (
            f"step {self.steps:,} of about {self.expected_steps:,}, loss {self.recent:.3f}, {speed:,.0f} tokens/s, "
            f"{100 * peak:.0f} % of the matmul peak, {left / 60:.1f} min left"
        )
        return Step(
            "train",
            self.steps,
            self.expected_steps,
            "steps",
            detail,
            tokens=self.tokens,
            loss=self.recent,
            held_out=self.losses[-1].held_out,
            tokens_per_s=speed,
            peak=peak,
            seconds_left=left,
        )

    def matmul_flops(self) -> float:
        """The best of some products of matrices in the precision of the run, in floating point operations a second."""
        import torch

        dtype = torch.bfloat16 if self.training.precision == "bf16" else torch.float32
        width = 1024 if self.training.accelerator == "cpu" else 8192
        one = torch.randn(width, width, device=self.training.accelerator).to(dtype)
        best = 0.0
        for _ in range(8):
            began = time.perf_counter()
            float((one @ one)[0, 0])  # waits for the result
            best = max(best, 2 * width**3 / (time.perf_counter() - began))
        return best

    # --- the checkpoint --------------------------------------------------------------------------------

    def weights(self) -> dict[str, Any]:
        """The parameters as they are saved."""
        return {name: one.detach().cpu().contiguous() for name, one in self.named.items()}

    def save(self) -> None:
        """Replace the checkpoint, unless a weight is no number."""
        tensors = self.weights()
        if not all(bool(one.isfinite().all()) for one in tensors.values()):
            return
        for name, one in self.named.items():
            held = self.optimizer.state[one]
            tensors |= {f"{kind}/{name}": held[kind].cpu() for kind in _ADAM if held}
        run = {
            "steps": self.steps,
            "tokens": self.tokens,
            "sums": self.sums,
            "recent": self.recent,
            "losses": [asdict(loss) for loss in self.losses],
        }
        notes = {"run": json.dumps(run), "made_with": json.dumps(self.training.fingerprint)}
        path = self.training.rows / CHECKPOINT
        part = path.with_name(f".{path.name}.part")
        write(tensors, part, notes)
        put(part, path)

    def notes(self) -> dict[str, str]:
        """What the checkpoint says; nothing where there is none."""
        return checkpoint_notes(self.training.rows)

    def load(self) -> None:
        """Go on from the checkpoint, if there is one."""
        import torch
        from safetensors.torch import load_file

        if not (notes := self.notes()):
            return
        tensors = load_file(self.training.rows / CHECKPOINT)
        with torch.no_grad():
            for name, one in self.named.items():
                one.copy_(tensors[name])
                held = {kind: tensors[f"{kind}/{name}"] for kind in _ADAM if f"{kind}/{name}" in tensors}
                if held:
                    self.optimizer.state[one] = {kind: value.to(one.device) for kind, value in held.items()}
        run = json.loads(notes["run"])
        self.steps, self.tokens, self.sums, self.recent = run["steps"], run["tokens"], run["sums"], run["recent"]
        self.losses = [Loss(**loss) for loss in run["losses"]]


def checkpoint_notes(rows: Path) -> dict[str, str]:
    """What the checkpoint of a folder says of itself; nothing where there is none."""
    from safetensors import safe_open

    if not (path := rows / CHECKPOINT).is_file():
        return {}
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def write(tensors: dict[str, Any], path: Path, notes: dict[str, str]) -> None:
    """Write a file of safetensors; raises DiskFilled and OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path, notes)
    except (OSError, SafetensorError) as error:
        path.unlink(missing_ok=True)
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise DiskFilled(file=path.name, folder=str(path.parent)) from error
        raise
