"""llama.cpp in this process, on real models: the text, the reasons to stop, and how quickly a stop is obeyed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.domain.engine import Prompt
from models.domain.errors import ContextExceeded, EngineFailed, OutOfMemory
from models.domain.load import Local
from models.domain.messages import FixedLength, Message, Progress, Sampling
from models.domain.settings import Settings
from models.engines.chat_template import ChatTemplate
from models.engines.llama import chunks
from models.engines.llama import engine as gguf_engine
from models.engines.llama.engine import GgufEngine, open_gguf
from models.weights import sources

CONTEXT = 2048
ANIMALS = (Message("user", "Name three animals."),)
FRANCE = Prompt("The capital of France is")
FACTS = "The fox sleeps in the old barn while the crow counts the stars above the hill. "
LONG = Prompt(FACTS * 100)  # about 1,800 tokens


def opened(runtime, key, **options):
    """The engine of a catalog model's GGUF, and what its load reported."""
    card, steps = runtime.catalog[key], []
    snapshot = sources.resolve(card, "gguf", runtime.settings, steps.append, lambda: False)
    steps.clear()
    local = Local(snapshot, "gguf", **({"context": CONTEXT, "slots": runtime.settings.slots} | options))
    return open_gguf(local, "cpu", runtime.settings, steps.append), steps


@pytest.fixture(scope="module")
def engine(runtime):
    """SmolLM2-135M-Instruct with several slots."""
    engine, _ = opened(runtime, "smollm2-135m-instruct")
    yield engine
    engine.close()


def greedy(tokens=16, **more):
    return Sampling(max_new_tokens=tokens, temperature=0, **more)


def ask(engine, prompt, sampling, **options):
    """The whole answer: text and usage."""
    deltas = list(engine.generate(prompt, sampling, **options))
    return "".join(delta.text for delta in deltas), deltas[-1].usage


def computing():
    """The threads of answers that are still being computed."""
    return [thread for thread in threading.enumerate() if "_compute" in thread.name]


# --- text and figures ---------------------------------------------------------------------------------------


def test_a_load_tells_what_it_takes(runtime):
    engine, steps = opened(runtime, "smollm2-135m-instruct", context=512)
    assert steps[0] == Progress("read", 0, steps[0].total, "bytes", steps[0].detail)
    assert steps[0].total > 90e6
    assert engine.bytes > 90e6
    assert (engine.name, engine.context, engine.slots) == ("llama.cpp", 512, runtime.settings.slots)
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="ejected"):
        ask(engine, FRANCE, greedy())


def test_each_slot_has_the_whole_context(runtime):
    for context, slots in ((512, 2), (4096, 1)):
        engine, _ = opened(runtime, "smollm2-135m-instruct", context=context, slots=slots)
        assert (engine.context, engine.slots) == (context, slots)
        engine.close()


def test_a_stream_of_tokens_with_figures(engine):
    deltas = list(engine.generate(engine.render(ANIMALS), greedy(12)))
    texts = [delta.text for delta in deltas if delta.text]
    assert len(texts) >= 3, "pieces of a few tokens, none later than 25 ms"
    assert all(delta.usage.finish is None for delta in deltas[:-1])
    counts = [delta.usage.new_tokens for delta in deltas]
    assert counts == sorted(counts)
    usage = deltas[-1].usage
    assert (usage.engine, usage.context, usage.finish, usage.new_tokens) == ("llama.cpp", CONTEXT, "length", 12)
    assert 0 < usage.ttft_s < usage.wall_s
    assert min(usage.decode_tokens_per_s, usage.prefill_tokens_per_s, usage.peak_bytes) > 0
    assert "".join(texts) == ask(engine, engine.render(ANIMALS), greedy(12))[0]


