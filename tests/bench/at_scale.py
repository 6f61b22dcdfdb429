"""What each process of a large training takes, by the plan; nothing is loaded: python -m tests.bench.at_scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from models.domain.catalog import load_catalog
from models.domain.memory.plan import Budget, Part, plan
from models.domain.memory.sharded_plan import sharded_parts
from models.domain.memory.training_plan import step_parts
from models.domain.quantization import MODES, Machine
from models.domain.training import TrainingSettings

TOKENS = 1024  # of the longest row
RANK = 16


@dataclass(frozen=True)
class Case:
    """A base on so many GPUs of one kind, `rows` a step on each."""

    base: str
    mode: str
    gpus: int
    gigabytes: int
    rows: int
    copies: int = 1
    method: str = "lora"


CASES = (
    Case("llama-2-7b", "nf4", 1, 24, 2),
    Case("llama-3.1-8b", "nf4", 1, 24, 1),
    Case("llama-3.1-8b", "bf16", 2, 24, 1),
    Case("llama-3.3-70b-instruct", "nf4", 2, 24, 1),
    Case("llama-3.3-70b-instruct", "nf4", 2, 48, 1),
    Case("llama-3.3-70b-instruct", "nf4", 8, 24, 1),
    Case("llama-3.1-8b", "bf16", 8, 80, 8, copies=2),
    Case("llama-3.3-70b-instruct", "bf16", 8, 80, 4),
    Case("llama-3.1-8b", "fp32", 8, 80, 2, method="full"),
)


def parts(case: Case) -> tuple[Part, ...]:
    """Memory of one process, as `finetune` plans it on a GPU."""
    card, mode = load_catalog()[case.base], MODES[case.mode]
    shape = card.sizes
    budget = Budget("a GPU", case.gigabytes * 10**9, case.gigabytes * 10**9)
    planned = plan(case.base, card, mode, Machine("cuda"), budget, TOKENS)
    settings = TrainingSettings(method=case.method, rank=RANK, batch=case.rows * case.gpus, quantization=case.mode)
    widened = 0 if case.mode in ("fp32", "bf16") else shape.embedding_parameters * (2 if shape.tied_embeddings else 4)
    if case.gpus > 1:
        return sharded_parts(planned, shape, settings, TOKENS, widened, case.gpus, case.copies, checkpointed=True)
    value_bytes = 2 if case.mode == "bf16" else 4
    base = Part("base", "base", planned.needed + widened)
    return (base, *step_parts(shape, settings, TOKENS, value_bytes, checkpointed=True))


def lines() -> Iterator[str]:
    """A table in Markdown."""
    yield "| trained | GPUs | rows each | base, GB | gathered | step | a process, GB | |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for case in CASES:
        found = {part.key: part.bytes / 1e9 for part in parts(case)}
        step = sum(found[key] for key in ("activations", "logits", "optimizer"))
        base, total = found["base"] + found.get("own", 0), sum(found.values())
        copies = f", {case.copies} copies" if case.copies > 1 else ""
        fits = "fits" if total < 0.95 * case.gigabytes else "does not fit"
        figures = f"{base:.1f} | {found.get('gathered', 0):.1f} | {step:.1f} | {total:.1f}"
        gpus = f"{case.gpus} x {case.gigabytes} GB{copies}"
        what = f"all of `{case.base}`" if case.method == "full" else f"`{case.base}@{case.mode}`"
        yield f"| {what} | {gpus} | {case.rows} | {figures} | {fits} |"


if __name__ == "__main__":
    print(*lines(), sep="\n")
