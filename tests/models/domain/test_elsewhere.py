"""What other programs are told: only what they can run, with the sampling, the system prompt and the adapters."""

from __future__ import annotations

import ast
import json
import shlex

import pytest

from models.domain.catalog import load_catalog
from models.domain.elsewhere import PlacedAdapter, Wanted, recipes
from models.domain.messages import Message, Sampling
from models.domain.quantization import mode_named

HOSTILE = 'It\'s “$(rm -rf /)” """ `x`\n{{ y }} \\ \' EOF'


def of(model="smollm2-135m-instruct", mode="gguf", **more):
    card = load_catalog()[model]
    return {one.program: one for one in recipes(Wanted(card, mode_named(mode, card), **more))}


@pytest.mark.parametrize(
    ("model", "mode", "programs"),
    [
        ("smollm2-135m-instruct", "gguf", ["llama.cpp", "Ollama"]),
        ("smollm2-135m-instruct", "gguf/kv8", ["llama.cpp"]),
        ("smollm2-135m-instruct", "bf16", ["vLLM", "transformers"]),
        ("smollm2-135m-instruct", "nf4", ["vLLM", "transformers"]),
        ("smollm2-135m-instruct", "int8", ["transformers"]),
        ("smollm2-135m-instruct", "fp4-single", ["transformers"]),
        ("smollm2-135m-instruct", "dynamic-int8", []),
    ],
)
def test_only_programs_that_can_run_it(model, mode, programs):
    assert list(of(model, mode)) == programs


def test_strengths_and_several_adapters_are_transformers_only():
    one, half = PlacedAdapter("json", "me/json"), PlacedAdapter("pirate", "me/pirate", 0.5)
    assert "--lora-modules json=me/json" in of(mode="bf16", adapters=[one])["vLLM"].text
    assert list(of(mode="bf16", adapters=[half])) == list(of(mode="bf16", adapters=[one, one])) == ["transformers"]
    text = of(mode="bf16", adapters=[one, half])["transformers"].text
    assert "add_weighted_adapter(['json', 'pirate'], [1.0, 0.5], \"together\", combination_type=\"cat\")" in text


@pytest.mark.parametrize("mode", ["gguf", "gguf/kv4", "bf16", "nf4", "int8"])
@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "gemma-3-270m"])
def test_words_of_a_visitor_stay_words(model, mode):
    sampling = Sampling(temperature=0.3, seed=5, stop=(HOSTILE[:20], "\n"))
    messages = (Message("system", HOSTILE), Message("user", HOSTILE))
    card = load_catalog()[model]
    if mode_named(mode, card) is None:
        pytest.skip("not a mode of it")
    for recipe in of(model, mode, messages=messages, sampling=sampling).values():
        if recipe.language == "python":
            names = {node.id for node in ast.walk(ast.parse(recipe.text)) if isinstance(node, ast.Name)}
            assert names <= {"torch", "name", "tokenizer", "model", "messages", "inputs", "output", "new", "print"} | {
                "AutoModelForCausalLM", "AutoTokenizer", "BitsAndBytesConfig", "set_seed",
            }  # fmt: skip
        elif recipe.language == "bash":
            start, _, curl = recipe.text.partition("\n\n")
            assert "\n" not in start
            words = shlex.split(curl)
            assert [words[0], *words[2:5]] == ["curl", "-H", "Content-Type: application/json", "-d"]
            body = json.loads(words[5])
            assert HOSTILE in (body.get("prompt"), *(m["content"] for m in body.get("messages", [])))
            assert body["stop"] == list(sampling.stop)
        else:
            assert HOSTILE in json.loads(recipe.text.partition("SYSTEM ")[2].splitlines()[0])
