"""The Runtime: what it refuses before anything is computed, what it tells of the models, what becomes a job."""

import asyncio
import json
import threading
from dataclasses import replace

import gguf
import numpy
import pytest

from models import loading, lookup
from models import runtime as runtime_module
from models.domain.catalog import Catalog, load_catalog
from models.domain.engine import Prompt
from models.domain.errors import (
    ContextExceeded,
    EmptyPrompt,
    GpuQuotaUsed,
    HubIdsNotAllowed,
    HubUnreachable,
    InvalidText,
    ModeNotPossible,
    PromptTooManyCharacters,
    SamplingOutOfBounds,
    TextExceedsContext,
    TooManyTurns,
    UnknownAdapter,
    UnknownModel,
)
from models.domain.load import Snapshot
from models.domain.messages import Delta, Message, Progress, Rendered, Sampling, Usage
from models.domain.request import BasePrompt, ChatRequest, CompletionRequest
from models.domain.settings import Settings
from models.domain.thinking import Thinking
from models.domain.variant import Variant
from models.runtime import Runtime

SMOLLM2, GEMMA = Variant("smollm2-135m-instruct"), Variant("gemma-3-270m")
LIMITS = Settings(max_characters=20, max_turns=4, max_new_tokens=8, hub_ids=False)
SHORT = Sampling(max_new_tokens=8)
HERE = Snapshot("/weights/model.gguf", "gguf", "folder", 100, trusted=True)
ANSWER = [Rendered("x"), Delta("yes", Usage(finish="stop"))]


def chat(*texts, variant=SMOLLM2, sampling=SHORT, system=""):
    turns = [Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts)]
    return ChatRequest(variant, (*([Message("system", system)] if system else []), *turns), sampling)


