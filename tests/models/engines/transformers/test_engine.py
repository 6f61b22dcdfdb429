"""The engine on a tiny random model: equality with `generate`, stops, limits, errors and closing."""

import pytest

from models.domain.engine import Prompt
from models.domain.errors import ContextExceeded, EngineFailed, NoTemplate, OutOfMemory
from models.domain.messages import FixedLength, Message, Sampling
from models.engines.chat_template import ChatTemplate
from models.engines.transformers.engine_thread import engine_thread

TEXT = "Once upon a time there was a fox"


def run(engine, text=TEXT, **sampling):
    values = {"max_new_tokens": 40, "temperature": 0.0} | sampling
    return list(engine.generate(Prompt(text, rendered=True), Sampling(**values)))


def text_of(deltas):
    return "".join(delta.text for delta in deltas)


def on_forward(engine, act):
    """Call `act(count)` before each forward pass."""
    calls = []

    def hook(module, args):
        calls.append(1)
        act(len(calls))

    engine._loaded.model.register_forward_pre_hook(hook)
    return calls


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_is_what_generate_gives(tiny, reference, penalty):
    text, ids = reference(tiny, TEXT, do_sample=False, max_new_tokens=60, repetition_penalty=penalty)
    deltas = run(tiny, max_new_tokens=60, repetition_penalty=penalty)
    assert text_of(deltas) == text.rstrip("�")
    assert deltas[-1].usage.new_tokens == len(deltas) == len(ids)


def test_sampling_values_of_the_repository_do_not_leak_in(tiny_folder, tiny):
    assert "top_k" in (tiny_folder / "generation_config.json").read_text()
    seen = {text_of(run(tiny, temperature=1.0, top_k=0, top_p=1.0, seed=seed, max_new_tokens=1)) for seed in range(60)}
    assert len(seen) > 3


def test_a_seed_repeats_and_others_differ(tiny):
    def sampled(seed):
        return text_of(run(tiny, temperature=1.0, seed=seed))

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(5)}) == 5


def test_an_unseeded_answer_names_the_seed_that_repeats_it(tiny):
    deltas = run(tiny, temperature=1.0)
    seed = deltas[-1].usage.seed
    assert seed is not None
    assert text_of(run(tiny, temperature=1.0, seed=seed)) == text_of(deltas)
    assert run(tiny)[-1].usage.seed is None


@pytest.mark.parametrize("values", [{"top_k": 5}, {"top_p": 0.5}, {"min_p": 0.2}, {"top_k": 1}])
def test_filters_narrow_the_choice(tiny, values):
    free = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 1}
    wide = {text_of(run(tiny, **free, seed=seed)) for seed in range(16)}
    narrow = {text_of(run(tiny, **free | values, seed=seed)) for seed in range(16)}
    assert len(narrow) < len(wide)


def test_usage_grows_and_only_the_last_delta_has_a_finish(tiny):
    deltas = run(tiny, max_new_tokens=10)
    usages = [delta.usage for delta in deltas]
    assert [usage.new_tokens for usage in usages] == list(range(1, 11))
    assert [usage.finish for usage in usages] == [None] * 9 + ["length"]
    last = usages[-1]
    assert (last.engine, last.context, last.cached_tokens) == ("transformers", 512, 0)
    assert last.prompt_tokens == len(tiny._loaded.tokenizer(TEXT)["input_ids"])
    assert 0 < last.ttft_s < last.wall_s
    assert last.decode_tokens_per_s == pytest.approx(9 / (last.wall_s - last.ttft_s))
    assert last.prefill_tokens_per_s == pytest.approx(last.prompt_tokens / last.ttft_s)
    assert last.peak_bytes > 0


def test_eos_stops_and_is_not_shown(tiny):
    def force_end(engine):
        import torch

        def hook(module, args, output):
            if hook.calls == 4:
                output.logits[:] = torch.nn.functional.one_hot(torch.tensor(1), output.logits.shape[-1]) * 50.0
            hook.calls += 1

        hook.calls = 0
        engine._loaded.model.register_forward_hook(hook)

    engine_thread().run(lambda: force_end(tiny))
    deltas = run(tiny)
    assert deltas[-1].usage.finish == "stop"
    assert len(deltas) == 5
    assert "<|end|>" not in text_of(deltas)


def test_an_answer_of_fixed_length_goes_on_beyond_the_end(tiny):
    def always_end(engine):
        def hook(module, args, output):
            output.logits[:, :, 1] = 50.0

        engine._loaded.model.register_forward_hook(hook)

    engine_thread().run(lambda: always_end(tiny))
    assert run(tiny)[-1].usage.new_tokens == 1
    usage = list(tiny.generate(Prompt(TEXT), FixedLength(max_new_tokens=9, temperature=0)))[-1].usage
    assert (usage.new_tokens, usage.finish) == (9, "length")


def test_stop_strings_that_span_tokens_never_show(tiny):
    whole = text_of(run(tiny, max_new_tokens=60))
    for start in range(5, len(whole) - 8, 7):
        stop = whole[start : start + 6]
        deltas = run(tiny, max_new_tokens=60, stop=(stop,))
        assert text_of(deltas) == whole[: whole.index(stop)]
        assert deltas[-1].usage.finish == "stop_string"


