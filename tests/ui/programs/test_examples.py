"""Calls say what the page shows, and words of a visitor stay words in every language."""

from __future__ import annotations

import ast
import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from models.domain.messages import Sampling
from models.domain.request import BasePrompt
from models.domain.thinking import Thinking
from models.domain.variant import Variant
from tests.conftest import GEMMA, SMOLLM2
from ui.programs.calls import call_of, written_out
from ui.programs.examples import Place, curl, examples, javascript, literal, openai, python
from ui.shared.url import CompareOptions, PageState

HOSTILE = 'It\'s “$(rm -rf /)” """ `x` ${y}\n{{ z }} \\ \' EOF </script>\x00\x7f\u2028\U0001f410'
USUAL, HERE = Sampling(), Place("http://127.0.0.1:7860", openai=True)
PICKED = PageState(Variant.parse(f"{SMOLLM2}@nf4+json:0.5"), USUAL, prompt="Hi")


def arguments(state: PageState) -> dict[str, Any]:
    return dict(call_of(state, USUAL).arguments)


def test_a_call_says_what_differs_from_the_endpoints_defaults() -> None:
    assert arguments(PICKED) == {"message": "Hi", "variant": f"{SMOLLM2}@nf4+json:0.5"}
    sampled = replace(PICKED, sampling=Sampling(temperature=0, top_k=40, stop=("a", "\n"), seed=3), system="Be brief.")
    changed = {"system": "Be brief.", "temperature": 0, "top_k": 40, "seed": 3, "stop": ["a", "\n"]}
    assert arguments(sampled) == arguments(PICKED) | changed
    thinking = replace(PICKED, thinking=Thinking("off", 64))
    assert arguments(thinking) == arguments(PICKED) | {"thinking": "off", "thinking_budget": 64}
    talked = replace(PICKED, prompt="", conversation=("first", "answer", "second", "answer"))
    assert arguments(talked)["message"] == "second"
    completing = call_of(replace(PICKED, tab="complete"), USUAL)
    assert (completing.endpoint, completing.arguments["prompt"]) == ("/complete", "Hi")


def test_a_base_models_parts_are_written_out() -> None:
    base = PageState(Variant.parse(GEMMA), USUAL, prompt="Who?", base_prompt=BasePrompt("Quiz.", "Q:", "A:"))
    call = written_out(base, USUAL)
    assert call.endpoint == "/complete"
    assert call.arguments["prompt"].startswith("Quiz.")
    assert "Q: Who?" in call.arguments["prompt"]
    assert call.arguments["stop"]


def test_a_comparison_is_greedy_and_names_its_options() -> None:
    variants = tuple(Variant.parse(f"{SMOLLM2}@{mode}") for mode in ("gguf", "bf16"))
    asked = PageState(variants[0], Sampling(temperature=0.9, seed=1), tab="compare", variants=variants)
    usual = replace(asked, options=CompareOptions(quality=False, several=True), prompt="a\nb", reference=variants[1])
    assert arguments(usual) == {
        "prompt": "a",
        "variants": [*map(str, variants)],
        "prompts": ["b"],
        "reference": str(variants[1]),
    }
    sampled = arguments(replace(asked, options=CompareOptions(greedy=False, text="T")))
    assert (sampled["temperature"], sampled["seed"], sampled["text"]) == (0.9, 1, "T")


@pytest.mark.parametrize("tab", ["", "complete", "compare"])
def test_words_of_a_visitor_stay_words(tab: str) -> None:
    sampling = Sampling(temperature=0.3, stop=(HOSTILE[:20], "\n"))
    state = replace(PICKED, prompt=HOSTILE, system=HOSTILE, sampling=sampling, tab=tab, variants=(PICKED.variant,) * 2)
    call = call_of(state, USUAL)
    tree = ast.parse(python(call, HERE).text)
    given = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.keywords)
    read = {one.arg: ast.literal_eval(one.value) for one in given.keywords}
    assert read == {**call.arguments, "api_name": call.endpoint}

    data = javascript(call, HERE).text.partition(f'"{call.endpoint}", ')[2]
    assert json.JSONDecoder().raw_decode(data)[0] == call.arguments
    words = shlex.split(curl(call, HERE).text.partition("ID=$(")[2].partition(" | cut")[0])
    assert words[:3] == ["curl", "-s", f"{HERE.url}/gradio_api/call/v2{call.endpoint}"]
    assert json.loads(words[-1]) == call.arguments
    if tab != "compare":
        names = {node.id for node in ast.walk(ast.parse(openai(call, HERE).text)) if isinstance(node, ast.Name)}
        assert names == {"OpenAI", "client", "answer", "print"}


def test_a_space_is_called_by_its_name_and_v1_where_it_is_open() -> None:
    call = call_of(PICKED, USUAL)
    space = Place("https://me-paddock.hf.space", "me/paddock", openai=False)
    names = [one.program for one in examples(call, space)]
    assert names == ["Python (gradio_client)", "JavaScript (@gradio/client)", "curl"]
    assert 'Client("me/paddock")' in python(call, space).text
    assert "https://me-paddock.hf.space/gradio_api" in curl(call, space).text
    assert 'api_key="YOUR KEY"' in openai(call, replace(HERE, keyed=True)).text
    assert literal({"a": [True, None, 1.5]}) == '{"a": [True, None, 1.5]}'
