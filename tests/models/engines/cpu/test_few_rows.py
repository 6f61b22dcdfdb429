"""A row comes out the same, bit by bit, alone and among others: products, attention, and whole models with adapters."""

import json
import shutil

import pytest
from lora_files import write_adapter

from models.domain.messages import Sampling
from models.domain.snapshot import ActiveAdapter
from models.engines.cpu import decode_attention, few_rows
from models.engines.transformers.engine_thread import engine_thread

HIDDEN, WIDE = 256, 1536
SIZES = {"q_proj": (HIDDEN, HIDDEN), "k_proj": (64, HIDDEN), "v_proj": (64, HIDDEN), "o_proj": (HIDDEN, HIDDEN)}
SIZES |= {"gate_proj": (WIDE, HIDDEN), "up_proj": (WIDE, HIDDEN), "down_proj": (HIDDEN, WIDE)}


@pytest.fixture(scope="module", autouse=True)
def as_measured():
    """What is said of the libraries' sums was measured on CPUs of this kind; another one may add up differently."""

    def work():
        import torch

        return torch.backends.cpu.get_cpu_capability()

    if engine_thread().run(work) != "AVX512":
        pytest.skip("this CPU has no AVX512")


@pytest.fixture(scope="module")
def wide_folder(tiny_folder, tmp_path_factory):
    """The tiny model with layers wide enough for oneDNN to add up a lone row in another order."""
    folder = tmp_path_factory.mktemp("wide")
    shutil.copytree(tiny_folder, folder, dirs_exist_ok=True)

    def work():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(tiny_folder)
        config.update({"hidden_size": HIDDEN, "intermediate_size": WIDE, "head_dim": 32, "initializer_range": 0.08})
        config.update({"num_attention_heads": HIDDEN // 32, "num_key_value_heads": 2})
        torch.manual_seed(3)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)

    engine_thread().run(work)
    assert json.loads((folder / "config.json").read_text())["intermediate_size"] > few_rows.WIDE
    return folder


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    """Three, each of another rank and on other layers."""
    folder = tmp_path_factory.mktemp("adapters")
    targets = {"one": tuple(SIZES), "two": ("q_proj", "o_proj", "down_proj"), "three": ("v_proj", "gate_proj")}
    return [
        ActiveAdapter(write_adapter(folder, name, 4 * (seed + 1), seed, on, 0.05, SIZES, 2), 1.0 - 0.3 * seed)
        for seed, (name, on) in enumerate(targets.items())
    ]


@pytest.fixture(scope="module", params=["bf16", "nf4"])
def engine(request, opened, wide_folder):
    engine = opened(wide_folder, request.param, context=512)
    yield engine
    engine.close()


def logits(engine, rows, ids):
    """Of each row after the prompt and after each of two more tokens, [step][row]."""

    def work():
        import torch
        from transformers import DynamicCache

        model = engine._loaded.model
        cache = DynamicCache(config=model.config)
        found = []
        with engine._adapters.acting(*rows), torch.inference_mode():
            for new in (ids, [17], [99]):
                output = model(torch.tensor([new] * len(rows)), past_key_values=cache, use_cache=True)
                found.append(output.logits[:, -1].clone())
        return found

    return engine_thread().run(work)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 14])
@pytest.mark.parametrize("count", [2, 3, 5, 6])
def test_a_row_of_a_batch_is_what_it_is_alone(engine, adapters, count, length):
    one, two, three = adapters
    rows = [(), (one,), (two,), (three, one), (two, one, three), (one, two)][:count]
    ids = list(range(20, 20 + length))
    together = logits(engine, rows, ids)
    for place, row in enumerate(rows):
        for step, alone in enumerate(logits(engine, [row], ids)):
            assert (together[step][place] == alone[0]).all(), f"row {place}, step {step}"


