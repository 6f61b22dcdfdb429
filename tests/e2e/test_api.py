"""The named endpoints as programs use them, over HTTP with gradio_client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from models.domain.messages import Usage
from tests.conftest import GEMMA, ROOT, SMOLLM2, ServedApp

ROW = {"variant", "text", "answers", "usage", "error", "needed", "figures"}
USAGE = set(Usage.__dataclass_fields__)
GREEDY: dict[str, Any] = {"temperature": 0, "max_new_tokens": 16}
WAIT_S = 120  # a machine that computes something else at the same time can be ten times slower


REQUIRED = {
    "/chat": ["message"],
    "/complete": ["prompt"],
    "/compare": ["prompt", "variants"],
    "/models": [],
    "/adapters": [],
    "/plan": ["variant"],
    "/score": ["text"],
}


def connect(app: ServedApp) -> Client:
    return Client(app.url, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def client(app: ServedApp) -> Iterator[Client]:
    connected = connect(app)
    yield connected
    connected.close()


def chat(client: Client, message: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """The last of what /chat streams."""
    return tuple(client.submit(message, api_name="/chat", **options).result(WAIT_S))


def steps(client: Client, *args: Any, **options: Any) -> list[tuple[str, dict[str, Any]]]:
    """All that an endpoint streams."""
    job = client.submit(*args, **options)
    job.result(WAIT_S)
    return [tuple(output) for output in job.outputs()]


def test_there_are_these_named_endpoints_and_no_others(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert set(api["named_endpoints"]) == set(REQUIRED)
    assert not api["unnamed_endpoints"]
    required = {
        name: [p["parameter_name"] for p in endpoint["parameters"] if not p["parameter_has_default"]]
        for name, endpoint in api["named_endpoints"].items()
    }
    assert required == REQUIRED


def test_who_runs_the_server_may_train_and_no_model_is_told_of_it(app: ServedApp, client: Client) -> None:
    assert isinstance(client.predict(api_name="/trainings"), list)
    with pytest.raises(AppError, match="There is no training called nope"):
        client.predict("nope", "stop", api_name="/training")
    with pytest.raises(AppError, match="must be one of method, rank"):
        client.predict(SMOLLM2, "rows.jsonl", "mine", {"ranks": 8}, api_name="/train")
    far = Client(app.url, verbose=False, analytics_enabled=False, headers={"X-Forwarded-For": "203.0.113.9"})
    with pytest.raises(AppError, match="for who runs this server"):
        far.predict(api_name="/trainings")
    far.close()


def test_models_lists_what_there_is(client: Client) -> None:
    models = {model["key"]: model for model in client.predict(api_name="/models")}
    assert models[SMOLLM2]["kind"] == "instruct"
    assert models[GEMMA]["kind"] == "base"
    assert "gguf" in models[SMOLLM2]["modes"]
    assert models[SMOLLM2]["auto"] in models[SMOLLM2]["modes"]


@pytest.mark.parametrize("endpoint", ["/chat", "/complete"])
def test_text_grows_and_usage_comes_at_the_end(client: Client, endpoint: str) -> None:
    outputs = steps(
        client, "Write a list of five animals.", max_new_tokens=48, temperature=0, variant=SMOLLM2, api_name=endpoint
    )
    texts = [text for text, _ in outputs]
    assert len(set(texts)) >= 3
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    *before, usage = [usage for _, usage in outputs]
    assert not any(before[:-1])  # Gradio may send the last output twice
    assert set(usage) == USAGE
    assert usage["variant"] == f"{SMOLLM2}@gguf"
    assert usage["finish"] in ("stop", "length")
    assert 0 < usage["new_tokens"] <= 48
    assert usage["decode_tokens_per_s"] > 0
    assert usage["wall_s"] >= usage["ttft_s"] > 0


def test_only_the_message_is_needed(client: Client) -> None:
    job = client.submit("Say hi.", api_name="/chat")
    while not job.outputs():
        time.sleep(0.05)
    text, _ = job.outputs()[0]
    job.cancel()
    assert text


def test_history_and_system_are_honoured(client: Client) -> None:
    history = [
        {"role": "user", "content": "My name is Zebulon. What is my name?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Your name is Zebulon."}]},
    ]
    alone, alone_usage = chat(client, "What is my name? Answer with my name.", **GREEDY)
    text, usage = chat(client, "What is my name? Answer with my name.", history=history, **GREEDY)
    assert "Zebulon" in text
    assert "Zebulon" not in alone
    assert usage["prompt_tokens"] > alone_usage["prompt_tokens"]
    _, with_system = chat(client, "Say hi.", system="You are a very polite pirate from the seven seas.", **GREEDY)
    assert with_system["prompt_tokens"] > chat(client, "Say hi.", system="Hi.", **GREEDY)[1]["prompt_tokens"]


def test_temperature_0_and_a_seed_repeat(client: Client) -> None:
    prompt = "Tell me something about the sea."
    assert chat(client, prompt, **GREEDY)[0] == chat(client, prompt, **GREEDY)[0]
    sampled: dict[str, Any] = {"temperature": 1.5, "max_new_tokens": 16}
    one, again, other = (chat(client, prompt, seed=seed, **sampled) for seed in (7, 7, 8))
    assert one[0] == again[0] != other[0]
    assert one[1]["seed"] == 7


def test_stop_strings_end_the_text_and_are_not_in_it(client: Client) -> None:
    free = client.predict("1, 2, 3, 4,", api_name="/complete", **GREEDY)
    assert "7" in free[0]
    text, usage = client.predict("1, 2, 3, 4,", stop=["7"], api_name="/complete", **GREEDY)
    assert usage["finish"] == "stop_string"
    assert text == free[0][: free[0].index("7")]


def test_a_base_model_chats_and_completes(client: Client) -> None:
    text, usage = chat(client, "What is the capital of France?", variant=GEMMA, **GREEDY)
    assert text.strip()
    assert usage["variant"] == f"{GEMMA}@gguf"
    assert client.predict("The capital of France is", GEMMA, api_name="/complete", **GREEDY)[0]


def test_a_plan_says_what_fits_without_a_download(client: Client) -> None:
    planned = client.predict(f"{SMOLLM2}@nf4", api_name="/plan")
    assert planned["variant"] == f"{SMOLLM2}@nf4"
    assert planned["fits"]
    assert planned["nearest"] == []
    assert sum(planned["bytes"].values()) == planned["total"] <= planned["limit"]
    longer = client.predict(SMOLLM2, 8192, api_name="/plan")
    shorter = client.predict(SMOLLM2, 512, api_name="/plan")
    assert longer["bytes"]["kv"] > shorter["bytes"]["kv"]


def test_a_plan_that_does_not_fit_names_what_does(client: Client) -> None:
    planned = client.predict("llama-2-70b-chat@bf16", api_name="/plan")
    assert not planned["fits"]
    assert 130e9 < planned["weights"] < planned["total"]
    assert planned["nearest"]
    assert all(near["fits"] for near in planned["nearest"])


def test_a_score_has_a_figure_for_each_token(client: Client) -> None:
    text = "The capital of France is Paris, and the capital of Italy is Rome."
    scored = client.submit(text, f"{SMOLLM2}@bf16", api_name="/score").result(WAIT_S)
    assert set(scored) == {"variant", "tokens", "log_probabilities", "perplexity", "bits_per_byte", "bytes"}
    assert scored["variant"] == f"{SMOLLM2}@bf16"
    assert len(scored["tokens"]) == len(scored["log_probabilities"])
    assert all(value <= 0 for value in scored["log_probabilities"])
    odd = client.submit("Paris the Italy is of capital France and Rome.", f"{SMOLLM2}@bf16", api_name="/score")
    assert 1 < scored["perplexity"] < odd.result(WAIT_S)["perplexity"]


@pytest.mark.parametrize(
    ("endpoint", "options", "sentence"),
    [
        ("/plan", {"variant": "no-such-model"}, "There is no model called “no-such-model” here."),
        ("/plan", {"variant": "../models"}, "is a path or an address"),
        ("/plan", {"variant": f"{SMOLLM2}@nf5"}, "nf5"),
        ("/plan", {"variant": SMOLLM2, "context": 0}, "The context is 0, but it must be a whole number"),
        ("/plan", {"variant": SMOLLM2, "context": 10**9}, "from 1 to 8,192."),
        ("/plan", {"variant": SMOLLM2, "context": "long"}, "The context is long"),
        ("/score", {"text": ""}, "The prompt is empty."),
        ("/score", {"text": "x" * 60_001}, "this app accepts at most 60,000."),
        ("/score", {"text": "Hello there", "variant": "no-such-model"}, "There is no model called"),
        ("/score", {"text": "Hi", "variant": f"{SMOLLM2}@bf16"}, "The text is too short to score"),
        ("/score", {"text": "Hello", "variant": "llama-2-70b-chat@bf16"}, "needs about"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_plans_and_scores_are_refused_alike(
    client: Client, endpoint: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError) as refused:
        client.submit(api_name=endpoint, **options).result(WAIT_S)
    assert sentence in str(refused.value)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"message": ""}, "The prompt is empty. Type something first."),
    ({"message": " \n"}, "The prompt is empty."),
    ({"message": "x" * 60_001}, "have 60,001 characters; this app accepts at most 60,000."),
    ({"message": "word " * 6_000}, "tokens long, but this model has room for 4,096 here."),
    ({"history": [{"role": "system", "content": "obey"}]}, "message 1 has the role “system”"),
    ({"history": [{"role": "tool", "content": "obey"}]}, "message 1 has the role “tool”"),
    ({"history": [{"role": "assistant", "content": "I said"}]}, "it starts with an answer"),
    ({"history": [{"role": "user", "content": "a"}]}, "its last message has no answer"),
    ({"history": ["hello"]}, "message 1 is not an object with role and content"),
    (
        {"history": [{"role": "user", "content": [{"type": "file", "file": "x"}]}]},
        "message 1 contains something that is",
    ),
    ({"history": [{"role": "user", "content": {"path": "/etc/passwd"}}]}, "message 1 contains something that is"),
    ({"history": "hello"}, "it is not a list of messages"),
    ({"history": [{"role": r, "content": "a"} for r in ("user", "assistant")] * 60}, "121 messages"),
    ({"variant": "smollm2-135m-instrct"}, "There is no model called “smollm2-135m-instrct” here."),
    ({"variant": "/etc/passwd"}, "is a path or an address; a model is picked by its name."),
    ({"variant": "../models"}, "is a path or an address"),
    ({"variant": "https://example.com/model"}, "is a path or an address"),
    ({"variant": f"{SMOLLM2}@nf5"}, "nf5"),
    ({"variant": f"{SMOLLM2}+pirat"}, "There is no adapter called “pirat”"),
    ({"max_new_tokens": 0}, "max_new_tokens is 0, but it must be a whole number from 1 to 4,096."),
    ({"max_new_tokens": 4096}, "max_new_tokens is 4096, but it must be at most 2,048 on this server."),
    ({"max_new_tokens": 1.5}, "max_new_tokens is 1.5"),
    ({"temperature": -0.1}, "temperature is -0.1, but it must be a number from 0 to 2."),
    ({"temperature": "hot"}, "temperature is hot"),
    ({"top_p": 0}, "top_p is 0, but it must be a number from 0.05 to 1."),
    ({"top_k": 201}, "top_k is 201, but it must be a whole number from 0 to 200."),
    ({"min_p": 1.1}, "min_p is 1.1, but it must be a number from 0 to 1."),
    ({"repetition_penalty": 0.5}, "repetition_penalty is 0.5, but it must be a number from 1 to 2."),
    ({"seed": -1}, "seed is -1, but it must be a whole number from 0 to 2,147,483,647."),
    ({"stop": [""]}, "at most 8 texts of 1 to 64 characters"),
    ({"stop": ["x" * 65]}, "at most 8 texts of 1 to 64 characters"),
    ({"stop": list("abcdefghi")}, "stop is 9 texts"),
    ({"stop": "END"}, "stop is END"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_answered_with_a_sentence(client: Client, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AppError) as refused:
        chat(client, **{"message": "Say hi.", "max_new_tokens": 4} | options)
    assert sentence in str(refused.value)


def test_bad_completions_are_refused_alike(client: Client) -> None:
    for options, sentence in (
        ({"prompt": ""}, "The prompt is empty."),
        ({"prompt": "x", "variant": "no-such-model"}, "There is no model called “no-such-model” here."),
        ({"prompt": "x", "temperature": 3}, "temperature is 3"),
    ):
        with pytest.raises(AppError) as refused:
            client.submit(api_name="/complete", **options).result(WAIT_S)
        assert sentence in str(refused.value)


def test_no_traceback_and_no_path_reaches_a_caller_or_the_log(app: ServedApp, client: Client) -> None:
    with pytest.raises(AppError) as refused:
        chat(client, "Say hi.", variant="no-such-model")
    assert "Traceback" not in str(refused.value)
    assert "Traceback" not in app.log.read_text()


def test_cancel_frees_the_model(client: Client, app: ServedApp) -> None:
    """All slots are taken by long answers; cancelled, they make room at once."""
    others = [connect(app) for _ in range(4)]
    jobs = [
        other.submit("Write a very long story.", max_new_tokens=2048, temperature=0, api_name="/chat")
        for other in others
    ]
    for job in jobs:
        started = time.monotonic()
        while not job.outputs() and time.monotonic() - started < WAIT_S:
            time.sleep(0.05)
    for job in jobs:
        job.cancel()
    started = time.monotonic()
    _, usage = chat(client, "Say hi.", temperature=0, max_new_tokens=1)
    waited = time.monotonic() - started - usage["wall_s"]
    for other in others:
        other.close()
    assert waited < 1.5, waited


@pytest.mark.slow
def test_eight_clients_at_once_are_all_answered(app: ServedApp) -> None:
    clients = [connect(app) for _ in range(8)]
    prompts = [f"What is {number} plus one? Answer briefly." for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda pair: chat(*pair, **GREEDY), zip(clients, prompts, strict=True)))
    for connected in clients:
        connected.close()
    assert all(text and usage["finish"] in ("stop", "length") for text, usage in answers)
    assert len({usage["prompt_tokens"] for _, usage in answers}) == 1


def test_compare_streams_a_row_a_variant_and_agrees_with_the_command_line(client: Client) -> None:
    spelled = [f"{SMOLLM2}@bf16", f"{SMOLLM2}@gguf", "llama-2-70b-chat@bf16"]
    asked = ["m@@", *spelled, f"{SMOLLM2}@gguf"]
    job = client.submit("Name a colour.", asked, max_new_tokens=12, api_name="/compare")
    malformed, *rows, twice = job.result(WAIT_S)
    assert [row["variant"] for row in (malformed, *rows, twice)] == asked
    assert all(set(row) == ROW for row in (malformed, *rows, twice))
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    assert "needs about" in rows[2]["error"]
    assert "“m@@” is not a variant" in malformed["error"]
    assert "named twice" in twice["error"]
    assert not malformed["text"] + twice["text"]
    assert set(rows[0]["usage"]) == USAGE
    assert rows[1]["usage"]["decode_tokens_per_s"] > 0
    grown = [output[1]["text"] for output in job.outputs()]
    assert len(set(grown)) > 2
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))
    words = ["compare", "Name a colour.", *spelled, "--max-new-tokens", "12", "--no-quality", "--json"]
    ended = subprocess.run([sys.executable, "-m", "models", *words], cwd=ROOT, capture_output=True, check=False)
    columns = json.loads(ended.stdout)["columns"]
    assert [column["answer"] for column in columns] == [row["text"] for row in rows]


@pytest.mark.parametrize(
    ("variants", "prompt", "sentence"),
    [
        ([SMOLLM2], "Hi", "only one was named"),
        ([SMOLLM2, SMOLLM2], "Hi", "named twice"),
        ([SMOLLM2, "m@@"], "Hi", "“m@@” is not a variant"),
        ([f"{SMOLLM2}+json:{n / 100}" for n in range(101)], "Hi", "101 variants were named, and at most 6"),
        ([SMOLLM2, f"{SMOLLM2}@bf16"], "", "The prompt is empty"),
        (SMOLLM2, "Hi", "not a list"),
        ([SMOLLM2, f"{SMOLLM2}@bf16"], ["Hi"], "The prompt is not text"),
        ([SMOLLM2, 5], "Hi", "“5” is not a variant"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    client: Client, variants: Any, prompt: Any, sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.submit(prompt, variants, api_name="/compare").result(WAIT_S)
