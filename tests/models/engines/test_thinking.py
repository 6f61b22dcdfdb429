"""Thoughts in both engines, on a tiny model whose every token is known beforehand."""

import json
from dataclasses import replace

import pytest
import tiny_thinker
from tiny_gguf import write_tiny_gguf
from tiny_thinker import ANSWER, THOUGHT

from models.domain.engine import Prompt
from models.domain.errors import ContextExceeded
from models.domain.load import Local, Snapshot
from models.domain.messages import Delta, FixedLength, Message, Sampling, Thought
from models.domain.settings import Settings
from models.domain.thinking import AS_IT_IS, Marks, Thinking, Thoughts
from models.engines.llama.engine import open_gguf

HI = (Message("user", "hi"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_thinker.build(tmp_path_factory.mktemp("thinking"))


@pytest.fixture(scope="module", params=["transformers", "llama.cpp"])
def open_model(request, opened, tmp_path_factory):
    """A function that opens a folder in one of the engines."""
    opened_ones = []

    def open_it(folder):
        if request.param == "transformers":
            opened_ones.append(opened(folder, context=256))
        else:
            path = write_tiny_gguf(folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")
            snapshot = Snapshot(str(path), "gguf", "folder", path.stat().st_size, trusted=True)
            local = Local(snapshot, "gguf", 256, 1)
            opened_ones.append(open_gguf(local, "cpu", Settings(threads=2), lambda progress: None))
        return opened_ones[-1]

    yield open_it
    for engine in opened_ones:
        engine.close()


@pytest.fixture(scope="module")
def engine(folder, open_model):
    return open_model(folder)


def ask(engine, question="hi", thinking=AS_IT_IS, **sampling):
    """The thought, the answer, and what they cost."""
    prompt = engine.render((Message("user", question),), thinking)
    return answered(engine, prompt, Sampling(**{"max_new_tokens": 20, "temperature": 0} | sampling))


def answered(engine, prompt, sampling, **options):
    events = list(engine.generate(prompt, sampling, **options))
    thoughts = [event for event in events if isinstance(event, Thought)]
    deltas = [event for event in events if isinstance(event, Delta)]
    assert events[-1] is deltas[-1]
    assert all(event.usage.finish is None for event in events[:-1])
    text = "".join(delta.text for delta in deltas)
    return "".join(thought.text for thought in thoughts), text, events[-1].usage


def test_a_thought_comes_before_the_answer_with_figures_of_its_own(engine):
    thought, text, usage = ask(engine)
    assert (thought, text, usage.finish) == (THOUGHT, ANSWER, "stop")
    assert (usage.thinking, usage.thought_tokens, usage.new_tokens) == ("closed", 7, 13)
    assert 0 < usage.thought_s < usage.wall_s


def test_a_budget_closes_the_thought_and_the_answer_begins(engine):
    thought, text, usage = ask(engine, thinking=Thinking(budget=3))
    assert (thought, text, usage.finish, usage.thinking) == ("ab", ANSWER, "stop", "budget")
    closing = usage.thought_tokens - 3  # "\n</think>\n\n"
    assert (closing, usage.new_tokens) == (4, 3 + 4 + 6)


@pytest.mark.parametrize("budget", [1, 30])
def test_a_thought_without_end_is_closed_too(engine, budget):
    prompt = within(engine, "A", budget)
    thought, text, usage = answered(engine, prompt, Sampling(max_new_tokens=20, temperature=0))
    assert (thought, text, usage.thinking) == (("BCA" * budget)[:budget], ANSWER, "budget")


def test_the_answer_has_its_own_length(engine):
    thought, text, usage = ask(engine, max_new_tokens=2)
    assert (thought, text, usage.finish) == ("a", "vw", "length"), "the budget is that of the answer where none is told"
    assert ask(engine, thinking=Thinking(budget=9), max_new_tokens=2)[:2] == (THOUGHT, "vw")


def test_an_answer_can_be_cut_inside_its_thought(engine):
    thought, text, usage = answered(engine, within(engine, "aQ", 50), Sampling(temperature=0))
    assert (thought, text, usage.finish, usage.thinking) == ("", "", "stop", "open"), "it ended itself"
    thought, text, usage = answered(engine, within(engine, "A", 4000), Sampling(temperature=0))
    assert (thought[:3], text, usage.finish, usage.thinking) == ("BCA", "", "length", "open"), "the context is full"
    assert usage.new_tokens == usage.thought_tokens


def test_a_stop_text_counts_in_the_answer_alone(engine):
    thought, text, usage = ask(engine, stop=("c", "x"))
    assert (thought, text, usage.finish) == (THOUGHT, "vw", "stop_string")


def test_an_answer_without_a_thought(engine):
    thought, text, usage = ask(engine, "?")
    assert (thought, text, usage.thinking, usage.thought_tokens, usage.thought_s) == ("", ANSWER, "", 0, 0)
    assert ask(engine, thinking=Thinking("off"))[:2] == ("", ANSWER), "the prompt has closed it already"


def test_a_text_to_continue_has_no_thoughts(engine):
    assert answered(engine, Prompt("<|assistant|>"), Sampling(temperature=0))[:2] == ("", THOUGHT + ANSWER)


def test_a_speed_is_measured_over_all_tokens_alike(engine):
    sampling = FixedLength(max_new_tokens=9, temperature=0)
    thought, _, usage = answered(engine, engine.render(HI, Thinking(budget=2)), sampling)
    assert (thought, usage.thinking, usage.new_tokens) == ("", "", 9)


def test_rows_of_a_batch_think_for_themselves(engine):
    if engine.name != "transformers":
        pytest.skip("llama.cpp answers one at a time")
    events = list(engine.generate(engine.render(HI, Thinking(budget=4)), Sampling(temperature=0), rows=((), ())))
    for row in (0, 1):
        own = [event for event in events if event.row == row]
        assert "".join(event.text for event in own if isinstance(event, Thought)) == "abc"
        assert "".join(event.text for event in own if isinstance(event, Delta)) == ANSWER


def test_a_budget_may_end_within_a_character(open_model, tmp_path):
    engine = open_model(tiny_thinker.build(tmp_path, "ab漢字c", ANSWER))
    closing = 4
    for budget in range(1, 9):
        found, text, usage = ask(engine, thinking=Thinking(budget=budget))
        assert (text, usage.thinking) == (ANSWER, "budget")
        assert found.rstrip("�") in ("", "a", "ab", "ab漢", "ab漢字")
        over = 0 if engine.name == "transformers" else 2  # llama.cpp says nothing before the character is whole
        assert budget <= usage.thought_tokens - closing <= budget + over
    assert ask(engine)[:2] == ("ab漢字c", ANSWER)


def test_a_prompt_without_room_is_refused(engine):
    with pytest.raises(ContextExceeded):
        ask(engine, "no room " * 200)


def test_whoever_leaves_during_a_thought_leaves_the_engine_free(engine):
    events = engine.generate(within(engine, "A", 4000), Sampling(temperature=0))
    next(event for event in events if isinstance(event, Thought) and event.text)
    events.close()
    assert ask(engine)[:2] == (THOUGHT, ANSWER)


def test_the_end_of_a_channel_is_no_end_of_an_answer(open_model, tmp_path):
    """llama.cpp takes a token of the name <|end|> for an end, but not beside the others of gpt-oss's vocabulary."""
    names = ("<|startoftext|>", "<|return|>", "<|start|>", "<|end|>", "<|channel|>", "<|message|>", "<|call|>")
    chain = ["q", "<|channel|>", *THOUGHT, "<|end|>", "<|message|>", *ANSWER, "<|return|>"]
    ends = {"bos_token": "<|startoftext|>", "eos_token": "<|return|>"}
    tiny_thinker.write(tmp_path, names, [chain], **ends)
    stated = json.loads((tmp_path / "config.json").read_text()) | {"bos_token_id": 0, "eos_token_id": 1}
    (tmp_path / "config.json").write_text(json.dumps(stated))
    (tmp_path / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 1}))
    marks = Marks(("<|channel|>",), "<|end|>", "<|end|><|message|>", answer="<|message|>")
    prompt = Prompt("q", rendered=True, thoughts=Thoughts(marks))
    thought, text, usage = answered(open_model(tmp_path), prompt, Sampling(temperature=0))
    assert (thought, text, usage.finish, usage.thought_tokens) == (THOUGHT, ANSWER, "stop", 8)


def within(engine, thought, budget):
    """A prompt whose end is the beginning of a thought."""
    prompt = engine.render((Message("user", "?"),), Thinking(budget=budget))
    text = f"{prompt.text}<|assistant|><think>{thought}"
    return replace(prompt, text=text, thoughts=replace(prompt.thoughts, opened=True))