def complete(prompt, variant=SMOLLM2, sampling=SHORT):
    return CompletionRequest(variant, prompt, sampling)


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that were computed; the weights are always here and the computation is canned."""
    asked = []

    def events(job):
        asked.append(job)
        yield from ANSWER

    monkeypatch.setattr(runtime_module, "events", events)
    monkeypatch.setattr(lookup.sources, "locate", lambda card, form, settings: replace(HERE, form=form))
    return asked


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(lookup, "accelerator", lambda: "cpu")
    return Runtime(LIMITS)


REFUSED = {
    "no messages": (chat(), EmptyPrompt),
    "empty message": (chat(""), EmptyPrompt),
    "blank last message": (chat("hi", "yes", " \n\t"), EmptyPrompt),
    "empty text": (complete(""), EmptyPrompt),
    "long message": (chat("x" * 21), PromptTooManyCharacters),
    "long conversation": (chat("x" * 10, "x" * 10, "x"), PromptTooManyCharacters),
    "long system prompt": (chat("x", system="x" * 20), PromptTooManyCharacters),
    "long text": (complete("x" * 21), PromptTooManyCharacters),
    "broken character": (complete("a\ud83d"), InvalidText),
    "broken character in a turn": (chat("a\udc00"), InvalidText),
    "long instruction": (
        ChatRequest(GEMMA, (Message("user", "x"),), SHORT, BasePrompt("y" * 20)),
        PromptTooManyCharacters,
    ),
    "too many turns": (chat(*"abcde"), TooManyTurns),
    "long answer": (chat("hi", sampling=Sampling(max_new_tokens=9)), SamplingOutOfBounds),
    "long continuation": (complete("hi", sampling=Sampling(max_new_tokens=9)), SamplingOutOfBounds),
    "unknown model": (chat("hi", variant=Variant("smollm3-135m-instruct")), UnknownModel),
    "hub id": (chat("hi", variant=Variant("owner/name")), HubIdsNotAllowed),
    "revision of a listed one": (chat("hi", variant=Variant("HuggingFaceTB/SmolLM2-135M=main")), HubIdsNotAllowed),
    "adapter": (chat("hi", variant=Variant.parse("smollm2-135m-instruct+nobody:0.5")), UnknownAdapter),
    "unknown mode": (complete("hi", variant=Variant.parse("smollm2-135m-instruct@q9")), ModeNotPossible),
    "mode of another machine": (complete("hi", variant=Variant.parse("smollm2-135m-instruct@fp16")), ModeNotPossible),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_looked_up_or_computed(on_cpu, monkeypatch, name):
    def touched(*args, **kwargs):
        raise AssertionError("this has to be refused first")

    monkeypatch.setattr(runtime_module, "events", touched)
    monkeypatch.setattr(loading, "reported", touched)
    for thing in ("locate", "resolve", "hub_card"):
        monkeypatch.setattr(lookup.sources, thing, touched)
    request, error = REFUSED[name]
    with pytest.raises(error):
        list(on_cpu.answer(request))


@pytest.mark.parametrize(
    "request_",
    [chat("x" * 20), chat(*"abcd"), chat("x", system=" "), complete(" "), complete("x" * 20)],
    ids=["characters", "turns", "system", "blank text", "characters of text"],
)
def test_at_the_limit_is_accepted(on_cpu, jobs, request_):
    on_cpu.check(request_)
    assert list(on_cpu.answer(request_)) == ANSWER
    assert len(jobs) == 1


def test_refusals_say_both_numbers(on_cpu):
    for request, words in (
        (complete("x" * 1234), "1,234 characters.*at most 20"),
        (chat(*"abcdef"), "6 messages.*at most 4"),
        (complete("x", sampling=Sampling(max_new_tokens=4096)), "max_new_tokens is 4096.*at most 8"),
        (replace(chat("x"), thinking=Thinking(budget=9)), "thinking_budget is 9.*at most 8"),
    ):
        with pytest.raises(Exception, match=words):
            on_cpu.check(request)


def test_default_variant_has_to_be_spelled_right():
    with pytest.raises(Exception, match="not a variant"):
        Runtime(Settings(default_variant="smollm2 135m"))


# --- models -------------------------------------------------------------------------------------------------


def test_models_are_plain_data(on_cpu, monkeypatch):
    monkeypatch.setattr(
        lookup.sources, "locate", lambda card, form, settings: HERE if card.key == GEMMA.model else None
    )
    rows = [model.to_dict() for model in on_cpu.models()]
    assert json.loads(json.dumps(rows)) == rows
    assert [row["key"] for row in rows] == list(on_cpu.catalog)
    by_key = {row["key"]: row for row in rows}
    assert by_key[GEMMA.model]["on_this_machine"] == ["gguf", "safetensors"]
    assert by_key[SMOLLM2.model]["on_this_machine"] == []
    assert by_key[SMOLLM2.model] | {"kind": "instruct", "auto": "gguf", "without_hub": True} == by_key[SMOLLM2.model]
    assert by_key[GEMMA.model]["kind"] == "base"
    assert all(row["auto"] in row["modes"] and "fp16" not in row["modes"] for row in rows)


@pytest.mark.parametrize(("accelerator", "auto"), [("cpu", "gguf"), ("cuda", "bf16"), ("mps", "fp16")])
def test_auto_depends_on_the_machine(monkeypatch, accelerator, auto):
    monkeypatch.setattr(lookup, "accelerator", lambda: accelerator)
    runtime = Runtime()
    variant, mode = runtime.resolve(SMOLLM2, runtime.card(SMOLLM2))
    assert (str(variant), mode.name) == (f"smollm2-135m-instruct@{auto}", auto)


def test_a_listed_model_may_be_named_by_its_hub_id(on_cpu):
    assert on_cpu.card(Variant("HuggingFaceTB/SmolLM2-135M-Instruct")).key == SMOLLM2.model


def test_hub_ids_ask_the_hub_where_they_are_allowed_with_the_visitors_token(monkeypatch):
    asked = []

    def hub_card(*arguments):
        asked.append(arguments)
        return load_catalog()[SMOLLM2.model]

    monkeypatch.setattr(lookup.sources, "hub_card", hub_card)
    Runtime(replace(LIMITS, hub_ids=True)).card(Variant("owner/name=v2"), "the visitor's")
    assert asked[0][0] == "owner/name=v2"
    assert asked[0][2] == "the visitor's"


# --- answers ------------------------------------------------------------------------------------------------


def test_an_instruct_model_gets_messages_and_a_base_model_text(on_cpu, jobs):
    conversation = chat("2+2?", "4", "3+3?")
    list(on_cpu.answer(conversation))
    list(on_cpu.answer(replace(conversation, variant=GEMMA)))
    list(on_cpu.answer(complete(" as it is\n")))
    instruct, base, raw = jobs
    assert (instruct.messages, instruct.prompt, instruct.sampling) == (conversation.messages, "", SHORT)
    assert base.messages == ()
    assert base.prompt.endswith("Q: 2+2?\nA: 4\n\nQ: 3+3?\nA:")
    assert base.sampling.stop == ("\nQ:",)
    assert (raw.messages, raw.prompt, raw.sampling) == ((), " as it is\n", SHORT)
    assert [job.load.variant for job in jobs] == [f"{v.model}@gguf" for v in (SMOLLM2, GEMMA, SMOLLM2)]
    assert instruct.load == raw.load, "chat and completion share one model in memory"


def test_weights_are_fetched_where_they_are_not_here(on_cpu, jobs, monkeypatch):
    step, tokens = Progress("download", 1, 2, "bytes"), []

    def resolve(card, form, settings, on_progress, cancelled, token):
        on_progress(step)
        tokens.append(token)
        return replace(HERE, path=f"/{card.key}/{form}")

    monkeypatch.setattr(lookup.sources, "locate", lambda *a: None)
    monkeypatch.setattr(lookup.sources, "resolve", resolve)
    assert list(on_cpu.answer(complete("x"), "hf_visitor")) == [step, *ANSWER]
    assert jobs[0].load.where.snapshot.path == "/smollm2-135m-instruct/gguf"
    assert tokens == ["hf_visitor"]
    assert "hf_visitor" not in repr(jobs[0]), "it is used for one call and kept nowhere"


def test_what_fetching_raises_is_raised(on_cpu, jobs, monkeypatch):
    def resolve(*arguments, token):
        raise HubUnreachable(model="m")

    monkeypatch.setattr(lookup.sources, "locate", lambda *a: None)
    monkeypatch.setattr(lookup.sources, "resolve", resolve)
    with pytest.raises(HubUnreachable):
        list(on_cpu.answer(complete("x")))
    assert jobs == []


def test_a_gguf_that_stands_in_for_safetensors_is_converted(monkeypatch, jobs, tmp_path):
    monkeypatch.setattr(lookup, "accelerator", lambda: "cpu")
    monkeypatch.setattr(lookup.sources, "locate", lambda *a: HERE)

    def convert(gguf, out_dir, on_progress, cancelled):
        assert str(gguf) == HERE.path
        out_dir.mkdir(parents=True)
        (out_dir / "model.safetensors").write_bytes(b"12345")

    monkeypatch.setattr(loading, "convert_in_subprocess", convert)
    runtime = Runtime(replace(LIMITS, cache_dir=str(tmp_path)))
    list(runtime.answer(complete("x", variant=Variant.parse("smollm2-135m-instruct@nf4"))))
    snapshot = jobs[0].load.where.snapshot
    assert (snapshot.form, snapshot.origin, snapshot.bytes, snapshot.trusted) == ("safetensors", "converted", 5, True)
    assert jobs[0].load.where.mode == "nf4"


def test_answering_on_a_loop_checks_first_and_stops(on_cpu, jobs):
    async def read(*arguments):
        return [event async for event in on_cpu.answering(*arguments)]

    assert asyncio.run(read(complete("x"))) == ANSWER
    stop = threading.Event()
    stop.set()
    assert asyncio.run(read(complete("x"), stop))[-1].usage.finish == "cancelled"
    with pytest.raises(EmptyPrompt):
        asyncio.run(read(complete("")))
    assert len(jobs) == 2


def test_a_text_that_is_too_long_to_score_is_refused_before_its_model_is_loaded(monkeypatch, jobs, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    here = Snapshot(str(tmp_path), "safetensors", "folder", 100)
    monkeypatch.setattr(lookup, "accelerator", lambda: "cpu")
    monkeypatch.setattr(lookup.sources, "locate", lambda *a: here)
    runtime = Runtime(Settings(cache_dir=str(tmp_path), context=64, max_characters=2000))
    variant = Variant.parse("smollm2-135m-instruct@bf16")
    with pytest.raises(ContextExceeded, match="65 tokens"):
        list(runtime.score(Prompt("a " * 65), variant))
    assert jobs == []
    list(runtime.score(Prompt("a " * 64), variant))
    assert len(jobs) == 1


@pytest.mark.parametrize(("kind", "letter", "space"), [("gpt2", "a", "\u0120"), ("llama", "a", "\u2581")])
def test_the_same_of_a_gguf_by_the_fewest_entries_of_its_vocabulary_that_spell_it(
    monkeypatch, jobs, tmp_path, kind, letter, space
):
    file, writer = tmp_path / "m.gguf", gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tokenizer_model(kind)
    writer.add_token_list(["?", letter, space, letter + space, space + letter])
    writer.add_tensor("a", numpy.zeros(1, numpy.float32))
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    monkeypatch.setattr(lookup, "accelerator", lambda: "cpu")
    monkeypatch.setattr(lookup.sources, "locate", lambda *a: Snapshot(str(file), "gguf", "folder", 100))
    runtime = Runtime(Settings(cache_dir=str(tmp_path), context=64, max_characters=2000))
    variant = Variant.parse("smollm2-135m-instruct@gguf/kv8")
    with pytest.raises(TextExceedsContext, match="at least 65 tokens"):
        list(runtime.score(Prompt("a " * 65), variant))
    assert jobs == []
    list(runtime.score(Prompt("a " * 64), variant))
    assert jobs[0].load.where.mode == "gguf/kv8"


def test_a_catalog_of_ones_own_is_the_one_that_counts(monkeypatch):
    own = replace(Runtime().catalog[SMOLLM2.model], key="ours", hub_id="us/ours", listed=False)
    runtime = Runtime(LIMITS, Catalog((own,)))
    assert [model.key for model in runtime.models()] == ["ours"]
    assert runtime.card(Variant("us/ours")).listed, "its chat template is the operator's choice"
    with pytest.raises(UnknownModel):
        runtime.card(SMOLLM2)


def test_a_listing_says_the_same_of_auto_as_the_description(on_cpu, monkeypatch):
    monkeypatch.setattr("models.lookup.free_disk", lambda settings: 80 * 2**30)  # others write meanwhile
    for listed, described in zip(on_cpu.listing(), on_cpu.models(), strict=True):
        assert list(listed.plans) == [described.auto][: bool(described.auto)]
        for name, offer in listed.plans.items():
            other = described.plans[name]
            assert (offer.needed, offer.weights, offer.speed) == (other.needed, other.weights, other.speed)
        assert replace(listed, plans=described.plans, refused=described.refused) == described


@pytest.mark.parametrize("ask", ["answer", "score"])
def test_where_no_gpu_is_given_a_variant_that_needs_none_is_named(monkeypatch, jobs, on_cpu, ask):
    def refused(job):
        yield Progress("waiting")
        raise GpuQuotaUsed(words="60s requested vs. 3s left")

    monkeypatch.setattr(runtime_module, "events", refused)
    wanted = replace(SMOLLM2, quantization="bf16")
    asked = on_cpu.answer(chat("Hi", variant=wanted)) if ask == "answer" else on_cpu.score(Prompt("A fox."), wanted)
    with pytest.raises(GpuQuotaUsed) as caught:
        list(asked)
    assert caught.value.facts["instead"] == f"{SMOLLM2}@gguf"
    assert "3s left" in str(caught.value)
    assert f"or pick {SMOLLM2}@gguf: it computes on this app's CPU" in str(caught.value), "columns and programs read it"