def test_default_system_prompt_and_template_give_the_tokens_of_transformers(engine):
    prompt = engine.render(ANIMALS)
    assert prompt.rendered
    assert prompt.text.endswith("<|im_start|>user\nName three animals.<|im_end|>\n<|im_start|>assistant\n")
    assert ask(engine, prompt, greedy(1))[1].prompt_tokens == 34


def test_the_model_ends_its_answer_itself(engine):
    text, usage = ask(engine, engine.render(ANIMALS), greedy(200))
    assert usage.finish == "stop"
    assert usage.new_tokens < 200
    assert "<|im_end|>" not in text


def test_greedy_is_deterministic_and_right(engine):
    answers = {ask(engine, FRANCE, greedy(12))[0] for _ in range(3)}
    assert len(answers) == 1
    assert answers.pop().startswith(" Paris")


@pytest.mark.slow
def test_a_seed_repeats_exactly_and_seeds_differ(engine):
    def sampled(seed):
        return ask(engine, FRANCE, Sampling(max_new_tokens=10, temperature=1.5, seed=seed))

    texts = [sampled(7)[0] for _ in range(3)]
    assert texts[0] == texts[1] == texts[2]
    assert len({sampled(seed)[0] for seed in (1, 2, 3)}) == 3
    assert len({sampled(None)[0] for _ in range(3)}) == 3, "no seed means a new one each time"
    assert sampled(7)[1].seed == 7
    assert sampled(None)[1].seed is not None, "it is told, so that the answer can be asked for again"


@pytest.mark.parametrize(
    ("change", "same"),
    [({"top_k": 1}, True), ({"min_p": 1.0}, True), ({"top_p": 0.05, "temperature": 0.7}, True), ({"top_k": 0}, False)],
)
def test_filters_reach_the_sampler(engine, change, same):
    sampling = Sampling(**({"max_new_tokens": 6, "temperature": 2.0, "top_p": 1.0, "seed": 5} | change))
    assert (ask(engine, FRANCE, sampling)[0] == ask(engine, FRANCE, greedy(6, seed=5))[0]) == same


def test_repetition_penalty_reaches_the_sampler(engine):
    prompt = Prompt("tick tock, tick tock, tick tock, tick tock,")
    assert "tick tock" in ask(engine, prompt, greedy(8))[0]
    assert "tick tock" not in ask(engine, prompt, greedy(8, repetition_penalty=2.0))[0]


@pytest.mark.parametrize("words", ["😀🎉🚀", "漢字仮名、"])
def test_no_broken_characters_in_any_partial(engine, words):
    deltas = list(engine.generate(Prompt(words * 5), greedy(19)))  # ends inside a character
    assert all("\ufffd" not in delta.text for delta in deltas)
    text = "".join(delta.text for delta in deltas)
    assert text == text.encode().decode()
    assert words in text, "the test needs characters of several tokens in the answer"


# --- reasons to end -----------------------------------------------------------------------------------------


def test_stop_string_is_never_shown(engine):
    whole, _ = ask(engine, FRANCE, greedy(24))
    for stop in (whole[3:5], whole[2:12], whole[10:20]):  # inside a token, and across several
        deltas = list(engine.generate(FRANCE, greedy(24, stop=["never said", stop])))
        assert "".join(delta.text for delta in deltas) == whole[: whole.index(stop)]
        assert deltas[-1].usage.finish == "stop_string"
        assert deltas[-1].usage.prompt_tokens == 5
        assert deltas[-1].usage.prefill_tokens_per_s > 0
    assert not computing()


def test_an_answer_of_fixed_length_goes_on_beyond_the_end(engine):
    prompt = engine.render((Message("user", "Reply with the word yes."),))
    assert ask(engine, prompt, greedy(60))[1].finish == "stop"
    usage = ask(engine, prompt, FixedLength(max_new_tokens=60, temperature=0))[1]
    assert (usage.new_tokens, usage.finish) == (60, "length")


def test_half_a_stop_string_at_the_end_is_shown(engine):
    whole, _ = ask(engine, FRANCE, greedy(8))
    assert ask(engine, FRANCE, greedy(8, stop=[whole[-3:] + "…"]))[0] == whole


