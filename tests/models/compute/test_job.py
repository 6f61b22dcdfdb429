"""A job: plain data, the engine that a mode means, and the course of one computation."""

import pickle
from dataclasses import replace

import pytest

from models.compute import job as job_module
from models.compute.job import Answering, Deadline, Scoring, computing_process, open_engine, run
from models.domain.engine import Prompt
from models.domain.errors import ContextExceeded, GpuTimeUsed, OutOfMemory
from models.domain.load import ActiveAdapter, Adapter, Load, Local, Room, Snapshot
from models.domain.lora import LoraConfig
from models.domain.messages import Delta, Message, Progress, Rendered, Sampling, Scored, Usage
from models.domain.settings import Settings
from models.engines.llama import engine as gguf_engine
from models.engines.transformers import engine as transformers_engine

SNAPSHOT = Snapshot("m.gguf", "gguf", "folder", 100)
HELLO = (Message("user", "Hello"),)


class FakeEngine:
    name, context, slots, bytes, resident, attached = "fake", 64, 2, 100, 100, ()

    def __init__(self):
        self.asked, self.stopped = [], 0
        self.error = None

    def close(self):
        pass

    def render(self, messages, thinking=None):
        return Prompt("".join(f"<{m.role}>{m.content}" for m in messages), rendered=True)

    def generate(self, prompt, sampling, time_limit_s, rows, reuse):
        self.asked.append((prompt, sampling, time_limit_s, *rows[0]))
        try:
            yield Delta("a", Usage(engine="fake", new_tokens=1))
            if self.error:
                raise self.error
            yield Delta("b", Usage(engine="fake", new_tokens=2, finish="stop"))
        finally:
            self.stopped += 1

    def score(self, prompt, record, reference, adapters, rivals):
        try:
            yield Progress("score", 1, 2, "tokens")
            yield Scored(tokens=(prompt.text, record, reference, *map(str, adapters)), log_probabilities=(-1.0,))
        finally:
            self.stopped += 1


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """The only engine of a process's models of its own; `engine.load` is the load that means it."""
    fake = FakeEngine()
    fake.load = Load("m@gguf", Local(SNAPSHOT, "gguf", 64, 8), Settings(cache_dir=str(tmp_path), time_limit_s=7))
    monkeypatch.setattr(job_module, "open_engine", lambda load, on_progress: fake)
    return fake


def process(engine):
    return computing_process(engine.load.settings)


def test_jobs_cross_a_process_boundary_and_equal_loads_share():
    load = Load("m@gguf", Local(SNAPSHOT, "gguf", 64, 8), Settings(gated_models=("a/b",)))
    job = Answering(load, Sampling(stop=["\n"], seed=3), HELLO)
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert hash(again.load) == hash(load)
    assert str(load) == "m@gguf"
    assert replace(load, where=replace(load.where, room=Room(5))) == load, (
        "what the plan counts it with does not make it another model"
    )
    assert hash(replace(load, where=replace(load.where, mode="nf4"))) != hash(load)


@pytest.mark.parametrize(
    ("messages", "prompt", "given"),
    [
        (HELLO, "", Prompt("<user>Hello", rendered=True)),
        ((), "  Once\n", Prompt("  Once\n")),
    ],
)
def test_course_of_an_answer(engine, messages, prompt, given):
    sampling = Sampling(temperature=0)
    events = [e for e in run(Answering(engine.load, sampling, messages, prompt)) if not isinstance(e, Progress)]
    rendered, first, last = events
    assert rendered == Rendered(given.text)
    assert engine.asked == [(given, sampling, 7)]
    assert (first.text, last.text, last.usage.finish) == ("a", "b", "stop")
    assert {first.usage.variant, last.usage.variant} == {"m@gguf"}
    assert 0 <= last.usage.load_s < 5
    assert engine.stopped == 1


def test_what_a_template_did_to_the_visitors_words_stands_in_the_usage(engine, monkeypatch):
    monkeypatch.setattr(
        type(engine), "render", lambda self, messages, thinking: Prompt("x", rendered=True, notes=("Left out.",))
    )
    *_, last = run(Answering(engine.load, Sampling(), HELLO))
    assert last.usage.notes == ("Left out.",)


def test_course_of_a_score(engine):
    events = list(run(Scoring(engine.load, Prompt("text"), "record", "reference")))
    scored = Scored("m@gguf", ("text", "record", "reference"), (-1.0,))
    assert events[-2:] == [Progress("score", 1, 2, "tokens"), scored]
    assert (engine.stopped, process(engine).pool.held()[0].users) == (1, 0)


def test_an_answer_with_a_seed_waits_until_it_is_alone_and_lets_nobody_in(engine, monkeypatch):
    monkeypatch.setattr("models.compute.turnstile.HEARTBEAT_S", 0.01)
    seeded, free = (Answering(engine.load, Sampling(seed=seed), HELLO) for seed in (3, None))
    for first, second in ((free, seeded), (seeded, free), (seeded, seeded)):
        inside, beside = run(first), run(second)
        next(event for event in inside if isinstance(event, Delta))
        waiting = next(event for event in beside if isinstance(event, Progress) and event.stage == "waiting")
        assert waiting.detail == "1 ahead"
        inside.close()
        assert next(event for event in beside if isinstance(event, Delta)).text == "a"
        beside.close()


def test_a_score_is_computed_alone(engine, monkeypatch):
    monkeypatch.setattr("models.compute.turnstile.HEARTBEAT_S", 0.01)
    inside = run(Scoring(engine.load, Prompt("text")))
    while next(inside).stage != "score":
        pass
    beside = run(Answering(engine.load, Sampling(), HELLO))
    assert next(event for event in beside if isinstance(event, Progress) and event.stage == "waiting")
    inside.close()
    assert next(event for event in beside if isinstance(event, Delta)).text == "a"
    beside.close()


