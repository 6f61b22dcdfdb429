"""Decode speed after long prompts, beside transformers' own `generate` with the same weights and threads."""

from __future__ import annotations

import statistics
from typing import Any

from models.domain.engine import Prompt
from models.domain.messages import Sampling
from models.engines.transformers.engine import TransformersEngine
from models.engines.transformers.engine_thread import engine_thread

from .adapters import open_engine
from .clock import Clock
from .processes import SMOLLM2
from .report import Row, print_rows, quiet_watch, spread

TEXT = "A field of grass, and a horse in it. "
LENGTHS = (64, 512, 2048)


def context(new_tokens: int, repeats: int, lengths: tuple[int, ...] = LENGTHS) -> None:
    """Prompts of so many tokens, on fp32, bf16 and nf4."""
    for mode in ("fp32", "bf16", "nf4"):
        print(f"### context: {SMOLLM2}@{mode}, {new_tokens} new tokens after prompts of some lengths\n")
        with quiet_watch():
            print_rows(_rows(mode, new_tokens, repeats, lengths))


def _rows(mode: str, new_tokens: int, repeats: int, lengths: tuple[int, ...]) -> list[Row]:
    engine = open_engine(mode)
    assert engine._loaded is not None
    model, tokenizer = engine._loaded.model, engine._loaded.tokenizer
    plain = engine_thread().run(lambda: _transformers(model.name_or_path, mode))
    ids = tokenizer(TEXT * max(lengths))["input_ids"]
    rows = []
    for length in lengths:
        prompt, speeds = ids[:length], []
        for _ in range(repeats + 1):
            ours = _ours(engine, tokenizer.decode(prompt), new_tokens)
            speeds.append((ours, engine_thread().run(lambda prompt=prompt: _theirs(plain, prompt, new_tokens))))
        ours, theirs = zip(*speeds[1:], strict=True)  # the first turn warms up
        ratio = statistics.median(one / other for one, other in speeds[1:])
        figure = f"{spread(ours, 'tok/s')}, to {spread(theirs, 'tok/s')} of `generate`"
        rows.append(Row(f"{length} tokens", figure, ratio))
    engine.close()
    return rows


def _ours(engine: TransformersEngine, prompt: str, new_tokens: int) -> float:
    *_, last = engine.generate(Prompt(prompt), Sampling(max_new_tokens=new_tokens, temperature=0), reuse=False)
    return last.usage.decode_tokens_per_s


def _transformers(path: str, mode: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": torch.float32 if mode == "fp32" else torch.bfloat16}
    if mode == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return AutoModelForCausalLM.from_pretrained(path, **options)


def _theirs(model: Any, prompt: list[int], new_tokens: int) -> float:
    import torch

    clock, inputs = Clock(), torch.tensor([prompt])
    model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=new_tokens,
        min_new_tokens=new_tokens,
        do_sample=False,
        streamer=clock,
    )
    return (new_tokens - 1) / (clock.times[-1] - clock.times[1])
