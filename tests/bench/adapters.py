"""What LoRA adapters cost: decode with one and with two, a switch, attaching, bytes; beside PEFT's own layers."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.domain.engine import Prompt
from models.domain.load import ActiveAdapter
from models.domain.messages import Sampling
from models.domain.settings import Settings
from models.domain.units import size
from models.domain.variant import Variant
from models.engines.transformers.engine import TransformersEngine, open_transformers
from models.engines.transformers.engine_thread import engine_thread
from models.runtime import Runtime

from .processes import SMOLLM2
from .report import Row, Target, print_rows, quiet_watch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from lora_files import write_adapter

RANK = 8
SIZES = {"q_proj": (576, 576), "k_proj": (192, 576), "v_proj": (192, 576), "o_proj": (576, 576)}
SIZES |= {"gate_proj": (1536, 576), "up_proj": (1536, 576), "down_proj": (576, 1536)}
PROMPT = Prompt("1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,")
BEGINNINGS = (
    "The capital of France is", "Once upon a time there was", "To bake bread you need", "A prime number is",
    "In 1969, for the first time,", "def fibonacci(n):",
)  # fmt: skip
SWITCH_S = 0.020
ONE_PASS = Target("<=", 1.6)
Active = tuple[ActiveAdapter, ...]


def adapters(new_tokens: int, repeats: int) -> None:
    """Adapters of rank 8 on all seven matrices of each layer, on bf16 and nf4."""
    for mode in ("bf16", "nf4"):
        print(f"### adapters: {SMOLLM2}@{mode}, rank {RANK} on every linear layer\n")
        with tempfile.TemporaryDirectory() as folder, quiet_watch():
            print_rows(_rows(mode, Path(folder), new_tokens, repeats))


def _rows(mode: str, folder: Path, new_tokens: int, repeats: int) -> list[Row]:
    one, two = (
        ActiveAdapter(write_adapter(folder, name, RANK, seed, tuple(SIZES), 0.01, SIZES, 30), 1.0)
        for seed, name in enumerate(("one", "two"))
    )
    engine, peft = open_engine(mode), open_engine(mode)
    attach_s = _seconds(lambda: engine._adapters.acting((one,)))
    engine_thread().run(lambda: _inject(peft, one))
    sides: dict[str, tuple[TransformersEngine, Active]] = {
        "base": (engine, ()),
        "one": (engine, (one,)),
        "two": (engine, (one, two)),
        "peft": (peft, ()),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, (each, active) in sides.items():
            speed = _decode(each, active, new_tokens)
            if turn:  # the first turn warms up
                speeds[name].append(speed)
    switches = {
        name: statistics.median(_seconds(lambda on=on: engine._adapters.acting(on)) for _ in range(20))
        for name, on in (("one", (one,)), ("two", (one, two)))
    }
    passes = [_pass_ratio(engine, (one,), (two,), new_tokens) for _ in range(3 * repeats)]
    same = [_rows_same(engine, ((), (one,), (two,)), beginning, new_tokens) for beginning in BEGINNINGS]
    set_s = statistics.median(engine_thread().run(lambda: _set_seconds(peft)) for _ in range(10))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    attached = engine.attached[0].bytes
    engine.close()
    peft.close()

    def decode(name: str, beside: str) -> Row:
        figure = f"{median[name]:.1f} to {median[beside]:.1f} tokens/s"
        return Row(f"decode, {name} to {beside}", figure, median[name] / median[beside])

    return [
        decode("one", "base"),
        decode("two", "base"),
        decode("peft", "base"),
        decode("one", "peft"),
        Row("base and two adapters in one pass, to the base alone", "wall time", statistics.median(passes), ONE_PASS),
        Row(f"rows of one pass, {new_tokens} tokens, same as alone", f"{sum(same)} of {3 * len(same)}"),
        Row("switch to one", f"{1000 * switches['one']:.1f} ms", None, Target("<=", SWITCH_S, " s"), switches["one"]),
        Row("switch to two", f"{1000 * switches['two']:.1f} ms", None, Target("<=", SWITCH_S, " s"), switches["two"]),
        Row("PEFT's set_adapter", f"{1000 * set_s:.1f} ms", set_s / switches["one"]),
        Row("attach", f"{1000 * attach_s:.0f} ms"),
        Row("bytes of one", size(attached), attached / engine.bytes),
    ]


def open_engine(mode: str) -> TransformersEngine:
    """SmolLM2 in a mode, in this process."""
    runtime = Runtime(Settings.from_env(os.environ | {"PADDOCK_PRELOAD": "0"}))
    snapshot = runtime.fetch(Variant(SMOLLM2, mode))
    return open_transformers(snapshot, mode, runtime.machine.accelerator, runtime.settings, lambda progress: None)


def _decode(engine: TransformersEngine, active: Active, new_tokens: int) -> float:
    *_, last = engine.generate(PROMPT, Sampling(max_new_tokens=new_tokens, temperature=0), rows=[active])
    assert last.usage.new_tokens == new_tokens
    return last.usage.decode_tokens_per_s


def _pass_ratio(engine: TransformersEngine, one: Active, two: Active, new_tokens: int) -> float:
    sampling = Sampling(max_new_tokens=new_tokens, temperature=0)
    started = time.perf_counter()
    for _ in engine.generate(PROMPT, sampling, rows=[(), one, two]):
        pass
    together = time.perf_counter() - started
    engine_thread().run(engine._prefixes.clear)
    started = time.perf_counter()
    _decode(engine, (), new_tokens)
    return together / (time.perf_counter() - started)


def _rows_same(engine: TransformersEngine, rows: tuple[Active, ...], beginning: str, new_tokens: int) -> int:
    """How many rows of one batch write what they write alone, greedily."""
    prompt, sampling = Prompt(beginning), Sampling(max_new_tokens=new_tokens, temperature=0)
    together = [""] * len(rows)
    for delta in engine.generate(prompt, sampling, rows=rows):
        together[delta.row] += delta.text
    alone = ["".join(d.text for d in engine.generate(prompt, sampling, rows=[row], reuse=False)) for row in rows]
    return sum(ours == theirs for ours, theirs in zip(together, alone, strict=True))


def _seconds(acting: Callable[[], Any]) -> float:
    def work() -> float:
        started = time.perf_counter()
        with acting():
            return time.perf_counter() - started

    return engine_thread().run(work)


def _inject(engine: TransformersEngine, active: ActiveAdapter) -> None:
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    file = Path(active.adapter.file)
    assert engine._loaded is not None
    model = engine._loaded.model
    for name in ("one", "other"):
        inject_adapter_in_model(LoraConfig.from_pretrained(file.parent), model, name)
        set_peft_model_state_dict(model, load_file(file), name)
    model.eval()
    _set_adapter(model, "one")


def _set_seconds(engine: TransformersEngine) -> float:
    assert engine._loaded is not None
    started = time.perf_counter()
    _set_adapter(engine._loaded.model, "other")
    seconds = time.perf_counter() - started
    _set_adapter(engine._loaded.model, "one")
    return seconds


def _set_adapter(model: Any, name: str) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.set_adapter(name)