def test_a_model_whose_file_was_replaced_is_loaded_anew_and_the_old_one_goes(engine, monkeypatch):
    opened = []

    def open_fake(load, on_progress):
        opened.append(load.where.snapshot.state)
        return FakeEngine()

    monkeypatch.setattr(job_module, "open_engine", open_fake)
    for state in ("one", "one", "two", "two"):
        load = replace(engine.load, where=replace(engine.load.where, snapshot=replace(SNAPSHOT, state=state)))
        list(run(Answering(load, Sampling(), HELLO)))
    other = replace(engine.load, where=replace(engine.load.where, snapshot=replace(SNAPSHOT, path="other.gguf")))
    list(run(Scoring(other, Prompt("text"))))
    assert opened == ["one", "two", ""]
    assert len(process(engine).pool.held()) == 2


def test_leaving_stops_the_engine_and_gives_everything_back(engine):
    events = run(Answering(engine.load, Sampling(), HELLO))
    next(event for event in events if isinstance(event, Delta))
    assert process(engine).pool.held()[0].users == 1
    events.close()
    assert engine.stopped == 1
    assert process(engine).pool.held()[0].users == 0
    with process(engine).turnstile.ticket("another engine", 1) as turn:
        assert next(turn, None) is None


def test_an_error_gives_everything_back(engine):
    engine.error = ContextExceeded(prompt_tokens=9, context=8)
    seen = []
    with pytest.raises(ContextExceeded):
        seen.extend(run(Answering(engine.load, Sampling(), HELLO)))
    engine.error = None
    assert [e.text for e in run(Answering(engine.load, Sampling(), HELLO)) if isinstance(e, Delta)] == ["a", "b"]
    assert process(engine).pool.held()[0].users == 0


def test_a_failed_load_is_raised(engine, monkeypatch):
    def fail(load, on_progress):
        raise OutOfMemory(during=f"loading {load}")

    monkeypatch.setattr(job_module, "open_engine", fail)
    with pytest.raises(OutOfMemory, match="loading m@gguf"):
        list(run(Answering(engine.load, Sampling(), HELLO)))
    assert process(engine).pool.held() == []


def test_waiting_for_a_turn_is_reported_after_the_prompt(engine):
    with process(engine).turnstile.ticket("another engine", 1) as turn:
        assert next(turn, None) is None
        events = run(Answering(engine.load, Sampling(), HELLO))
        seen = [next(event for event in events if not (isinstance(event, Progress) and event.stage == "read"))]
        seen.append(next(events))
    assert seen == [Rendered("<user>Hello"), Progress("waiting", detail="1 ahead")]
    assert [event.text for event in events if isinstance(event, Delta)] == ["a", "b"]


def test_models_belong_to_a_process_and_its_settings(engine, monkeypatch):
    ours = process(engine)
    assert process(engine) is ours
    assert computing_process(replace(engine.load.settings, slots=1)) is not ours
    monkeypatch.setattr(job_module.os, "getpid", lambda: -1)
    assert process(engine) is not ours, "a forked worker has none of its parent's threads"


@pytest.mark.parametrize("mode", ["gguf", "nf4", "bf16"])
def test_which_engine_a_mode_means(monkeypatch, mode):
    asked = []
    monkeypatch.setattr(gguf_engine, "open_gguf", lambda *a: asked.append(("gguf", *a)))
    monkeypatch.setattr(transformers_engine, "open_transformers", lambda *a: asked.append(("transformers", *a)))
    snapshot = replace(SNAPSHOT, form="gguf" if mode == "gguf" else "safetensors")
    local = Local(snapshot, mode, 64, 8)
    open_engine(Load("m", local, Settings()), print)
    wanted = ("gguf", local) if mode == "gguf" else ("transformers", snapshot, mode)
    assert [call[: len(wanted)] for call in asked] == [wanted]


def test_adapters_go_to_the_engine_and_into_the_spelling_but_not_into_the_load(engine):
    """All variants of one base share its model; which adapters acted is the engine's to say."""
    beside = tuple(
        ActiveAdapter(Adapter(n, LoraConfig(4, 8, ("q_proj",)), 10, f"{n}.safetensors"), w)
        for n, w in (("a", 1), ("b", -0.5))
    )
    usages = [
        event.usage
        for event in run(Answering(engine.load, Sampling(), HELLO, rows=(beside,)))
        if isinstance(event, Delta)
    ]
    assert {usage.variant for usage in usages} == {"m@gguf+a+b:-0.5"}
    assert {usage.adapters for usage in usages} == {()}
    assert engine.asked[-1][3:] == beside
    *_, scored = run(Scoring(engine.load, Prompt("x"), adapters=beside))
    assert (scored.variant, scored.tokens) == ("m@gguf+a+b:-0.5", ("x", "", "", "a", "b:-0.5"))
    assert [line.name for line in process(engine).pool.held()] == ["m@gguf"]
    job = Answering(engine.load, Sampling(), HELLO, rows=(beside,))
    assert pickle.loads(pickle.dumps(job)) == job


def test_what_would_begin_after_the_deadline_says_so_and_computes_nothing(engine):
    for job in (Answering(engine.load, Sampling(), messages=HELLO), Scoring(engine.load, Prompt("x"))):
        with pytest.raises(GpuTimeUsed, match="before this began"):
            next(run(job, Deadline(at=0.0, seconds=9)))
    assert not engine.asked
