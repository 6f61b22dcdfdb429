"""Adapters on llama.cpp: what they compute, what they leave alone, and when the process starts anew for one."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lora_files import write_adapter
from tiny_decoders import config_class

from models.domain.catalog import ModelCard
from models.domain.engine import Prompt
from models.domain.errors import AdapterRefused
from models.domain.load import ActiveAdapter, Local, Snapshot
from models.domain.messages import Sampling, Scored
from models.domain.settings import Settings
from models.domain.shapes.read import read_shape
from models.engines.llama.engine import open_gguf
from models.engines.llama.export.write import write_gguf
from models.engines.llama.slots import Slots
from models.engines.transformers.engine_thread import engine_thread
from models.weights.adapters.gguf_file import as_gguf

TEXT = Prompt("Once upon a time there was a fox and 12345 crows.\n\nThe end")
LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
KINDS = ("llama", "qwen2")
NEAR = 0.05  # nats; the cache of llama.cpp holds halves


class Tiny:
    """A random model of a kind as safetensors and as GGUF in fp32, with two adapters."""

    def __init__(self, folder, kind, built_decoder, settings):
        self.folder, self.settings = folder / kind, settings
        config = config_class(kind, num_hidden_layers=2, initializer_range=0.2, tie_word_embeddings=True)
        engine_thread().run(lambda: built_decoder(self.folder, config))
        self.gguf = folder / f"{kind}.gguf"
        write_gguf(self.folder, self.gguf, "f32", "Tiny", lambda progress: None)
        shape = read_shape(json.loads((self.folder / "config.json").read_text()))
        self.card = ModelCard("tiny", "Tiny", "Tiny", "base", "owner/tiny", "mit", 512, shape)
        self.fox = write_adapter(folder / f"{kind}-adapters", "fox", rank=4, seed=1, targets=LINEARS)
        self.crow = write_adapter(
            folder / f"{kind}-adapters", "crow", rank=7, seed=2, targets=("k_proj", "o_proj", "q_proj", "up_proj"),
            rank_pattern={"layers.1.self_attn.q_proj": 3}, alpha_pattern={"o_proj": 5}, use_rslora=True,
        )  # fmt: skip
        self.architecture = kind

    def converted(self, *pairs):
        return tuple(
            ActiveAdapter(as_gguf(adapter, self.card, self.architecture, self.settings), weight)
            for adapter, weight in pairs
        )

    def open(self, slots=1, **settings):
        local = Local(Snapshot(str(self.gguf), "gguf", "folder", 0), "gguf", 512, slots)
        return open_gguf(local, "cpu", Settings(threads=1, **settings), lambda progress: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory, built_decoder):
    """A function that makes each kind once."""
    folder, found = tmp_path_factory.mktemp("adapted"), {}
    settings = Settings(cache_dir=str(folder / "cache"))

    def get(kind="llama"):
        if kind not in found:
            found[kind] = Tiny(folder, kind, built_decoder, settings)
        return found[kind]

    return get


@pytest.fixture(scope="module")
def tiny(made):
    return made()


@pytest.fixture
def engine(tiny):
    engine = tiny.open(slots=3)
    yield engine
    engine.close()


def log_probs(engine, adapters=()):
    return next(e for e in engine.score(TEXT, adapters=adapters) if isinstance(e, Scored)).log_probabilities


def answer(engine, adapters=(), prompt=TEXT, tokens=16, **more):
    deltas = list(engine.generate(prompt, Sampling(max_new_tokens=tokens, temperature=0), rows=[adapters], **more))
    return "".join(delta.text for delta in deltas), deltas[-1].usage


def apart(one, other):
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_both_engines_compute_the_same_of_the_same_weights(made, opened, kind):
    """Of one adapter, of several with strengths, ranks and scales of their own, and of none."""
    tiny, ours = made(kind), made(kind).open()
    reference = opened(tiny.folder, context=512)
    base = log_probs(ours)
    for pairs in (
        (),
        ((tiny.fox, 1.0),),
        ((tiny.fox, -0.5),),
        ((tiny.crow, 2.0),),
        ((tiny.fox, 0.7), (tiny.crow, -1.3)),
    ):
        wanted = log_probs(reference, [ActiveAdapter(*pair) for pair in pairs])
        found = log_probs(ours, tiny.converted(*pairs))
        assert apart(found, wanted) < (apart(found, base) / 20 if pairs else NEAR)
        assert not pairs or apart(found, base) > 1
    assert log_probs(ours) == base  # with both loaded, and none of them acting
    ours.close()
    reference.close()


def test_the_greedy_tokens_are_those_of_peft(tiny, engine):
    def by_peft():
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(tiny.folder)
        tokenizer = AutoTokenizer.from_pretrained(tiny.folder)
        found = []
        for adapter in (tiny.fox, tiny.crow):
            with_adapter = PeftModel.from_pretrained(model, str(Path(adapter.file).parent)).eval()
            ids = tokenizer(TEXT.text, return_tensors="pt", return_token_type_ids=False)
            new = with_adapter.generate(**ids, max_new_tokens=16, do_sample=False, repetition_penalty=1.0)
            found.append(tokenizer.decode(new[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
            model = with_adapter.unload()
        return found

    expected = engine_thread().run(by_peft)
    found = [answer(engine, tiny.converted((adapter, 1.0)))[0] for adapter in (tiny.fox, tiny.crow)]
    assert found == [text.rstrip("\ufffd") for text in expected]  # half a character is not shown
    assert min(map(len, found)) > 12


def test_what_acted_is_read_from_the_server(tiny, engine):
    both = tiny.converted((tiny.fox, 0.7), (tiny.crow, -1.3))
    assert answer(engine, both)[1].adapters == ("fox:0.7", "crow:-1.3")
    assert answer(engine, tiny.converted((tiny.fox, 0.0)))[1].adapters == ()
    assert answer(engine)[1].adapters == ()
    assert {each.name for each in engine.attached} == {"fox", "crow"}
    assert all(each.bytes > 4 * tiny.crow.parameters for each in engine.attached)


def test_kept_prompts_never_cross_adapters(tiny, engine):
    """Three visitors and a fourth strength ask the same again and again, at once and in turn, and go on."""
    kinds = [(), tiny.converted((tiny.fox, 1.0)), tiny.converted((tiny.crow, 1.0)), tiny.converted((tiny.fox, 0.5))]
    alone = [answer(engine, adapters, reuse=False)[0] for adapters in kinds]
    assert len(set(alone)) == len(kinds)
    cached = []
    for _ in range(3):
        with ThreadPoolExecutor(3) as visitors:  # as many as there are slots
            answers = list(visitors.map(lambda adapters: answer(engine, adapters), kinds))
        assert [text for text, _ in answers] == alone
        cached += [usage.cached_tokens for _, usage in answers]
    assert max(cached) > 0, "nothing was kept, so nothing could cross"
    for adapters, text in zip(kinds, alone, strict=True):
        assert answer(engine, adapters)[0] == text
        longer, usage = answer(engine, adapters, Prompt(TEXT.text + text))
        assert usage.cached_tokens > 0, "a conversation goes on from what was kept of it"
        assert longer == answer(engine, adapters, Prompt(TEXT.text + text), reuse=False)[0]


def test_scores_beside_answers_keep_their_adapters(tiny, engine):
    fox = tiny.converted((tiny.fox, 1.0))
    alone = log_probs(engine, fox)
    with ThreadPoolExecutor(2) as visitors:
        scores, _ = visitors.submit(log_probs, engine, fox), visitors.submit(answer, engine, ())
    assert apart(scores.result(), alone) < 1e-3
    assert apart(log_probs(engine), alone) > 1


def test_an_adapter_that_comes_later_waits_until_nobody_computes(tiny, engine):
    text = answer(engine)[0]
    asked = threading.Thread(target=answer, args=(engine, tiny.converted((tiny.crow, 1.0))))
    with engine._process._used((), lambda chunk: False) as (process, _):
        waiting = engine.generate(TEXT, Sampling(), rows=[tiny.converted((tiny.fox, 1.0))])
        assert next(waiting).text == ""  # a heartbeat
        waiting.close()
        asked.start()
        time.sleep(0.3)
        behind = engine.generate(TEXT, Sampling())  # or who waits would never have a turn where somebody always asks
        assert next(behind).text == ""
        behind.close()
        assert engine.attached == ()
        pieces = []
        process.handle_completions(
            engine.request(TEXT, Sampling(max_new_tokens=16, temperature=0), None), pieces.append
        )
        assert "".join(piece["choices"][0]["text"] for piece in pieces if "choices" in piece).startswith(text)
    asked.join()
    assert [each.name for each in engine.attached] == ["crow"]
    assert answer(engine)[0] == text


def test_the_least_used_adapter_goes(tiny):
    engine = tiny.open(attached=1)
    for adapter in (tiny.fox, tiny.crow, tiny.fox):
        answer(engine, tiny.converted((adapter, 1.0)), tokens=1)
        assert [each.name for each in engine.attached] == [adapter.name]
    answer(engine, tiny.converted((tiny.fox, 1.0), (tiny.crow, 1.0)), tokens=1)
    assert len(engine.attached) == 2, "what acts together has to be there together"
    engine.close()


def test_an_adapter_that_does_not_load_leaves_the_model_as_it_was(tiny, made, engine):
    fox = tiny.converted((tiny.fox, 1.0))
    text = answer(engine, fox)[0]
    other = made("qwen2")
    with pytest.raises(AdapterRefused, match="fox"):
        answer(engine, other.converted((other.fox, 1.0)))
    assert answer(engine, fox)[0] == text


def test_a_file_is_written_once_and_is_another_for_another_content(tiny, tmp_path):
    (first,), (again,) = tiny.converted((tiny.fox, 1.0)), tiny.converted((tiny.fox, 0.5))
    assert first.adapter == again.adapter
    changed = write_adapter(tmp_path, "fox", seed=9)
    (other,) = tiny.converted((changed, 1.0))
    assert other.adapter.file != first.adapter.file


@pytest.mark.parametrize(
    ("architecture", "targets", "words"),
    [("llama", ("lm_head",), "shares with its embeddings"), ("mamba", ("q_proj",), "architecture")],
)
def test_what_llama_cpp_cannot_apply_is_refused(tiny, tmp_path, architecture, targets, words):
    adapter = write_adapter(tmp_path, "odd", targets=("q_proj",))
    if "lm_head" in targets:
        from safetensors.numpy import load_file, save_file

        tensors = load_file(adapter.file)
        save_file(
            {"base_model.model.lm_head." + n.rpartition("q_proj.")[2]: t for n, t in tensors.items()}, adapter.file
        )
    with pytest.raises(AdapterRefused, match=words):
        as_gguf(adapter, tiny.card, architecture, tiny.settings)


def test_slots_are_taken_by_what_they_keep():
    slots = Slots(2)
    with slots.taken([1, 2, 3], [1.0]) as (first, kept):
        assert not kept
        with slots.taken([1, 2, 3], [0.0]) as (second, _):
            assert first != second
    for prompt, scales, number, same in (
        ([1, 2, 3, 4], [1.0], first, True),
        ([1, 2, 3, 4], [0.0], second, True),
        ([1, 2, 3, 4], [0.5], first, False),
        ([9], [0.5], second, False),
    ):
        with slots.taken(prompt, scales) as found:
            assert found == (number, same), (prompt, scales)