def test_time_limit(engine):
    text, usage = ask(engine, FRANCE, greedy(2000), time_limit_s=0.5)
    assert usage.finish == "time_limit"
    assert text
    assert usage.wall_s < 5
    assert not computing()


def test_time_limit_holds_while_the_prompt_is_read(engine):
    text, usage = ask(engine, Prompt("Limit. " + LONG.text), greedy(2000), time_limit_s=0.05)
    assert (usage.finish, text) == ("time_limit", "")
    assert usage.new_tokens == 0


def test_too_long_prompt_says_both_numbers(engine):
    with pytest.raises(ContextExceeded) as raised:
        ask(engine, Prompt(FACTS * 200), greedy())
    assert raised.value.facts["context"] == CONTEXT
    assert 3000 < raised.value.facts["prompt_tokens"] < 5000
    assert ask(engine, FRANCE, greedy(4))[1].finish == "length", "and the next visitor is served"


def test_an_answer_that_fills_the_context_ends(runtime):
    engine, _ = opened(runtime, "smollm2-135m-instruct", context=256)
    text, usage = ask(engine, Prompt("one two " * 110), greedy(400))
    assert (usage.finish, text != "") == ("length", True)
    assert usage.prompt_tokens + usage.new_tokens <= 256 + 1
    engine.close()


# --- leaving ------------------------------------------------------------------------------------------------


def test_closing_stops_within_a_token(engine):
    answer = engine.generate(FRANCE, greedy(2000))
    while not next(answer).text:
        pass
    assert len(computing()) == 1
    started = time.monotonic()
    answer.close()
    assert time.monotonic() - started < 3, "two thousand tokens take twenty seconds at the least"
    assert not computing()
    alone = ask(engine, FRANCE, greedy(8))[1]
    assert alone.new_tokens == 8
    assert alone.ttft_s < 3, "nothing is in its way"


@pytest.mark.slow
def test_closing_in_the_middle_of_a_long_prefill(engine, monkeypatch):
    complete, reached = engine._process.handle_completions, []

    def watched(request, adapters, on_chunk):
        def seen(chunk):
            reached.extend([chunk["prompt_progress"]] if "prompt_progress" in chunk else [])
            return on_chunk(chunk)

        complete(request, adapters, seen)

    monkeypatch.setattr(engine._process, "handle_completions", watched)
    answer = engine.generate(Prompt("Middle. " + LONG.text), greedy(64))
    while not next(answer).usage.prompt_tokens:
        pass
    answer.close()
    assert not computing()
    assert reached[-1]["processed"] <= 3 * gguf_engine.BATCH < reached[-1]["total"], "ended within a step or two"
    monkeypatch.undo()
    assert ask(engine, FRANCE, greedy(4))[0].startswith(" Paris")


def test_an_answer_that_nobody_reads_is_not_computed(engine):
    engine.generate(FRANCE, greedy(2000)).close()
    assert not computing()


# --- several at once, and several turns ---------------------------------------------------------------------


def test_the_second_turn_reuses_the_first(engine):
    first = [Message("user", FACTS * 4 + "Who sleeps in the barn?")]
    text, one = ask(engine, engine.render(first), greedy(8))
    second = [*first, Message("assistant", text), Message("user", "And who counts?")]
    _, two = ask(engine, engine.render(second), greedy(4))
    assert two.prompt_tokens > one.prompt_tokens + 8
    assert two.cached_tokens >= one.prompt_tokens - 8
    assert two.cached_tokens < two.prompt_tokens


def test_four_at_once_get_their_own_answers(engine):
    capitals = {"France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid"}
    start = threading.Barrier(len(capitals))

    def visitor(country):
        start.wait(10)
        return ask(engine, Prompt(f"The capital of {country} is"), greedy(6))

    with ThreadPoolExecutor(4) as pool:
        answers = dict(zip(capitals, pool.map(visitor, capitals), strict=True))
    for country, (text, usage) in answers.items():
        assert capitals[country] in text
        assert (usage.finish, usage.new_tokens) == ("length", 6)


