"""Several LoRA adapters act together exactly, on one answer only, and never leave a trace on the model."""

import gc
import threading
from pathlib import Path

import pytest
from lora_files import write_adapter

from models.domain.engine import Prompt
from models.domain.errors import AdapterRefused
from models.domain.load import ActiveAdapter
from models.domain.messages import Sampling, Scored
from models.engines.lora.attached import Adapters
from models.engines.transformers.engine_thread import engine_thread

TEXT = Prompt("Once upon a time there was a fox and a crow.")
GREEDY = Sampling(max_new_tokens=8, temperature=0)
MODES = ("fp32", "bf16", "nf4", "fp4", "nf4-single", "int8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def fox(folder):
    return write_adapter(folder, "fox", rank=4, seed=1)


@pytest.fixture(scope="module")
def crow(folder):
    """Another rank, other modules, ranks and scales that differ by module, divided by the root."""
    return write_adapter(
        folder, "crow", rank=7, seed=2, targets=("k_proj", "o_proj", "q_proj", "up_proj"),
        rank_pattern={"layers.1.self_attn.q_proj": 3}, alpha_pattern={"o_proj": 5}, use_rslora=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def engines(opened, tiny_folder):
    """One engine a mode, opened when it is first asked for."""
    made = {}

    def get(mode="fp32"):
        if mode not in made:
            made[mode] = opened(tiny_folder, mode, context=512)
        return made[mode]

    yield get
    for engine in made.values():
        engine.close()


def use(*pairs):
    return tuple(ActiveAdapter(adapter, weight) for adapter, weight in pairs)


def scores(engine, adapters=()):
    return next(e for e in engine.score(TEXT, adapters=adapters) if isinstance(e, Scored)).log_probabilities


def answer(engine, adapters=(), prompt=TEXT, sampling=GREEDY):
    deltas = list(engine.generate(prompt, sampling, rows=[adapters]))
    return "".join(delta.text for delta in deltas), deltas[-1].usage


def logits(engine, change=lambda model: None, adapters=()):
    """Of the text, by the engine's model with adapters, or by what `change` makes of the model."""

    def work():
        import torch

        model = change(engine._loaded.model) or engine._loaded.model
        ids = torch.tensor([engine._loaded.tokenizer(TEXT.text)["input_ids"]])
        with torch.inference_mode(), engine._adapters.acting(adapters):
            return model(input_ids=ids).logits[0].float()

    return engine_thread().run(work)


@pytest.fixture
def spoiled(opened, tiny_folder):
    """A function that opens an engine whose model a test may change."""
    made = []

    def get(mode="fp32"):
        made.append(opened(tiny_folder, mode, context=512))
        return made[-1]

    yield get
    for engine in made:
        engine.close()


@pytest.mark.parametrize("weights", [(1, 1), (0.7, -1.3), (2, 0), (1, None), (None, 0.5)])
def test_the_sum_is_exactly_that_of_the_merged_weights(engines, spoiled, fox, crow, weights):
    """W + sum(weight * scaling * B A), by hand, with unequal ranks and scales."""
    adapters = use(*((a, w) for a, w in zip((fox, crow), weights, strict=True) if w is not None))

    def merge(model):
        import torch
        from safetensors.torch import load_file

        model.double()
        for active in adapters:
            tensors = load_file(active.adapter.file)
            for key in [key for key in tensors if ".lora_A." in key]:
                name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                a, b = tensors[key].double(), tensors[key.replace("lora_A", "lora_B")].double()
                config = active.adapter.config
                alpha = 5 if name.endswith("o_proj") and active.adapter is crow else config.alpha
                scale = alpha / (a.shape[0] ** 0.5 if active.adapter is crow else a.shape[0])
                with torch.no_grad():
                    model.get_submodule(name).weight += active.weight * scale * b @ a

    by_hand, ours = logits(spoiled(), merge), logits(engines(), adapters=adapters)
    assert (ours - by_hand).abs().max() < 2e-4 * by_hand.abs().max()
    assert (ours - logits(engines())).abs().max() > 0.1 * by_hand.abs().max()  # or nothing would have been tested


@pytest.mark.parametrize("mode", MODES)
def test_it_is_what_peft_computes_with_several_active_adapters(engines, spoiled, fox, crow, mode):
    adapters, engine = use((fox, 0.8), (crow, -0.5)), engines(mode)

    def with_peft(model):
        import torch
        from peft import LoraConfig, inject_adapter_in_model
        from safetensors.torch import load_file

        for active in adapters:
            name, file = active.adapter.name, Path(active.adapter.file)
            inject_adapter_in_model(LoraConfig.from_pretrained(file.parent), model, name)
            # Not by load_state_dict: on a CPU that spoils 4-bit weights which have computed before.
            for key, tensor in load_file(file).items():
                module, matrix = key.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
                layer = getattr(model.get_submodule(module), matrix)[name]
                layer.weight = torch.nn.Parameter(tensor, requires_grad=False)
        for layer in model.modules():
            if hasattr(layer, "lora_A"):
                layer.set_adapter([active.adapter.name for active in adapters])
                for active in adapters:
                    if active.adapter.name in layer.scaling:
                        layer.set_scale(active.adapter.name, active.weight)
        return model.eval()

    theirs, ours = logits(spoiled(mode), with_peft), logits(engine, adapters=adapters)
    tolerance = {"fp32": 1e-5, "bf16": 1e-5}.get(mode, 0.05)  # on quantized layers PEFT rounds once more
    assert (ours - theirs).abs().mean() < tolerance * theirs.abs().mean()
    assert (ours - logits(engine)).abs().mean() > 0.3 * theirs.abs().mean()


@pytest.mark.parametrize("mode", MODES)
def test_without_adapters_it_is_the_base_bit_for_bit_also_after_they_were_used(engines, fox, crow, mode):
    engine = engines(mode)
    before, text = scores(engine), answer(engine)[0]
    changed = scores(engine, use((fox, 1), (crow, 1)))
    assert changed != before
    assert scores(engine) == before
    assert scores(engine, use((fox, 0), (crow, 0.0))) == before  # weight 0 is without
    assert answer(engine, use((fox, 1)))[0] != text
    assert answer(engine)[0] == text
    assert not any(module._forward_hooks for module in engine._loaded.model.modules())
    assert scores(engine, use((fox, 1), (crow, 1))) == changed


def test_which_ones_acted_is_read_from_the_model(engines, fox, crow):
    engine = engines()
    assert set(answer(engine, use((fox, 0.5), (crow, 1)))[1].adapters) == {"fox:0.5", "crow"}
    assert answer(engine, use((fox, 0)))[1].adapters == ()
    assert answer(engine)[1].adapters == ()
    running = [d.usage.adapters for d in engine.generate(TEXT, GREEDY, rows=[use((fox, -2))])]
    assert set(running) == {("fox:-2",)}


def test_layers_that_read_the_same_input_share_a_product_and_keep_nothing_of_it(engines, fox, crow):
    """q, k and v one, gate and up one, of as many adapters as act, whichever of the layers they change."""
    engine, computed = engines(), []

    def work():
        import torch

        def counted(x, a):
            computed.append(a)
            return torch.nn.functional.linear(x, a)

        with torch.inference_mode(), engine._adapters.acting(use((fox, 1), (crow, 1))):
            changes = engine._adapters.changes()
            shared = {id(change.low): change.low for change in changes.values()}
            for low in shared.values():
                low.linear = counted
            engine._loaded.model(input_ids=torch.tensor([[1, 2, 3]]))
            return len(changes), len(shared), [low.x for low in shared.values()]

    layers, shared, kept = engine_thread().run(work)
    assert len(computed) == shared < layers
    assert kept == [None] * shared


@pytest.mark.parametrize("rows", [1, 3])
def test_the_head_reads_the_last_tokens_without_gaps(engines, rows, monkeypatch):
    """Strides with gaps, even between rows of one, make torch copy the head's weights to multiply."""
    engine, seen = engines("bf16"), []
    head = engine._loaded.model.get_output_embeddings()
    forward = head.forward
    monkeypatch.setattr(head, "forward", lambda hidden: seen.append((hidden.shape, hidden.stride())) or forward(hidden))
    list(engine.generate(TEXT, GREEDY, rows=[()] * rows))
    assert len(seen) == GREEDY.max_new_tokens
    for (count, tokens, size), strides in seen:
        assert (count, tokens) == (rows, 1)
        assert strides == (size, size, 1)


def test_small_products_take_one_thread_meanwhile():
    from models.engines.cpu.product_threads import _setting, products_on_one_thread

    def work():
        set_threads = _setting()
        if set_threads is None:
            pytest.skip("this torch does not multiply with MKL")
        set_threads(0)
        with products_on_one_thread():
            inside = set_threads(1)
        return inside, set_threads(0)

    assert engine_thread().run(work) == (1, 0)


def mixed_rows(fox, crow):
    return [(), use((fox, 1)), use((crow, -0.5), (fox, 0.5)), use((fox, 0)), use((crow, 2))]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(max_new_tokens=12, temperature=0.8, seed=5)])