def test_whole_answers_are_the_same(engine, adapters):
    rows, sampling = [(), adapters[:1], adapters[1:]], Sampling(max_new_tokens=24, temperature=0.9, seed=4)
    prompt = engine.render([])
    texts = [""] * len(rows)
    for delta in engine.generate_rows(prompt, sampling, rows):
        texts[delta.row] += delta.text
    assert texts == ["".join(d.text for d in engine.generate(prompt, sampling, adapters=row)) for row in rows]
    assert len(set(texts)) == len(rows)


def test_only_wide_bf16_layers_on_a_cpu_are_paired():
    def work():
        import torch

        layers = {
            "wide": torch.nn.Linear(WIDE, 8, dtype=torch.bfloat16),
            "bias": torch.nn.Linear(WIDE, 8, bias=True, dtype=torch.bfloat16),
            "narrow": torch.nn.Linear(few_rows.WIDE, 8, dtype=torch.bfloat16),
            "fp32": torch.nn.Linear(WIDE, 8),
        }
        x = {name: torch.randn(1, 1, layer.in_features, dtype=layer.weight.dtype) for name, layer in layers.items()}
        before = {name: layer(x[name]) for name, layer in layers.items()}
        few_rows.pair_lone_rows(torch.nn.ModuleDict(layers))
        for name, layer in layers.items():
            torch.testing.assert_close(layer(x[name]), before[name], atol=0.02, rtol=0.02)
            assert layer(x[name]).shape == (1, 1, 8)
        return {name for name, layer in layers.items() if "forward" in vars(layer)}

    assert engine_thread().run(work) == {"wide", "bias"}


def test_fp32_products_of_few_rows_are_those_of_many():
    def work():
        import torch

        a = few_rows.enough_outputs(torch.randn(5, 576))
        b, x = torch.randn(len(a), 576), torch.randn(64, 1, 576)
        low = torch.nn.functional.linear(x, a)
        high = low.matmul(b)
        room = few_rows.FewRows("cpu")
        for count in range(1, few_rows.MANY):
            rows, as_x = room.room((count, 1, 576))
            as_x.copy_(x[:count])
            few = torch.nn.functional.linear(rows, a)
            assert torch.equal(few[:count], low[:count, 0])
            assert torch.equal(few.matmul(b)[:count], high[:count, 0])
        return room.room((few_rows.MANY, 1, 576)), few_rows.FewRows("cuda").room((1, 1, 576))

    assert engine_thread().run(work) == (None, None)


@pytest.mark.parametrize(("heads", "kv_heads"), [(9, 3), (4, 4), (8, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_for_a_new_token_is_torchs_own(heads, kv_heads, masked):
    def work():
        import torch

        query = torch.randn(3, heads, 1, 64, dtype=torch.bfloat16)
        key, value = torch.randn(2, 3, kv_heads, 70, 64, dtype=torch.bfloat16)
        mask = torch.arange(70).ge(torch.tensor([0, 5, 60])[:, None])[:, None, None] if masked else None
        ours, _ = decode_attention._attention(None, query, key, value, mask, scaling=0.2)
        whole = [t.float().repeat_interleave(heads // kv_heads, 1) for t in (key, value)]
        plain = torch.nn.functional.scaled_dot_product_attention(query.float(), *whole, attn_mask=mask, scale=0.2)
        torch.testing.assert_close(ours.float(), plain.transpose(1, 2), atol=0.02, rtol=0.02)
        for row in range(3):
            one = slice(row, row + 1)
            alone, _ = decode_attention._attention(
                None, query[one], key[one], value[one], None if mask is None else mask[one], scaling=0.2
            )
            assert torch.equal(alone[0], ours[row])

    engine_thread().run(work)


@pytest.mark.parametrize(("mode", "ours"), [("fp32", False), ("bf16", True), ("nf4", True)])
def test_it_is_set_where_the_model_computes_in_bf16(opened, tiny_folder, mode, ours):
    engine = opened(tiny_folder, mode)
    assert (engine._loaded.model.config._attn_implementation == decode_attention.NAME) == ours
    engine.close()
