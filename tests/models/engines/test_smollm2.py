"""A real model: answers, streams, modes and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.domain.engine import Prompt
from models.domain.messages import Message, Sampling
from models.engines.transformers.engine_thread import engine_thread

ROOT = Path(__file__).resolve().parents[3]
QUESTION = [Message("user", "What is the capital of France?")]


def text_of(deltas):
    return "".join(delta.text for delta in deltas)


def ask(engine, messages, **sampling):
    values = {"max_new_tokens": 40, "temperature": 0.0} | sampling
    return list(engine.generate(engine.render(messages), Sampling(**values)))


def test_greedy_is_what_generate_gives(smollm2, reference):
    prompt = smollm2.render([Message("user", "Tell me a story about a fox.")])
    deltas = list(smollm2.generate(prompt, Sampling(max_new_tokens=40, temperature=0)))
    text, ids = reference(smollm2, text=prompt.text, do_sample=False, max_new_tokens=40)
    assert text_of(deltas) == text
    assert deltas[-1].usage.new_tokens == len(ids) == 40


def test_it_answers_and_ends_by_itself(smollm2):
    deltas = ask(smollm2, QUESTION)
    assert text_of(deltas) == "The capital of France is Paris."
    assert deltas[-1].usage.finish == "stop"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Repeat: 😀🎉😀🎉漢字漢字😀🎉", marks=pytest.mark.slow),
        pytest.param("你好，你是谁？请用中文回答。", marks=pytest.mark.slow),
        "日本語で挨拶: こんにち",
    ],
)
def test_characters_of_several_tokens_arrive_whole(smollm2, reference, text):
    deltas = list(smollm2.generate(Prompt(text), Sampling(max_new_tokens=12, temperature=0)))
    assert not any("�" in delta.text for delta in deltas)
    expected, _ = reference(smollm2, text=text, do_sample=False, max_new_tokens=12)
    assert text_of(deltas) == expected.rstrip("�")


def test_a_stop_string_over_two_tokens(smollm2):
    deltas = ask(smollm2, QUESTION, stop=("ce is Pa",))
    assert text_of(deltas) == "The capital of Fran"
    assert deltas[-1].usage.finish == "stop_string"


def test_seeds(smollm2):
    texts = [text_of(ask(smollm2, QUESTION, temperature=1.0, seed=seed, max_new_tokens=8)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_bytes_are_those_of_the_parameters(smollm2):
    assert smollm2.bytes == pytest.approx(4 * 134_515_008, rel=0.01)


MEMORY = """
import sys
from models.engines.device import resident_bytes
from models.engines.transformers.engine_thread import engine_thread, prepare_torch
from models.engines.transformers.engine import open_transformers
from models.domain.engine import Prompt
from models.domain.messages import Sampling
from models.domain.settings import Settings
from models.domain.load import Snapshot

def once(mode):
    snapshot = Snapshot(sys.argv[1], "safetensors", "converted", 0)
    engine = open_transformers(snapshot, mode, "cpu", Settings.from_env(), id)
    for _ in engine.generate(Prompt("Once upon a time"), Sampling(max_new_tokens=5, temperature=0)): pass
    held = resident_bytes()
    engine.close()
    return held, resident_bytes()

once(sys.argv[2])  # libraries load more of themselves at the first use
print(*once(sys.argv[2]), *once(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fp32", "nf4"])
def test_closing_returns_the_memory(smollm2_folder, mode):
    command = [sys.executable, "-c", MEMORY, str(smollm2_folder), mode]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    held, first, _, second = map(int, done.stdout.split())
    assert held > first + 60e6
    assert second < 1.1 * first


def test_the_conversion_ends_answers_at_im_end(smollm2_folder, smollm2):
    generation = json.loads((smollm2_folder / "generation_config.json").read_text())
    assert generation["eos_token_id"][0] == 2
    assert set(generation["eos_token_id"]) <= {2, 0}  # where llama.cpp ends too, <|endoftext|>
    assert smollm2._loaded.tokenizer.eos_token == "<|im_end|>"
    assert list(smollm2._loaded.eos_ids) == generation["eos_token_id"]
    assert engine_thread().run(lambda: smollm2._loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")) == 2
