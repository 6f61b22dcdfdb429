"""What plans and estimated speeds say of a GPU, against real loads there: python -m tests.bench.gpu [MODEL...].

The weights are random, of the shapes in the catalog, so nothing is downloaded. Each load has a process of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from models.domain.catalog import CATALOG_FILE, load_catalog
from models.domain.engine import Prompt
from models.domain.load import Snapshot
from models.domain.memory.plan import Budget, plan
from models.domain.memory.speed import decode_speed
from models.domain.messages import Sampling, Usage
from models.domain.quantization import MODES, Machine
from models.domain.settings import Settings
from models.domain.units import size
from models.engines.device import gpu_memory, native_bf16, packages
from models.engines.transformers.engine import open_transformers
from models.engines.transformers.engine_thread import engine_thread

from .report import print_table

MODELS = ("llama-3.2-1b-instruct", "llama-3.1-8b-instruct")
NAMES = ("bf16", "int8", "nf4", "fp4-single")
CONTEXT, NEW = 4096, 128
HEAD = (
    "variant",
    "weights, plan / real",
    "memory at 4,096 tokens, plan / real",
    "decode, tok/s, estimate",
    "decode",
    "share of the bandwidth",
    "decode at 4,096",
    "decode / generate",
    "prefill",
)


def write_random(model: str, folder: str) -> None:
    """A folder of safetensors in bf16, with a tokenizer of bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={sign: at for at, sign in enumerate(signs)}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="~").save_pretrained(folder)
    fields = tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))[model]["shape"]
    config = AutoConfig.for_model(**fields, max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=93)
    with torch.device("cuda"):
        network = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    network.save_pretrained(folder)


def measure(folder: str, name: str) -> tuple[int, int, int, float, list[Usage]]:
    """Bytes of the weights, what the GPU has less after answers to a full context, and what of it torch holds.

    Then tokens a second of transformers' own `generate`, and the usage of a short first, a longer and a full answer.
    """
    before, usages = gpu_memory(), []
    snapshot = Snapshot(folder, "safetensors", "random", 0)
    engine = open_transformers(snapshot, name, "cuda", Settings(context=CONTEXT), lambda progress: None)
    for tokens in (64, 256, CONTEXT - NEW - 8):
        for delta in engine.generate(Prompt("a" * tokens), Sampling(max_new_tokens=NEW, temperature=0), reuse=False):
            usage = delta.usage
        usages.append(usage)
    after = gpu_memory()
    assert before is not None
    assert after is not None
    held, generated = engine_thread().run(lambda: (_held(), _generate(engine)))
    return engine.bytes, before.free - after.free, held, generated, usages


def _held() -> int:
    import torch

    return torch.cuda.memory_reserved()


def _generate(engine: Any) -> float:
    """After 512 tokens, the second time of two."""
    import torch

    network, prompt = engine._loaded.model, torch.full((1, 512), 65, device="cuda")

    def seconds(new: int) -> float:
        started = time.perf_counter()
        network.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, min_new_tokens=new,
                         max_new_tokens=new, pad_token_id=0)  # fmt: skip
        torch.cuda.synchronize()
        return time.perf_counter() - started

    seconds(2)
    return NEW / (seconds(NEW + 2) - seconds(2))


def main(models: tuple[str, ...] = MODELS) -> None:
    gpu = gpu_memory()
    assert gpu, "no NVIDIA GPU here"
    machine, budget = Machine("cuda", packages(), native_bf16()), Budget(gpu.name, gpu.total, gpu.free)
    rows = []
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            _alone(write_random, model, folder)
            for name in NAMES:
                card, mode = load_catalog()[model], MODES[name]
                planned = plan(model, card, mode, machine, budget, CONTEXT)
                speed = decode_speed(card, mode, "cuda", gpu.bandwidth)
                weights, taken, held, generated, (_, short, full) = _alone(measure, folder, name)
                assert speed
                row = [
                    f"{model}@{name}",
                    f"{planned.weights / weights:.3f}",
                    f"{size(planned.total)} / {size(taken)} = {planned.total / taken:.2f}; {size(held)} torch's",
                    f"{speed.low:.0f} to {speed.high:.0f}",
                    f"{short.decode_tokens_per_s:.1f}",
                    f"{speed.token_bytes * short.decode_tokens_per_s / gpu.bandwidth:.3f}",
                    f"{full.decode_tokens_per_s:.1f}",
                    f"{short.decode_tokens_per_s / generated:.2f}",
                    f"{full.prefill_tokens_per_s:.0f}",
                ]
                print(json.dumps([*row, short.new_tokens, full.prompt_tokens]), file=sys.stderr, flush=True)
                rows.append(row)
    print(f"### {gpu.name}, {gpu.bandwidth / 1e9:.0f} GB/s\n")
    print_table(HEAD, rows)


def _alone(work: Callable[..., Any], *values: str) -> Any:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *values).result()


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or MODELS)
