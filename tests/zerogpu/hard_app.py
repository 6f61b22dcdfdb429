"""The app with hard luck in its workers: slow steps as the environment says, and seeds that bring failures."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from models.domain.messages import Progress
from models.engines.transformers import decode_loop, engine

LOAD_S, PREFILL_S = float(os.environ.get("SLOW_LOAD_S", "0")), float(os.environ.get("SLOW_PREFILL_S", "0"))
TOKEN_S, START_S = float(os.environ.get("SLOW_TOKEN_S", "0")), float(os.environ.get("SLOW_START_S", "0"))
OUT_OF_MEMORY, UNKNOWN, STUCK = 1001, 1002, 1003
load, prefill, tokens = engine.load, decode_loop.prefill, decode_loop.tokens


def slow_load(snapshot: Any, mode: str, accelerator: str, on_progress: Any, *rest: Any) -> Any:
    for step in range(round(LOAD_S / 0.1)):
        time.sleep(0.1)
        print(f"LOADING {os.getpid()} {step}", flush=True)
        on_progress(Progress("read", step, LOAD_S / 0.1, "tensors"))
    return replace(load(snapshot, mode, accelerator, on_progress, *rest), eos_ids=())  # an answer never ends by chance


def slow_prefill(model: Any, ids: Any, *rest: Any) -> Any:
    for step in range(round(PREFILL_S / 0.5) if len(ids) > 64 else 0):
        time.sleep(0.5)
        print(f"PREFILL {os.getpid()} {step}", flush=True)
        yield 0
    yield from prefill(model, ids, *rest)


def hard_tokens(loaded: Any, ids: Any, cache: Any, sampling: Any, limit: int, seed: Any, *rest: Any) -> Any:
    for number, each in enumerate(tokens(loaded, ids, cache, sampling, limit, seed, *rest)):
        if number == 2 and seed == OUT_OF_MEMORY:
            import torch

            torch.empty(10**15)
        if number == 2 and seed == UNKNOWN:
            raise KeyError("a secret of the worker")
        if number == 2 and seed == STUCK:
            time.sleep(60)
        time.sleep(TOKEN_S)
        yield each


def slow_start(uuid: str) -> None:
    time.sleep(START_S)
    init(uuid)


if __name__ == "__main__":
    from spaces.zero import torch as zero_torch

    init, zero_torch.init = zero_torch.init, slow_start
    engine.load, decode_loop.prefill, decode_loop.tokens = slow_load, slow_prefill, hard_tokens
    from tests.zerogpu import patient_app

    patient_app.main()
