"""The command line, as a shell runs it: answers on stdout, all else on stderr, exit status 1 for a failure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_thinker
from tiny_thinker import ANSWER, THOUGHT

ROOT = Path(__file__).parents[3]
SMOLLM2 = "smollm2-135m-instruct@gguf"
GREEDY = ("--temperature", "0", "--max-new-tokens", "6")


def cli(*arguments, stdin="", **env):
    return subprocess.run(
        [sys.executable, "-m", "models", *arguments],
        cwd=ROOT,
        env=os.environ | env,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=240,
    )


def test_models_as_json():
    done = cli("models", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert {"key", "modes", "auto", "on_this_machine"} <= rows[0].keys()
    assert "gemma-3-270m" in [row["key"] for row in rows]


def test_models_as_a_table():
    lines = cli("models").stdout.splitlines()
    assert next(line for line in lines if line.startswith("smollm2-135m-instruct ")).split()[1:3] == [
        "instruct",
        "135M",
    ]


def test_plan_as_a_table_and_as_json():
    spelling = "llama-2-70b-chat@bf16"
    table, data = (cli("plan", spelling, *form, PADDOCK_MEMORY_FRACTION="0.1").stdout for form in ((), ("--json",)))
    planned = json.loads(data)
    assert (planned["variant"], planned["context"], planned["fits"]) == (spelling, 4096, False)
    assert sum(planned["bytes"].values()) == planned["total"] > 138e9
    assert planned["limit"] < planned["needed"]
    assert "does not fit" in table
    assert "weights of the layers" in table
    for near in planned["nearest"]:
        assert near["fits"]
        assert near["variant"] in table


def test_which_llama_2_runs_on_what():
    lines = cli("which").stdout.splitlines()
    cells = {(row[1].strip(), row[2].strip()): row for row in (line.split("|") for line in lines[2:])}
    header = [cell.strip() for cell in lines[0].split("|")]
    t4, h200 = header.index("T4 16 GB"), header.index("H200 141 GB")
    assert cells["llama-2-7b-chat", "bf16"][t4].strip() != "yes"
    assert cells["llama-2-7b-chat", "nf4"][t4].strip() == "yes"
    assert cells["llama-2-70b-chat", "fp32"][h200].strip() == "2 x"
    row = json.loads(cli("which", "Qwen2.5", "--json").stdout)[0]
    assert (row["model"], row["fits"], row["gpus"]) == ("qwen2.5-0.5b-instruct", True, 1)


@pytest.mark.slow
def test_score_from_stdin():
    found = json.loads(
        cli("score", "-", "-v", "smollm2-135m-instruct@bf16", "--json", stdin="Paris is in France.").stdout
    )
    assert len(found["tokens"]) == len(found["log_probabilities"])
    assert max(found["log_probabilities"]) < 0
    assert 1 < found["perplexity"] < 5000


def test_complete_as_json_from_an_argument_and_from_stdin():
    prompt = "The capital of France is"
    answers = [
        cli("complete", prompt, "-v", SMOLLM2, "--json", *GREEDY),
        cli("complete", "-", "-v", SMOLLM2, "--json", *GREEDY, stdin=prompt),
    ]
    for done in answers:
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 1
    one, two = (json.loads(done.stdout) for done in answers)
    assert one["text"].startswith(" Paris")
    assert one["text"] == two["text"]
    usage = one["usage"]
    assert (usage["variant"], usage["finish"], usage["new_tokens"], usage["prompt_tokens"]) == (SMOLLM2, "length", 6, 5)


def test_chat_streams_the_answer_to_stdout_and_figures_to_stderr():
    done = cli("chat", "Name three animals.", "-v", SMOLLM2, *GREEDY)
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "tok/s" not in done.stdout
    assert done.stderr.startswith("[6 tokens")
    assert done.stderr.rstrip().endswith(f"{SMOLLM2} · length]")


@pytest.mark.slow
def test_a_thought_is_left_out_of_an_answer_unless_asked_for(tmp_path):
    (tmp_path / "tiny" / "thinker").mkdir(parents=True)
    tiny_thinker.build(tmp_path / "tiny" / "thinker")
    mine = {"PADDOCK_MODELS_DIR": str(tmp_path), "PADDOCK_CACHE_DIR": str(tmp_path / "cache")}
    asked = ("chat", "Hi", "-v", "tiny/thinker@fp32", "--temperature", "0", "--thinking-budget", "3")
    done = cli(*asked, "--thoughts", **mine)
    assert (done.returncode, done.stdout.strip()) == (0, ANSWER)
    thought, figures, _ = done.stderr.splitlines()
    assert thought == THOUGHT[:2]
    assert figures.startswith("[thought 7 tokens in ")
    assert figures.endswith(" s, closed at its budget]")
    told = json.loads(cli(*asked, "--json", "--thinking", "off", **mine).stdout)
    assert (told["text"], told["usage"]["thought_tokens"], "thought" in told) == (ANSWER, 0, False)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_lacks_a_character_gets_another(encoding):
    """Figures, tables, help and errors hold ·, —, ≤, “ and ”; an answer may hold anything."""
    commands = [("plan", "smollm2-135m-instruct@bf16"), ("which",), ("chat", "--help"), ("models", "--json")]
    for arguments in commands:
        done = cli(*arguments, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    done = cli("complete", "x", "-v", "gibt-es-nicht-“”", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is not a variant" in done.stderr


def test_an_answer_in_a_plain_c_locale():
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    done = cli("chat", "Répète: “é” · 你好", "-v", SMOLLM2, "--json", *GREEDY, **plain)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["usage"]["new_tokens"]
    said = cli("complete", "Say “é”", "-v", SMOLLM2, *GREEDY, **plain)
    assert (said.returncode, said.stderr.split(" - ")[0]) == (0, "[6 tokens")


def test_a_byte_order_mark_is_not_part_of_the_text():
    done = cli("complete", "-", "-v", SMOLLM2, "--json", *GREEDY, stdin="\ufeffThe capital of France is")
    assert json.loads(done.stdout)["usage"]["prompt_tokens"] == 5


def test_conversation_from_stdin_goes_on_until_its_end():
    done = cli("chat", "-v", SMOLLM2, "--json", *GREEDY, stdin="Hello!\nAnd again?\n")
    first, second = (json.loads(line)["usage"] for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert second["prompt_tokens"] > first["prompt_tokens"] + first["new_tokens"], (
        "the first turn is part of the second"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("complete", "x", "-v", "smollm2-135m-instrukt"), "Did you mean smollm2-135m-instruct"),
        (("complete", "x", "-v", "a b"), "is not a variant"),
        (("complete", "x", "-v", "smollm2-135m-instruct@q9"), "no such mode"),
        (("complete", "-"), "The prompt is empty"),
        (("chat", " "), "The prompt is empty"),
        (("plan", "smollm2-135m-instruct", "--context", "-5"), "The context is -5"),
        (("which", "Lama"), "The families are SmolLM2"),
        (("which", "--context", "99999999"), "The context is 99999999"),
        (("score", ""), "The prompt is empty"),
        (("measure", "smollm2-135m-instruct", "--modes", "q9"), "there is no such mode; there are fp32"),
        (("measure", "smollm2-135m-instruct", "--text", "no/such/file"), "cannot be read"),
        (("measure", "smollm2-135m-instruct", "--new-tokens", "0"), "max_new_tokens is 0"),
        (("complete", "x", "--temperature", "9"), "temperature is 9"),
        (("chat", "x", "--thinking", "much"), "thinking is much, but it must be one of auto, on, off"),
        (("chat", "x", "--thinking-budget", "0"), "thinking_budget is 0"),
        (("complete", "x", "--max-new-tokens", "4000"), "at most 2,048 on this server"),
    ],
)
def test_an_error_is_one_line_and_status_1(arguments, words):
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("paddock: ")
    assert words in line


def test_the_defaults_keep_to_the_operators_limits():
    done = cli("complete", "x", "-v", "no-such-model", PADDOCK_MAX_NEW_TOKENS="16")
    assert "no model called" in done.stderr, "not refused for the default length of an answer"
    assert "(16)" in cli("complete", "--help", PADDOCK_MAX_NEW_TOKENS="16").stdout


@pytest.mark.parametrize("arguments", [(), ("sing",), ("complete",), ("complete", "x", "--top-k", "many")])
def test_wrong_usage_is_status_2(arguments):
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: python -m models" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_a_reader_that_leaves_is_no_error(unbuffered):
    command, env = [sys.executable, "-m", "models", "models"], os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_operators_mistake_is_named_in_one_line():
    done = cli("models", PADDOCK_CONTEXT="lots")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "paddock: PADDOCK_CONTEXT='lots' is not a whole number, 0 or more\n"