def test_one_of_two_leaves_and_the_other_goes_on(engine):
    leaving = engine.generate(FRANCE, greedy(2000))
    next(leaving)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(ask, engine, Prompt("The capital of Italy is"), greedy(8))
        leaving.close()
        text, usage = other.result(60)
    assert "Rome" in text
    assert usage.new_tokens == 8


# --- a base model that wants its start token ----------------------------------------------------------------


def test_gemma_gets_its_start_token_exactly_once(runtime):
    engine, _ = opened(runtime, "gemma-3-270m", context=512)
    text, plain = ask(engine, Prompt("Once upon a time"), greedy(4))
    assert plain.prompt_tokens == 5, "four words and <bos>"
    assert ask(engine, Prompt("<bos>Once upon a time", rendered=True), greedy(4))[1].prompt_tokens == 5
    assert text.startswith(",")
    engine.close()


# --- what the library reports -------------------------------------------------------------------------------


def piece(text, finish=None):
    return {"choices": [{"text": text, "finish_reason": finish}]}


class FakeServer:
    """Answers any request with these chunks; an exception among them is raised."""

    facts, attached = {"context": 64, "bytes": 0, "resident": 0}, ()

    def __init__(self, *chunks):
        self.chunks = chunks

    def handle_completions(self, request, adapters, on_chunk):
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if on_chunk(chunk):
                return


@pytest.mark.parametrize(
    ("chunk", "error", "words"),
    [
        ({"error": {"code": 500, "message": "decode failed", "type": "server_error"}}, EngineFailed, "decode failed"),
        (RuntimeError("slot lost"), EngineFailed, "slot lost"),
        (MemoryError(), OutOfMemory, "memory"),
        (None, EngineFailed, "without an error message"),
    ],
)
def test_an_error_after_partial_text_keeps_the_text(chunk, error, words):
    told = [piece("Hel"), piece("lo"), *([chunk] if chunk else [])]
    engine = GgufEngine(FakeServer(*told), ChatTemplate(""), 1)
    seen = []
    with pytest.raises(error, match=words):
        seen.extend(engine.generate(FRANCE, greedy()))
    partial = engine.generate(FRANCE, greedy())
    assert next(partial).text + next(partial).text == "Hello"
    partial.close()
    assert not computing()


def test_heartbeats_come_while_the_library_is_silent(monkeypatch):
    monkeypatch.setattr(chunks, "HEARTBEAT_S", 0.02)
    go_on = threading.Event()

    class Slow(FakeServer):
        def handle_completions(self, request, adapters, on_chunk):
            go_on.wait(10)
            super().handle_completions(request, adapters, on_chunk)

    engine = GgufEngine(Slow(piece("a"), piece("", "stop")), ChatTemplate(""), 1)
    answer = engine.generate(FRANCE, greedy())
    beats = [next(answer) for _ in range(3)]
    assert all(beat.text == "" and beat.usage.finish is None for beat in beats)
    assert beats[0].usage.wall_s < beats[2].usage.wall_s
    go_on.set()
    assert "".join(delta.text for delta in answer) == "a"


def test_the_context_that_was_asked_for_is_the_limit(runtime):
    card = runtime.catalog["smollm2-135m-instruct"]
    snapshot = sources.resolve(card, "gguf", runtime.settings, lambda step: None, lambda: False)
    engine = open_gguf(Local(snapshot, "gguf", context=300, slots=1), "cpu", Settings(), lambda step: None)
    assert (300 <= engine.context <= 512, engine.slots) == (True, 1)
    with pytest.raises(ContextExceeded, match=f"room for {engine.context}"):
        ask(engine, LONG, greedy())
    engine.close()