def test_rows_of_one_batch_have_the_text_that_each_has_alone(engines, fox, crow, sampling):
    engine, rows = engines(), mixed_rows(fox, crow)
    alone = [answer(engine, row, sampling=sampling) for row in rows]
    texts, last = [""] * len(rows), {}
    for delta in engine.generate(TEXT, sampling, rows=rows):
        texts[delta.row] += delta.text
        last[delta.row] = delta.usage
    assert texts == [text for text, _ in alone]
    for row, (_, usage) in enumerate(alone):
        same = ("new_tokens", "finish", "prompt_tokens", "seed", "adapters")
        assert [getattr(last[row], name) for name in same] == [getattr(usage, name) for name in same]
    assert not any(module._forward_hooks for module in engine._loaded.model.modules())
    assert scores(engine) == scores(engine, use((fox, 0)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_rows_of_one_batch_have_the_logits_that_each_has_alone(engines, fox, crow, mode, count):
    """Up to rounding, after the prompt and after each of two more tokens."""
    engine, rows = engines(mode), mixed_rows(fox, crow)[:count]

    def work(rows):
        import torch
        from transformers import DynamicCache

        model, steps = engine._loaded.model, []
        cache = DynamicCache(config=model.config)
        with engine._adapters.acting(*rows), torch.inference_mode():
            for new in ([20, 21, 22, 23], [17], [99]):
                output = model(torch.tensor([new] * len(rows)), past_key_values=cache, use_cache=True)
                steps.append(output.logits[:, -1].float())
        return torch.stack(steps, 1)

    together = engine_thread().run(lambda: work(rows))
    alone = engine_thread().run(lambda: [work([row])[0] for row in rows])
    # The scale of int8 activations is taken row by row, but outliers of all rows are told apart together.
    tolerance = {"fp32": 1e-5, "int8": 0.1}.get(mode, 0.03)
    for ours, theirs in zip(together, alone, strict=True):
        assert (ours - theirs).norm() < tolerance * theirs.norm()


def test_leaving_a_batch_of_rows_leaves_the_base_as_it_is(engines, fox, crow):
    engine = engines()
    before = scores(engine)
    stream = engine.generate(TEXT, GREEDY, rows=[(), use((fox, 1)), use((crow, 1))])
    next(stream)
    stream.close()
    assert scores(engine) == before


def test_an_answer_that_is_left_or_fails_takes_its_adapters_with_it(engines, fox, folder):
    engine = engines()
    before = scores(engine)
    stream = engine.generate(TEXT, GREEDY, rows=[use((fox, 1))])
    next(stream)
    stream.close()
    assert scores(engine) == before
    other = write_adapter(folder, "of another base", sizes={"q_proj": (64, 96)}, targets=("q_proj",))
    deeper = write_adapter(folder, "deeper", targets=("q_proj",), layers=3)
    for bad, reason in ((other, "other sizes"), (deeper, "model.layers.2.self_attn.q_proj, which this model")):
        with pytest.raises(AdapterRefused, match=reason):
            answer(engine, use((fox, 1), (bad, 1)))
        assert scores(engine) == before
    assert "deeper" not in [held.name for held in engine.attached]


def test_a_conversation_is_not_continued_on_what_another_adapter_has_read(engines, fox, crow):
    """The same tokens have other keys and values under another adapter."""
    engine = engines()
    prompt = Prompt("the fox and the crow and the fox and the crow " * 4)
    clean = {}
    for key, adapters in (
        ("", ()),
        ("fox", use((fox, 1))),
        ("half", use((fox, 0.5))),
        ("both", use((fox, 1), (crow, 1))),
    ):
        engine_thread().run(engine._prefixes.clear)
        clean[key] = answer(engine, adapters, prompt)[0]
        text, usage = answer(engine, adapters, prompt)
        assert (text, usage.cached_tokens > 0) == (clean[key], True)
    assert len(set(clean.values())) == 4
    for key, adapters in (
        ("fox", use((fox, 1))),
        ("", ()),
        ("both", use((fox, 1), (crow, 1))),
        ("half", use((fox, 0.5))),
    ):
        assert answer(engine, adapters, prompt)[0] == clean[key]


def test_visitors_with_different_adapters_always_get_their_own(engines, fox, crow):
    engine = engines("bf16")
    asked = {"base": (), "fox": use((fox, 1)), "crow": use((crow, 1)), "both": use((fox, 0.6), (crow, -1))}
    alone = {name: answer(engine, adapters)[0] for name, adapters in asked.items()}
    assert len(set(alone.values())) == 4
    wrong = []

    def visit(name, turns):
        for _ in range(turns):
            text, usage = answer(engine, asked[name])
            if text != alone[name] or set(usage.adapters) != {str(active) for active in asked[name]}:
                wrong.append((name, text))

    threads = [threading.Thread(target=visit, args=(name, 15)) for name in asked for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_least_recently_used_is_detached_and_its_memory_comes_back(engines, folder):
    model = engines()._loaded.model
    made = [write_adapter(folder, f"lru-{n}", rank=8, seed=n) for n in range(4)]

    def work():
        import torch

        def tensors():
            gc.collect()
            storages = [t.untyped_storage() for t in gc.get_objects() if isinstance(t, torch.Tensor)]
            return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())

        adapters, start = Adapters(model, most=2, limit_bytes=10**9), tensors()
        names = []
        for adapter in (made[0], made[1], made[0], made[2], made[3], made[3]):
            with adapters.acting(use((adapter, 1))):
                pass
            names.append([held.name for held in adapters.attached])
        assert " ".join("/".join(held[-1] for held in step) for step in names) == "0 1/0 0/1 2/0 3/2 3/2"
        assert adapters.bytes == 2 * 4 * made[0].parameters
        held = tensors() - start
        with adapters.acting(use((made[0], 1), (made[1], 1), (made[2], 1))):  # more than the bound, all of them needed
            assert len(adapters.attached) == 3
        small = Adapters(model, most=9, limit_bytes=int(1.5 * 4 * made[0].parameters))
        for adapter in made:
            with small.acting(use((adapter, 1))):
                assert [held.name for held in small.attached] == [adapter.name]
        small.clear()
        adapters.clear()
        return held, tensors() - start

    held, left = engine_thread().run(work)
    assert (held, left) == (2 * 4 * made[0].parameters, 0)
