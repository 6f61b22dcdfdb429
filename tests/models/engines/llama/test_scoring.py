"""A given text scored by llama.cpp: near the same weights in fp32, on the same tokens, and without traces."""

import json
import math
import time

import numpy
import pytest

from models.domain.engine import Prompt
from models.domain.errors import AdapterRefused, ContextExceeded, EngineFailed, ReferenceDiffers, TextTooShort
from models.domain.load import ActiveAdapter, Adapter, Local
from models.domain.lora import LoraConfig
from models.domain.messages import Message, Progress, Sampling, Scored
from models.domain.results import metrics
from models.engines.chat_template import ChatTemplate
from models.engines.llama.engine import GgufEngine, open_gguf
from models.weights import sources

TEXT = "The wheel is older than the road, and the road is older than the map. A bicycle turns a little effort far."
ODD = "Name 😀 漢字 👩\u200d🚀: naïve\n\n  <b>tags</b> 12345."
FACTS = "The fox sleeps in the old barn while the crow counts the stars above the hill. "


def opened(runtime, key, mode="gguf", **options):
    snapshot = sources.resolve(runtime.catalog[key], "gguf", runtime.settings, lambda step: None, lambda: False)
    local = Local(snapshot, mode, **({"context": 1024, "slots": 2} | options))
    return open_gguf(local, "cpu", runtime.settings, lambda step: None)


@pytest.fixture(scope="module")
def engine(runtime):
    engine = opened(runtime, "smollm2-135m-instruct")
    yield engine
    engine.close()


def scored(engine, text, rendered=False, **more):
    *steps, last = engine.score(Prompt(text, rendered), **more)
    assert isinstance(last, Scored)
    assert all(isinstance(step, Progress) and step.stage == "score" for step in steps)
    assert steps[-1].done == steps[-1].total == len(last.tokens)
    return last


def perplexity(found):
    return metrics.perplexity(found.log_probabilities)


def test_perplexity_is_near_that_of_the_weights_in_fp32_and_not_the_same(engine, smollm2):
    ours, exact = scored(engine, TEXT), scored(smollm2, TEXT)
    assert ours.tokens == exact.tokens
    assert (ours.bytes, ours.offset) == (exact.bytes, exact.offset)
    assert 0 < abs(math.log(perplexity(ours) / perplexity(exact))) < 0.03
    pairs = list(zip(ours.log_probabilities, exact.log_probabilities, strict=True))
    assert all(abs(a - b) < 0.6 for a, b in pairs)
    assert sum(a != b for a, b in zip(ours.likeliest, exact.likeliest, strict=True)) <= 2
    assert scored(engine, TEXT).log_probabilities == ours.log_probabilities


def test_the_tokens_are_those_of_the_tokenizer_of_transformers(engine, smollm2, tmp_path):
    for text in (TEXT, ODD):
        scored(engine, text, record=str(tmp_path / "a.npy"))
        ids = json.loads((tmp_path / "a.npy.tokens.json").read_text())
        assert ids == smollm2._loaded.tokenizer(text)["input_ids"]


def test_tokens_within_a_character_are_scored_too(engine, smollm2):
    """The server says nothing of a token that begins a character and does not end it."""
    ours, exact = scored(engine, ODD, rivals=3), scored(smollm2, ODD, rivals=3)
    assert ours.tokens == exact.tokens
    assert "" in ours.tokens
    for a, b in zip(ours.log_probabilities, exact.log_probabilities, strict=True):
        assert a == pytest.approx(b, abs=0.8)
    assert "".join(ours.tokens) == ODD.removeprefix("Name")
    shared = [len(set(a) & set(b)) for a, b in zip(map(dict, ours.rivals), map(dict, exact.rivals), strict=True)]
    assert sum(shared) / len(shared) > 2


def test_a_conversation_has_its_special_tokens_and_rivals(engine, smollm2):
    prompt = engine.render([Message("user", "Name a colour."), Message("assistant", "Blue.")])
    ours, exact = (scored(each, prompt.text, rendered=True, rivals=4) for each in (engine, smollm2))
    assert ours.tokens == exact.tokens
    assert "<|im_end|>" in ours.tokens
    assert all(len(best) == 4 and sum(p for _, p in best) <= 1.001 for best in ours.rivals)
    named = {text for best in ours.rivals for text, _ in best}
    assert "<|im_end|>" in named, "a special token has a name"


def test_divergence_is_bounded_from_below_whichever_is_the_reference(engine, smollm2, tmp_path):
    whole, part = str(tmp_path / "fp32.npy"), str(tmp_path / "gguf.npy")
    alone = scored(smollm2, TEXT, record=whole)
    scored(engine, TEXT, record=part)
    held, back, same = (
        scored(each, TEXT, reference=file) for each, file in ((engine, whole), (smollm2, part), (engine, part))
    )
    assert held.at_least
    assert back.at_least
    assert not alone.at_least
    assert held.agrees == back.agrees
    for found in (held, back):
        assert metrics.share(found.agrees) > 0.85
        assert 0.0002 < metrics.mean(found.divergences) < 0.02
    assert metrics.mean(same.divergences) == pytest.approx(0, abs=1e-6)
    assert all(same.agrees)
    assert numpy.load(part)["tokens"].shape == (len(alone.tokens), 200)
    with pytest.raises(ReferenceDiffers):
        scored(engine, TEXT + " More.", reference=part)


