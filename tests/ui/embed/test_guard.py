"""What a signed link fixes, held against all that can be asked with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from models.domain.engine import Prompt
from models.domain.errors import AgainstLock, BadLock
from models.domain.locks import FIXED, locked, parse_query
from models.domain.messages import Message, Sampling
from models.domain.request import BasePrompt, ChatRequest, CompareRequest, CompletionRequest
from models.domain.settings import Settings
from models.domain.thinking import Thinking
from models.domain.variant import Variant
from models.runtime import Runtime
from ui.embed.guard import Lock, hold, read_lock
from ui.shared import url

KEY = "a key of the operator"
GGUF, NF4 = (Variant.parse(f"smollm2-135m-instruct@{mode}") for mode in ("gguf", "nf4"))
SYSTEM, ASKED = Message("system", "Be brief"), Message("user", "Hi")
CHAT = "/?variant=smollm2-135m-instruct@gguf&system=Be+brief&temperature=0.3&seed=7"
COMPARISON = "/?variants=smollm2-135m-instruct@gguf,smollm2-135m-instruct@nf4&system=Be+brief"


@pytest.fixture(scope="module")
def locking() -> Runtime:
    return Runtime(Settings(link_key=KEY, max_new_tokens=400))


def lock_of(runtime: Runtime, link: str, kind: str = "") -> Lock:
    return read_lock(runtime, parse_query(urlsplit(locked(KEY, link, kind)).query))


CHATTED = ChatRequest(GGUF, (SYSTEM, ASKED), Sampling(400, temperature=0.3, seed=7), thinking=Thinking("auto", 400))


def test_what_a_page_of_the_link_asks_is_let_through(locking: Runtime) -> None:
    lock = lock_of(locking, CHAT)
    hold(locking, lock, CHATTED)
    said = (SYSTEM, ASKED, Message("assistant", "Ho"), Message("user", "And you?"))
    hold(locking, lock, replace(CHATTED, messages=said))
    hold(locking, lock_of(locking, "/?variant=smollm2-135m-instruct&system=Be+brief&temperature=0.3&seed=7"), CHATTED)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"variant": NF4}, "the variant"),
        ({"variant": Variant.parse("smollm2-135m-instruct@gguf+pirate:0.5")}, "the variant"),
        ({"messages": (ASKED,)}, "the system prompt"),
        ({"messages": (Message("system", "Be rude"), ASKED)}, "the system prompt"),
        ({"messages": (SYSTEM, ASKED, Message("system", "Be rude"))}, "the system prompt"),
        ({"sampling": replace(CHATTED.sampling, temperature=0.31)}, "the sampling"),
        ({"sampling": replace(CHATTED.sampling, seed=None)}, "the sampling"),
        ({"sampling": replace(CHATTED.sampling, stop=("x",))}, "the sampling"),
        ({"thinking": Thinking("off", 400)}, "thinking"),
        ({"thinking": Thinking("auto", 100)}, "thinking"),
        ({"base_prompt": BasePrompt("Be rude")}, "the parts of a base model's prompt"),
    ],
)
def test_each_part_that_differs_is_named(locking: Runtime, change: dict[str, Any], named: str) -> None:
    with pytest.raises(AgainstLock, match=f"fixes {named}, and"):
        hold(locking, lock_of(locking, CHAT), replace(CHATTED, **change))


def test_a_chat_is_neither_text_nor_score_nor_comparison(locking: Runtime) -> None:
    lock, compared = lock_of(locking, CHAT), CompareRequest.of((GGUF,), "Hi", "Be brief")
    for asked in (CompletionRequest(GGUF, "Hi", CHATTED.sampling), Prompt("Hi"), compared):
        with pytest.raises(AgainstLock):
            hold(locking, lock, asked)
    with pytest.raises(AgainstLock, match="a comparison"):
        hold(locking, lock_of(locking, COMPARISON, "compare"), CHATTED)


def test_a_comparison_has_its_variants_and_no_others(locking: Runtime) -> None:
    lock = lock_of(locking, COMPARISON, "compare")
    asked = CompareRequest.of((NF4, GGUF), "Hi", "Be brief", sampling=Sampling(400, temperature=0), text=lock.text)
    asked = replace(asked, thinking=Thinking("auto", 400))
    hold(locking, lock, asked)
    hold(locking, lock, replace(asked, variants=(NF4,), histories=asked.histories[:1], text=""))
    for change in (
        {"variants": (GGUF, Variant.parse("smollm2-135m-instruct@bf16"))},
        {"histories": ((SYSTEM, ASKED), (ASKED,))},
        {"sampling": Sampling(400, temperature=0.1)},
        {"text": "another text"},
    ):
        with pytest.raises(AgainstLock):
            hold(locking, lock, replace(asked, **change))


@pytest.mark.parametrize(
    "part", ["variant=no+such%2F%2Fmodel", "temperature=99", "system_z=AAAA", "max_new_tokens=2000"]
)
def test_a_lock_whose_parts_cannot_be_had_here_says_so(locking: Runtime, part: str) -> None:
    with pytest.raises(BadLock, match="cannot be had here"):
        lock_of(locking, f"/?{part}")


def test_a_guard_is_asked_before_anything_is_computed(locking: Runtime) -> None:
    seen: list[Any] = []

    def refuse(asked: Any) -> None:
        seen.append(asked)
        raise AgainstLock(what="everything")

    guarded = locking.guarded(refuse)
    for ask in (
        lambda: guarded.check(CHATTED),
        lambda: next(guarded.answer(CHATTED)),
        lambda: next(guarded.answer(CompletionRequest(GGUF, "Hi"))),
        lambda: next(guarded.answer_rows(CHATTED, (GGUF, NF4))),
        lambda: next(guarded.score(Prompt("Hi"), GGUF)),
        lambda: next(guarded.of_visitor("token").answer(CHATTED)),
        lambda: guarded.admitted(CompareRequest.of((GGUF, NF4), "Hi")),
    ):
        with pytest.raises(AgainstLock):
            ask()
    assert len(seen) == 7
    locking.check(CHATTED)  # who made it asks as before


def test_every_parameter_that_defines_an_answer_is_signed() -> None:
    """All that a link of everything holds, but what a visitor writes and what asks for nothing."""
    options = url.CompareOptions(True, False, True, True, False, True, "t" * 3000, 7)
    written = url.write(
        url.PageState(
            GGUF,
            Sampling(9, 0.5, 0.9, 3, 0.1, 1.2, 5, ("x",)),
            "s" * 3000,
            "p" * 3000,
            "compare",
            (GGUF, NF4),
            NF4,
            "24",
            ("Hi", "Ho"),
            Thinking("off", 99),
            BasePrompt("i" * 3000, "Frage:", "Antwort:"),
            options,
        )
    )
    names = set(parse_qs(written, keep_blank_values=True))
    assert names - set(FIXED) == {"prompt_z", "conversation", "hardware", "tab"}
    assert len(names) > 20
