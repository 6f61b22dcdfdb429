"""Which kept cache a prompt gets, and that using one changes no answer."""

import pytest

from models.domain.engine import Prompt
from models.domain.messages import Message, Sampling
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.prefix_cache import PrefixCache, common_length

GREEDY = Sampling(max_new_tokens=24, temperature=0)


class FakeTensor:
    def __init__(self, tokens):
        self.tokens = tokens

    def untyped_storage(self):
        return self

    def nbytes(self):
        return self.tokens


class FakeLayer:
    is_sliding = False

    def __init__(self, tokens):
        self.keys = self.values = FakeTensor(tokens)

    def get_seq_length(self):
        return self.keys.tokens


class FakeCache:
    is_croppable = True

    def __init__(self, tokens):
        self.layers = [FakeLayer(tokens)]

    def get_seq_length(self):
        return self.layers[0].keys.tokens

    def crop(self, tokens):
        assert tokens < 0
        for layer in self.layers:
            layer.keys = layer.values = FakeTensor(layer.keys.tokens + tokens)


def test_common_length():
    assert [common_length([1, 2, 3], other) for other in ([1, 2, 4], [1, 2, 3, 4], [], [5])] == [2, 3, 0, 0]


def test_the_longest_beginning_wins_and_is_taken_out():
    kept = PrefixCache(10**6)
    short, long = FakeCache(2), FakeCache(4)
    kept.put([1, 2], short)
    kept.put([7, 7, 7, 7], FakeCache(4))
    kept.put([1, 2, 3, 4], long)
    assert len(kept) == 2  # what holds only a beginning of the new one is dropped
    assert kept.take([1, 2, 3, 4, 5]) == (long, 4)
    assert kept.take([1, 2, 3, 4, 5]) == (None, 0)


def test_an_entry_with_more_than_the_common_beginning_stays():
    kept = PrefixCache(10**6)
    kept.put([1, 2, 3, 4], FakeCache(4))
    cut, length = kept.take([1, 2, 9, 9])
    assert (cut.get_seq_length(), length) == (2, 2)
    whole, length = kept.take([1, 2, 3, 4, 5])
    assert (whole.get_seq_length(), length) == (4, 4)


def test_one_token_is_always_left_to_compute():
    kept = PrefixCache(10**6)
    kept.put([1, 2, 3], FakeCache(3))
    assert kept.take([1, 2, 3])[1] == 2
    assert kept.take([1])[1] == 0


def test_only_tokens_that_the_cache_holds_count():
    kept = PrefixCache(10**6)
    kept.put([1, 2, 3, 4], FakeCache(3))  # the last token was chosen, but never computed
    assert kept.take([1, 2, 3, 4, 5])[1] == 3


def test_bounded_by_number_and_by_bytes():
    kept = PrefixCache(limit_bytes=100, entries=3)
    for first in range(5):
        kept.put([first, 1], FakeCache(2))
    assert len(kept) == 3
    kept.put([9] * 46, FakeCache(46))  # keys and values: 92 bytes
    assert len(kept) == 3
    assert kept.bytes == 100 == sum(entry.bytes for entry in kept._entries.values())
    kept.put([8] * 60, FakeCache(60))
    assert kept.take([8] * 61) == (None, 0)


def answer(engine, text):
    deltas = list(engine.generate(Prompt(text, rendered=True), GREEDY))
    return "".join(delta.text for delta in deltas), deltas[-1].usage


def computed_tokens(engine):
    """A list that grows by the tokens of each forward pass."""
    lengths = []
    engine._loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    return lengths


@pytest.fixture(params=["llama", "gemma with a sliding window"])
def folder(request, tiny_folder, tiny_gemma_folder):
    return tiny_folder if request.param == "llama" else tiny_gemma_folder


def conversation(engine, turns, forget):
    """Greedy answers of a growing prompt, and what they cost."""
    text, answers, usages = "<|user|>Once upon a time there was a fox, and naïve too.<|end|><|assistant|>", [], []
    for turn in range(turns):
        if forget:
            engine_thread().run(engine._prefixes.clear)
        words, usage = answer(engine, text)
        answers.append(words)
        usages.append(usage)
        text += words + f"<|end|><|user|>More, {turn}!<|end|><|assistant|>"
    return answers, usages


def test_five_turns_with_and_without(folder, opened):
    engine = opened(folder)
    fresh, whole = conversation(engine, 5, forget=True)
    engine_thread().run(engine._prefixes.clear)
    kept, usages = conversation(engine, 5, forget=False)
    assert kept == fresh
    assert all(usage.cached_tokens == 0 for usage in whole)
    assert [usage.prompt_tokens for usage in usages] == [usage.prompt_tokens for usage in whole]
    engine.close()


def test_only_new_tokens_are_computed(tiny):
    lengths = computed_tokens(tiny)
    _, first = answer(tiny, "Once upon a time there was a fox")
    assert lengths[0] == first.prompt_tokens
    del lengths[:]
    _, second = answer(tiny, "Once upon a time there was a fox and a crow")
    assert second.cached_tokens >= first.prompt_tokens - 1
    assert lengths[0] == second.prompt_tokens - second.cached_tokens


def test_two_interleaved_conversations_both_keep_theirs(tiny):
    prompts = {name: f"<|system|>The same beginning for both.<|end|><|user|>I am {name}." for name in ("Ann", "Bob")}
    earlier = dict.fromkeys(prompts, 0)
    for turn in range(4):
        for name, text in prompts.items():
            words, usage = answer(tiny, text)
            assert usage.cached_tokens >= earlier[name]
            earlier[name] = usage.prompt_tokens - 1
            prompts[name] = text + words + "<|end|><|user|>Go on."
        if turn == 3:
            engine_thread().run(tiny._prefixes.clear)
            assert answer(tiny, text)[0] == words


def test_after_a_stop_the_computed_part_is_kept(tiny):
    stream = tiny.generate(Prompt("Once upon a time there was a fox", rendered=True), Sampling(temperature=0))
    for _ in range(3):
        next(stream)
    stream.close()
    assert answer(tiny, "Once upon a time there was a fox")[1].cached_tokens > 0


def test_an_explicit_seed_reuses_nothing(tiny):
    text, seeded = Prompt("Once upon a time", rendered=True), Sampling(max_new_tokens=5, seed=3)
    greedy = Sampling(max_new_tokens=5, seed=3, temperature=0)
    for sampling, reused in ((seeded, False), (seeded, False), (greedy, False), (Sampling(max_new_tokens=5), True)):
        usage = list(tiny.generate(text, sampling))[-1].usage
        assert (usage.cached_tokens > 0) is reused


@pytest.mark.slow
def test_a_real_fifth_turn_starts_as_fast_as_its_new_tokens_allow(smollm2):
    history, lengths = [Message("user", "Tell me about foxes.")], computed_tokens(smollm2)
    for turn in range(5):
        del lengths[:]
        prompt = smollm2.render(history)
        deltas = list(smollm2.generate(prompt, GREEDY))
        usage = deltas[-1].usage
        assert lengths[0] == usage.prompt_tokens - usage.cached_tokens
        if turn:
            assert lengths[0] < 20
        text = "".join(delta.text for delta in deltas)
        history += [Message("assistant", text), Message("user", "And then?")]
    with_cache = usage
    engine_thread().run(smollm2._prefixes.clear)
    deltas = list(smollm2.generate(prompt, GREEDY))
    assert "".join(delta.text for delta in deltas) == text
    assert with_cache.ttft_s < deltas[-1].usage.ttft_s
