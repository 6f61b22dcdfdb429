"""/v1 as a program sees it, against llama.cpp's own HTTP server on the same file."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from models.domain.catalog import load_catalog
from models.engines.llama.engine import BATCH

from .client import Answer
from .processes import HERE, SMOLLM2, Stage
from .report import Row, Target, print_rows, quiet_watch, spread
from .speed import STORY, Way, interleaved, median_speed, rendered


def openai(stage: Stage, new_tokens: int, repeats: int, longest: int) -> None:
    """First byte and tokens per second of a streamed completion, and what a token costs late in a long one."""
    print(f"### /v1: streamed completions, {new_tokens} new tokens, greedy, {SMOLLM2}@gguf\n")
    prompt = rendered(stage, STORY)
    assert stage.client  # the app has the model in memory
    with llama_server(stage) as (process, url), quiet_watch():
        ways = {
            "paddock": Way(stage.app.process, lambda count: streamed(stage.app.url, prompt, count)),
            "llama.cpp": Way(process, lambda count: streamed(url, prompt, count)),
        }
        answers = interleaved(stage, ways, new_tokens, repeats)
        ours, bare = answers["paddock"], answers["llama.cpp"]
        later = median_first(ours) - median_first(bare)
        same = "same text" if ours[0].text == bare[0].text else "texts differ"
        print_rows(
            [
                Row("llama.cpp's server", spread([one.tokens_per_s for one in bare], "tok/s")),
                Row(
                    f"/v1, {same}",
                    spread([one.tokens_per_s for one in ours], "tok/s"),
                    median_speed(ours) / median_speed(bare),
                    Target(">=", 0.95),
                ),
                Row(
                    "first byte of /v1, later by",
                    f"{1000 * later:.1f} ms",
                    target=Target("<=", 0.04, " s"),
                    value=later,
                ),
            ]
        )
    print(f"CPU seconds of the app's own process a token, early and late in {longest} tokens: ", end="")
    print(" and ".join(f"{1000 * cost:.2f} ms" for cost in costs(stage, prompt, longest)), flush=True)


def median_first(answers: list[Answer]) -> float:
    return statistics.median(answer.ttft_s for answer in answers)


@contextmanager
def llama_server(stage: Stage) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """llama.cpp's HTTP server on the file that the app uses, and its address."""
    context = min(load_catalog()[SMOLLM2].context, stage.settings.context)
    numbers = (str(stage.settings.compute_threads), str(BATCH), str(context))
    command = [sys.executable, str(HERE / "bare.py"), "server", stage.gguf(SMOLLM2), *numbers]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("{"))
        try:
            yield process, json.loads(line)["url"]
        finally:
            process.kill()


def streamed(url: str, prompt: str, new_tokens: int) -> Answer:
    """One streamed completion, timed where it arrives."""
    body = {"model": f"{SMOLLM2}@gguf", "prompt": prompt, "max_tokens": new_tokens, "temperature": 0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    started, times, text, tokens = time.perf_counter(), [], "", 0
    with httpx.stream("POST", f"{url}/v1/completions", json=body, timeout=120) as reply:
        for line in reply.iter_lines():
            if not line.startswith("data: {"):
                continue
            data = json.loads(line.removeprefix("data: "))
            if data["choices"] and data["choices"][0]["text"]:
                times.append(time.perf_counter())
                text += data["choices"][0]["text"]
            tokens = (data.get("usage") or {}).get("completion_tokens", tokens)
    return Answer(times[0] - started, times[-1] - times[0], tokens, text, len(times))


def costs(stage: Stage, prompt: str, longest: int) -> tuple[float, float]:
    """CPU seconds that the app's own process takes a token in the first and in the last quarter of a long answer."""
    import psutil

    process, marks = psutil.Process(stage.app.process.pid), []
    body = {"model": f"{SMOLLM2}@gguf", "prompt": prompt, "max_tokens": longest, "seed": 1, "stream": True}
    with httpx.stream("POST", f"{stage.app.url}/v1/completions", json=body, timeout=300) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                marks.append(sum(process.cpu_times()[:2]))
    quarter = len(marks) // 4
    return (marks[quarter] - marks[0]) / quarter, (marks[-1] - marks[-1 - quarter]) / quarter
