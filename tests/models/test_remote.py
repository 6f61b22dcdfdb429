"""A model that another machine serves goes through everything that a local one does, and takes nothing here."""

import json
from functools import partial

import pytest
from gradio_client import Client

from models import __main__ as command_line
from models.compute import gpu
from models.compute.job import REMOTE_ENGINES, computing_process
from models.domain.catalog import Catalog, ModelCard, load_catalog
from models.domain.engine import Prompt
from models.domain.errors import BadMerge, ModeNotPossible, NotScorable, PaddockError
from models.domain.load import Remote
from models.domain.messages import Delta, Message, Rendered, Sampling, Usage
from models.domain.request import BasePrompt, ChatRequest, CompareRequest, CompletionRequest
from models.domain.settings import Settings
from models.domain.training import TrainingSettings
from models.domain.variant import Variant
from models.runtime import Runtime
from models.studies.compare import compare
from models.training.finetune import finetune
from models.training.merge import merge
from tests.conftest import free_port
from ui.layout import build_app, launch_options

ENDPOINT = "http://far.example"


def served(key, kind="instruct"):
    remote = Remote("fake", ENDPOINT, key.upper())
    return ModelCard(key, key.title(), "Far", kind, "", "MIT", 8192, None, remote=remote)


FAR, FARTHER, BASE = served("far"), served("farther"), served("far-base", "base")


class FakeRemote:
    """Says what it was asked, word by word."""

    name, context, slots, bytes, resident, attached = "fake", 8192, 4, 0, 0, ()

    def __init__(self, remote, settings):
        self.model, self.closed = remote.model, False
        assert remote.endpoint == ENDPOINT
        OPENED.append(self)

    def render(self, messages, thinking=None):
        return Prompt("\n".join(f"{m.role}: {m.content}" for m in messages), rendered=True)

    def generate(self, prompt, sampling, time_limit_s, rows, reuse):
        words = f"{self.model} was asked {prompt.text}".split(" ")[: sampling.max_new_tokens]
        for n, word in enumerate(words, 1):
            yield Delta(f"{word} ", Usage(engine="fake", new_tokens=n, decode_tokens_per_s=9.0))
        yield Delta("", Usage(engine="fake", new_tokens=len(words), decode_tokens_per_s=9.0, finish="stop"))

    def score(self, *arguments):
        raise NotScorable(engine="fake")
        yield

    def close(self):
        self.closed = True


OPENED: list[FakeRemote] = []


@pytest.fixture
def runtime(monkeypatch, tmp_path):
    def no_gpu(job):
        raise AssertionError("no GPU is asked for what another machine computes")

    OPENED.clear()
    monkeypatch.setitem(REMOTE_ENGINES, "fake", FakeRemote)
    monkeypatch.setattr(gpu, "lent", no_gpu)
    catalog = Catalog((*load_catalog().values(), FAR, FARTHER, BASE))
    made = Runtime(Settings(cache_dir=str(tmp_path), default_variant="far", preload=False), catalog)
    yield made
    assert made.held() == [], "nothing of it is in memory here"
    assert all(engine.closed for engine in OPENED)


def chat(text, variant="far"):
    return ChatRequest(Variant.parse(variant), (Message("user", text),), Sampling(max_new_tokens=20))


def answered(events):
    events = list(events)
    assert isinstance(events[0], Rendered)
    return "".join(event.text for event in events if isinstance(event, Delta)).strip(), events[-1].usage


def test_chat_and_complete(runtime):
    text, usage = answered(runtime.answer(chat("Hi")))
    assert (text, usage.variant, usage.origin) == ("FAR was asked user: Hi", "far@remote", "remote")
    assert answered(runtime.answer(CompletionRequest(Variant("far"), "Once upon")))[0] == "FAR was asked Once upon"
    parts = BasePrompt("", "Q:", "A:")
    request = ChatRequest(Variant("far-base"), (Message("user", "Hi"),), base_prompt=parts)
    assert answered(runtime.answer(request))[0] == "FAR-BASE was asked Q: Hi\nA:"


def test_it_waits_for_no_turn_of_this_machine(runtime):
    with computing_process(runtime.settings).turnstile.ticket("a local engine", 1) as turn:
        assert list(turn) == []
        assert answered(runtime.answer(chat("Hi")))[1].finish == "stop"


