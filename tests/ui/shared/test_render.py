"""Values as HTML: figures people can read, and nothing from outside that becomes markup."""

import string
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from models.domain import errors
from models.domain.errors import PaddockError
from models.domain.messages import Progress, Usage
from models.domain.units import size
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.shared import render

USAGE = Usage("m@gguf", "llama.cpp", 1234, 1200, 56, 4096, 0.5, 300, 21.04, 3, 0.05, 532_000_000, None, "stop")


def every_error(kind=PaddockError):
    return [kind, *(error for child in kind.__subclasses__() for error in every_error(child))]


def with_facts(kind, text):
    """An error whose facts are all this text, or a number where one is wanted."""
    parts = [*string.Formatter().parse(kind.sentence), *string.Formatter().parse(kind.next_step)]
    return kind(**{name: 1234 if spec else text for _, name, spec, _ in parts if name})


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_errors_are_escaped_and_readable(kind):
    html = render.error(with_facts(kind, EVIL))
    assert is_harmless(html)
    assert all(link.startswith("https://huggingface.co/") for link in Markup(html).links())
    calm = with_facts(kind, "something")
    words = " ".join(Markup(render.error(calm)).text.split())
    assert calm.message in words
    assert calm.hint in words


def test_a_refused_gpu_has_a_button_for_a_variant_that_is_known_to_need_none():
    assert 'data-use="m@gguf"' in render.error(errors.GpuBusy("taken", "m@gguf"))
    assert "data-use" not in render.error(errors.GpuBusy("taken"))


def test_only_links_to_the_hub_become_links():
    html = render.error(errors.GatedModel(model="google/gemma-3-270m"))
    assert Markup(html).links() == ["https://huggingface.co/google/gemma-3-270m"]
    for address in ("https://evil.example/", "javascript:alert(1)", "https://huggingface.co.evil.example/x"):
        assert Markup(render.error(errors.UnknownModel(model="m", suggestion=f"See {address} now."))).links() == []


@pytest.mark.parametrize(
    ("thinking", "finish", "line"),
    [
        ("open", None, "thinking 3.2 s, 1,212 tokens"),
        ("closed", None, "thought 3.2 s, 1,212 tokens"),
        ("budget", "stop", "thought 3.2 s, 1,212 tokens, until its budget was spent"),
        ("open", "length", "thought 3.2 s, 1,212 tokens, and was cut there"),
    ],
)
def test_what_a_thought_took(thinking, finish, line):
    usage = replace(USAGE, new_tokens=1222, thought_tokens=1212, thought_s=3.21, thinking=thinking, finish=finish)
    assert render.thought(usage) == line
    if finish == "stop":
        assert render.figures(usage).startswith("10 tokens ·"), "of the answer"
        assert "| Thought | 1,212 tokens in 3.2 s, closed at its budget |" in render.figures_table(usage)


def test_progress_is_escaped():
    assert is_harmless(render.progress(Progress("download", 1, 2, "bytes", EVIL)))


@pytest.mark.parametrize(
    ("step", "words", "width"),
    [
        (Progress("download", 5e8, 2e9, "bytes", "m"), ["Downloading m", "500 MB of 2.0 GB"], "25.0%"),
        (Progress("verify", 5e8, 1e9, "bytes", "m"), ["Checking the files: m"], "50.0%"),
        (Progress("score", 1024, 2048, "tokens"), ["Scoring the text", "1,024 of 2,048 tokens"], "50.0%"),
        (Progress("read"), ["Reading the weights"], "0.0%"),
        (Progress("waiting", detail="2 ahead"), ["Waiting 2 ahead"], "0.0%"),
        (Progress("read", 0, 1e9, "bytes"), ["Reading the weights1.0 GB"], "0.0%"),
        (Progress("download", 3, 2), ["3 of 2"], "100.0%"),
    ],
)
def test_progress(step, words, width):
    html = render.progress(step)
    assert all(word in Markup(html).text for word in words)
    assert f"width:{width}" in html
    assert ("busy" in html) == (step.done == 0), "what cannot say how far it is shows that it goes on"
    assert "elapsed" in html


@pytest.mark.parametrize("stage", get_args(get_type_hints(Progress)["stage"]))
def test_every_stage_has_words_of_its_own(stage):
    words = Markup(render.progress(Progress(stage))).text
    assert words
    assert words[0].isupper()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999_999, "1 MB"),
        (98_362_432, "98 MB"),
        (1_500_000_000, "1.5 GB"),
        (2.5e12, "2500.0 GB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text


def test_figures():
    assert render.figures(USAGE) == "56 tokens · ≈ 21 tok/s · TTFT 0.50 s · m@gguf", "so few are an estimate"
    assert "64 tokens · 21.0 tok/s ·" in render.figures(replace(USAGE, new_tokens=64))
    assert "tok/s" not in render.figures(replace(USAGE, new_tokens=1, decode_tokens_per_s=0))
    table = render.figures_table(USAGE)
    for words in (
        "`m@gguf`",
        "56 tokens at ≈ 21 tok/s",
        "1,234 tokens, 1,200",
        "532 MB",
        "was in memory",
        "ended its answer",
    ):
        assert words in table
    assert all(line.count("|") == 3 for line in table.splitlines())
    assert "| Seed | 7 |" in render.figures_table(Usage(seed=7))


@pytest.mark.parametrize(
    ("finish", "words"), [("length", "cut at the limit"), ("cancelled", "stopped"), ("time_limit", "time limit")]
)
def test_an_unusual_end_is_named(finish, words):
    assert words in render.figures(Usage(finish=finish))
    assert "unknown" not in render.figures_table(Usage(finish=finish)).split("Ended because")[1]


def test_gauge():
    assert render.gauge(Usage()) == ""
    assert "context 1,290 of 4,096 tokens" in Markup(render.gauge(USAGE)).text
    assert "width:100.0%" in render.gauge(Usage(prompt_tokens=99, context=64))
    assert "tok/s" not in render.gauge(USAGE), "the answer is over"
    assert "21 tok/s" in render.gauge(Usage(new_tokens=5, context=64, decode_tokens_per_s=21))