def test_an_undecided_end_is_shown_when_nothing_follows(tiny):
    whole = text_of(run(tiny))
    assert text_of(run(tiny, stop=(whole[-3:] + "never",))) == whole


def test_random_bytes_stream_as_they_decode(tiny):
    for seed in range(4):
        sampling = {"temperature": 2.0, "seed": seed, "top_k": 0, "top_p": 1.0, "max_new_tokens": 80}
        deltas = run(tiny, **sampling)
        assert not deltas[-1].text.endswith("�")
        assert deltas[-1].usage.new_tokens == len(deltas)


def test_a_prompt_that_does_not_fit_is_refused_before_computing(tiny_folder, opened):
    engine = opened(tiny_folder, context=64)
    calls = on_forward(engine, lambda count: None)
    with pytest.raises(ContextExceeded) as caught:
        run(engine, text="a b c d e " * 40)
    assert caught.value.facts["context"] == 64
    assert caught.value.facts["prompt_tokens"] > 63
    assert not calls
    engine.close()


def test_the_answer_ends_where_the_context_does(tiny_folder, opened):
    engine = opened(tiny_folder, context=64)
    last = run(engine, max_new_tokens=500)[-1].usage
    assert last.prompt_tokens + last.new_tokens == 64
    assert last.finish == "length"
    engine.close()


def test_the_models_own_context_is_the_limit(tiny_folder, opened):
    engine = opened(tiny_folder, context=10**6)
    assert engine.context == 2048
    engine.close()


def test_a_long_prompt_is_computed_in_steps_and_gives_the_same(tiny_folder, opened, reference):
    engine = opened(tiny_folder, context=2048)
    text = "Once upon a time there was a fox and a crow. " * 45
    lengths = []
    engine._loaded.model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    deltas = run(engine, text=text, max_new_tokens=8)
    assert max(lengths) <= 512
    assert sum(lengths) == deltas[-1].usage.prompt_tokens + 7
    assert text_of(deltas) == reference(engine, text, do_sample=False, max_new_tokens=8)[0].rstrip("�")
    assert deltas[0].usage.new_tokens == 0  # a chance to stop during prefill
    engine.close()


def test_time_limit(tiny):
    deltas = list(tiny.generate(Prompt(TEXT), Sampling(max_new_tokens=400, temperature=0), time_limit_s=0.0))
    assert deltas[-1].usage.finish == "time_limit"
    assert deltas[-1].usage.new_tokens == 1


def test_closing_leaves_the_thread_idle_within_one_token(tiny):
    calls = on_forward(tiny, lambda count: None)
    stream = tiny.generate(Prompt(TEXT), Sampling(max_new_tokens=450, temperature=0))
    for _ in range(3):
        next(stream)
    stream.close()
    then = len(calls)
    engine_thread().run(lambda: None)
    assert len(calls) - then <= 1
    assert len(calls) < 450


def fail_at(count, error):
    def act(now):
        if now == count:
            raise error

    return act


def test_an_exception_in_the_middle_comes_after_the_deltas_before_it(tiny):
    on_forward(tiny, fail_at(5, RuntimeError("broken at /home/somebody/secret/place")))
    seen = []
    with pytest.raises(EngineFailed) as caught:
        seen.extend(tiny.generate(Prompt(TEXT), Sampling(max_new_tokens=40, temperature=0)))
    assert len(seen) == 4
    assert "broken" in caught.value.message
    assert "somebody" not in caught.value.message
    assert len(tiny._prefixes) == 0  # a cache that was left half written is not kept


def test_out_of_memory_is_told_as_such(tiny):
    on_forward(tiny, fail_at(2, MemoryError()))
    with pytest.raises(OutOfMemory):
        run(tiny)
    assert text_of(run(tiny))  # and the engine goes on


def test_the_template_of_the_model_is_used(tiny):
    prompt = tiny.render([Message("user", "Hi")])
    assert prompt == Prompt("<|user|>Hi<|end|><|assistant|>", rendered=True)


def test_without_a_template_rendering_is_refused(tiny):
    tiny._template = ChatTemplate("")
    with pytest.raises(NoTemplate):
        tiny.render([Message("user", "Hi")])


def test_a_template_that_is_not_trusted_is_rendered_apart(tiny_folder, opened):
    engine = opened(tiny_folder, trusted=False)
    assert engine.render([Message("user", "Hi")]).text == "<|user|>Hi<|end|><|assistant|>"
    engine.close()


def test_a_closed_engine_says_so(tiny_folder, opened):
    engine = opened(tiny_folder)
    engine.close()
    with pytest.raises(EngineFailed):
        run(engine)


def test_an_empty_folder_is_an_error_without_its_path(tmp_path, opened):
    with pytest.raises(EngineFailed) as caught:
        opened(tmp_path / "private")
    assert str(tmp_path) not in str(caught.value)


def test_attention_makes_no_plan_for_each_length(tiny):
    import torch

    assert not torch.backends.cuda.cudnn_sdp_enabled(), "50 to 80 ms for every token on an H200"