def test_leaving_closes_the_connection(runtime):
    stream = runtime.answer(chat("Hi"))
    assert isinstance(next(stream), Rendered)
    next(stream)
    stream.close()
    assert OPENED[-1].closed


def test_its_plan_has_no_bytes_and_fits(runtime):
    planned = runtime.plan(Variant("far"))
    assert (planned.variant, planned.total, planned.parts, planned.fits) == ("far@remote", 0, (), True)
    assert json.loads(json.dumps(planned.to_dict()))["device"]["device"] == ENDPOINT
    told = {model.key: model for model in runtime.models()}["far"]
    assert (told.modes, told.auto, told.fits, told.parameters) == (["remote"], "remote", True, 0)
    assert json.loads(json.dumps(told.to_dict()))["on_this_machine"] == []
    assert runtime.adapters(Variant("far")) == []


def test_compare_puts_two_of_them_side_by_side_and_says_what_they_cannot(runtime):
    variants = (Variant("far"), Variant("farther"))
    request = CompareRequest.of(variants, "Hi", sampling=Sampling(20, 0), reference=variants[0], text="A text.")
    *_, whole = compare(runtime, request)
    assert [column.answer.strip() for column in whole.columns] == [
        "FAR was asked user: Hi",
        "FARTHER was asked user: Hi",
    ]
    for column in whole.columns:
        assert not column.error
        assert column.known.decode_tokens_per_s == 9.0
        assert (column.known.measured_bytes, column.known.predicted_bytes, column.predicted_peak) == (None, None, None)
        assert "cannot compute how likely" in column.figures.note


def test_what_needs_its_weights_is_refused_with_a_sentence(runtime, tmp_path):
    with pytest.raises(NotScorable):
        list(runtime.score(Prompt("A text."), Variant("far")))
    with pytest.raises(ModeNotPossible, match="there are remote"):
        list(runtime.answer(chat("Hi", "far@nf4")))
    with pytest.raises(ModeNotPossible, match="no LoRA adapters"):
        list(runtime.answer(chat("Hi", "far+pirate")))
    data = tmp_path / "rows.jsonl"
    data.write_text('{"prompt": "Hi", "completion": "Ho"}\n' * 20)
    with pytest.raises(PaddockError):
        list(finetune(runtime, Variant("far"), data, tmp_path / "out", TrainingSettings()))
    with pytest.raises((BadMerge, ModeNotPossible)):
        merge(runtime, Variant.parse("far+pirate"), tmp_path / "merged", print)


def test_the_command_line(runtime, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "Runtime", partial(Runtime, catalog=runtime.catalog))
    assert command_line.main(["chat", "Hi", "--variant", "far", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"].strip() == "FAR was asked user: Hi"
    assert command_line.main(["plan", "far"]) == 0
    assert f"{ENDPOINT} computes it" in capsys.readouterr().out
    assert command_line.main(["compare", "Hi", "far", "farther", "--no-quality"]) == 0
    assert "FARTHER was asked user: Hi" in capsys.readouterr().out
    assert command_line.main(["models"]) == 0
    assert "far " in capsys.readouterr().out
    assert command_line.main(["score", "A text.", "--variant", "far"]) == 1
    assert "cannot compute how likely" in capsys.readouterr().err


def test_the_page_and_the_api(runtime):
    app = build_app(runtime)
    app.queue()
    port = free_port()
    app.launch(prevent_thread_lock=True, server_port=port, quiet=True, **launch_options(runtime))
    try:
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        text, usage = client.predict("Hi", [], "far", api_name="/chat")
        assert (text.strip(), usage["variant"]) == ("FAR was asked user: Hi", "far@remote")
        assert client.predict("Once", "far", api_name="/complete")[0].strip() == "FAR was asked Once"
        rows = client.predict("Hi", ["far", "farther"], api_name="/compare")
        assert [row["text"].strip() for row in rows] == ["FAR was asked user: Hi", "FARTHER was asked user: Hi"]
        assert client.predict("far", api_name="/plan")["total"] == 0
    finally:
        app.close()