def test_fewer_bits_of_the_kv_cache_cost_memory_less_and_quality_more(runtime, engine, tmp_path):
    file = str(tmp_path / "f16.npy")
    exact, lost, resident = scored(engine, TEXT, record=file), [], [engine.resident]
    for mode in ("gguf/kv8", "gguf/kv4"):
        fewer = opened(runtime, "smollm2-135m-instruct", mode)
        found = scored(fewer, TEXT, reference=file)
        assert found.at_least
        assert found.tokens == exact.tokens
        lost.append(metrics.mean(found.divergences))
        resident.append(fewer.resident)
        fewer.close()
    assert 1e-4 < lost[0] < lost[1] / 3 < 0.05
    saved = [resident[0] - one for one in resident[1:]]  # of 30 layers x 2 x 3 x 64 values x 2,048 tokens
    assert saved == pytest.approx([22_118_400, 33_914_880], rel=0.15)


def test_what_cannot_be_scored_is_refused(runtime, engine):
    with pytest.raises(TextTooShort) as short:
        scored(engine, "The")
    assert short.value.facts == {"tokens": 1}
    with pytest.raises(ContextExceeded) as long:
        scored(engine, FACTS * 100)
    assert long.value.facts["context"] == engine.context
    adapter = ActiveAdapter(Adapter("json", LoraConfig(4, 8, ("q_proj",)), 10, "json.safetensors"), 1.0)
    with pytest.raises(AdapterRefused, match="no longer on this machine"):
        scored(engine, TEXT, adapters=(adapter,))
    assert scored(engine, TEXT)


def test_a_text_may_fill_the_context(runtime):
    engine = opened(runtime, "smollm2-135m-instruct", context=256, slots=1)
    text = "one two" + " one two" * (engine.context // 2 - 1)
    assert len(scored(engine, text).tokens) == engine.context - 1
    with pytest.raises(ContextExceeded):
        scored(engine, text + " one")
    engine.close()
    with pytest.raises(EngineFailed, match="ejected"):
        scored(engine, TEXT)


def test_closing_stops_within_a_token(engine):
    stream = engine.score(Prompt(FACTS * 40))
    while not next(stream).done:
        pass
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 1, "seven hundred tokens take five seconds"


def test_a_kept_prompt_outlives_a_score(engine):
    def turn(*messages):
        *_, last = engine.generate(engine.render(messages), Sampling(max_new_tokens=4, temperature=0))
        return last.usage

    first = Message("user", FACTS * 4 + "Who sleeps?")
    one = turn(first)
    for _ in range(3):
        scored(engine, engine.render([Message("user", TEXT)]).text, rendered=True)
        scored(engine, TEXT)
    two = turn(first, Message("assistant", "A fox."), Message("user", "And who counts?"))
    assert two.cached_tokens >= one.prompt_tokens - 8


def test_gemma_is_scored_after_its_start_token(runtime):
    engine = opened(runtime, "gemma-3-270m", context=256, slots=1)
    found = scored(engine, "Once upon a time 漢字")
    assert "".join(found.tokens) == "Once upon a time 漢字"
    assert found.bytes == len("Once upon a time 漢字".encode())
    assert perplexity(found) > 1
    engine.close()


# --- what a process says ------------------------------------------------------------------------------------


class FakeServer:
    facts, attached = {"context": 64, "bytes": 0, "resident": 0}, ()

    def __init__(self, *chunks):
        self.chunks = chunks

    def score(self, request, adapters, on_chunk):
        for chunk in self.chunks:
            if on_chunk(chunk):
                return


def place(log_prob, *best):
    tokens, log_probs = zip(*best, strict=True)
    return {"log_prob": log_prob, "tokens": tokens, "log_probs": log_probs, "names": []}


def fake(*chunks):
    return GgufEngine(FakeServer(*chunks), ChatTemplate(""), 1)


def test_the_blank_that_sentencepiece_puts_before_a_text_is_not_of_the_text():
    first = {"ids": [1, 7, 8], "pieces": [list(b" Hi"), list(b" you")]}
    found = scored(fake(first, place(-1.0, (7, -1.0)), place(-2.0, (9, -0.5), (8, -2.0))), "Hi you")
    assert found.tokens == ("Hi", " you")
    assert (found.bytes, found.likeliest) == (6, (True, False))
    unadded = {"ids": [7, 8], "pieces": [list(b" Hi"), list(b" you")]}
    found = scored(fake(unadded, place(-2.0, (9, -0.5))), "Hi you")
    assert (found.tokens, found.bytes) == ((" you",), 4)


def test_an_end_without_all_tokens_is_an_error():
    with pytest.raises(EngineFailed, match="without an error message"):
        scored(fake({"ids": [1, 7], "pieces": [list(b"Hi")]}), "Hi")
