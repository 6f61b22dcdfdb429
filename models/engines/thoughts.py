"""A model's thoughts: what its chat template says of them, and a stream of text split into thought and answer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from ..domain.messages import ThoughtEnd
from ..domain.thinking import LEVELS, Marks, Switch, TemplateThinking, Thoughts
from .text_stream import undecided

# By the text that a template has if its model writes such marks. Where they were read: the chat templates of Qwen3,
# Qwen3.5, SmolLM3, GLM 4.5, LFM2.5 and the DeepSeek-R1 distills; gpt-oss (Harmony); Gemma 4; Seed-OSS; Magistral;
# Granite 3.3.
MARKS = {
    "<|channel|>analysis": Marks(
        ("<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>"),
        "<|end|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>final<|message|>",
    ),
    "<channel|>": Marks(("<|channel>thought",), "<channel|>", "\n<channel|>"),
    "</seed:think>": Marks(("<seed:think>",), "</seed:think>", "\n</seed:think>\n"),
    "[/THINK]": Marks(("[THINK]",), "[/THINK]", "[/THINK]"),
    "</response>": Marks(("<think>",), "</think>", "\n</think>\n<response>", "<response>", "</response>"),
    "</think>": Marks(("<think>",), "</think>", "\n</think>\n\n"),
}
SWITCHED = ("enable_thinking", "thinking")  # true or false; DeepSeek V3.1 has the second
LEVELLED = "reasoning_effort"
NEVER = ("none", "no_think")  # what a template that knows levels may call thinking that is off
WORDS: dict[Switch, str] = {"on": "/think", "off": "/no_think"}
MOST_MARKS = 32  # tokens around a thought that count for neither budget
_TOKEN = re.compile(r"<[^<>]+>|\[/?\w+\]")
_NAMED = re.compile(r"""["'](\w+)["']""")


def special_tokens(marks: Marks) -> list[str]:
    """The tokens that the marks are written with, where a vocabulary has them."""
    texts = "".join((*marks.opens, marks.close, marks.closing, marks.answer, marks.end))
    return list(dict.fromkeys(_TOKEN.findall(texts)))


@lru_cache(maxsize=32)
def read_template(source: str) -> TemplateThinking:
    """What a chat template's own text says; it is not rendered."""
    marks = next((marks for sign, marks in MARKS.items() if sign in source), None)
    variables = _variables(source)
    switched = [name for name in SWITCHED if name in variables]
    values: dict[Switch, dict[str, Any]] = {}
    if switched:
        values = {"on": dict.fromkeys(switched, True), "off": dict.fromkeys(switched, False)}
    if LEVELLED in variables:
        named = {word for block in _blocks(source) if LEVELLED in block for word in _NAMED.findall(block)}
        known = [level for level in LEVELS if level in named]
        for level in known if len(known) > 1 else LEVELS:  # one alone is a default, and any is written as it is
            values[level] = {**dict.fromkeys(switched, True), LEVELLED: level}
        if never := next((word for word in NEVER if word in named), None):
            values["off"] = {**values.get("off", {}), LEVELLED: never}
    words = WORDS if not values and WORDS["off"] in source else {}
    return TemplateThinking(marks, values, words)


def _blocks(source: str) -> list[str]:
    return re.findall(r"\{[%{].*?[%}]\}", source, re.DOTALL)


def _variables(source: str) -> set[str]:
    """The names that a template reads before it sets them, of those that a caller may give."""
    import jinja2

    found: dict[str, bool] = {}
    before = ""
    try:
        # Its lexer alone: to parse would compute what is constant, and a template from outside may hold anything.
        for _, kind, value in jinja2.Environment().lex(source):
            if kind in ("whitespace", "comment"):
                continue
            if kind == "name" and before != ".":
                found.setdefault(value, before not in ("set", "for"))
            before = value
    except jinja2.TemplateSyntaxError:
        return set()
    return {name for name, read in found.items() if read}


class Split(NamedTuple):
    """A piece of a stream: of the thought, `written` for it with marks and blanks, and of the answer."""

    thought: str = ""
    written: str = ""
    answer: str = ""


State = Literal["before", "begun", "thought", "between", "gap", "answer"]


class Splitter:
    """Splits a stream of text; what may become a mark is held back until decided.

    A thought comes first or not at all: what looks like a mark within an answer is part of it. All that was `written`
    and all of the answers, joined, are the stream, but for the mark that ends an answer.
    """

    def __init__(self, thoughts: Thoughts | None) -> None:
        self._marks = thoughts.marks if thoughts else Marks((), "", "")
        self._held = ""
        self._begun = bool(thoughts and thoughts.opened)
        self._some = False  # of a thought was handed out
        self._end = ""  # of an answer that a mark began, still to come
        self.state: State = "answer"
        if thoughts:
            self.state = "begun" if thoughts.opened else "before"

    @property
    def in_thought(self) -> bool:
        """Whether a thought was begun, and the answer to it not yet."""
        return self.state not in ("before", "answer")

    @property
    def end(self) -> ThoughtEnd:
        """What a Usage says of the thought so far, whatever its budget; empty where there was none."""
        if not self._begun:
            return ""
        return "open" if self.state in ("begun", "thought") else "closed"

    def before_answer(self, split: Split) -> bool:
        """Whether what brought this piece belongs before the answer: to a thought, or to the marks around it."""
        return self.in_thought or bool(split.written and not split.answer)

    def push(self, text: str) -> Split:
        """What can be told after some more text."""
        self._held += text
        pieces = []
        while (piece := self._step()) is not None:
            pieces.append(piece)
        return _joined(pieces)

    def finish(self) -> Split:
        """What was held back at the end of the stream."""
        held, self._held = self._held, ""
        if self.in_thought:
            return Split(held.rstrip() if self.state == "thought" else "", held)
        return Split(answer=held)

    def _step(self) -> Split | None:
        """The next piece, or None where more text is needed."""
        if not self._held:
            return None
        match self.state:
            case "answer":
                return self._answer()
            case "before" | "begun":
                return self._begin()
            case "thought":
                return self._think()
            case "between":
                return self._look_for(self._marks.answer, *self._marks.opens)
            case "gap":
                return self._cross()

    def _begin(self) -> Split | None:
        """At the first text: a mark, or none. A thought that the prompt opened may be opened once more."""
        rest, marks = self._held.lstrip(), (*self._marks.opens, *filter(None, [self._marks.answer]))
        for mark in marks:
            if rest.startswith(mark):
                self.state = ("gap" if self._marks.end else "answer") if mark == self._marks.answer else "thought"
                if self.state == "gap":
                    return self._cross()
                self._begun = self._begun or self.state == "thought"
                return Split(written=self._cut(len(self._held) - len(rest) + len(mark)))
        if any(mark.startswith(rest) for mark in marks):
            return None
        self.state = "answer" if self.state == "before" else "thought"
        return Split()

    def _think(self) -> Split | None:
        blank = 0 if self._some else len(self._held) - len(self._held.lstrip())
        if blank:
            return Split(written=self._cut(blank))
        if (end := self._held.find(self._marks.close)) >= 0:
            self.state = "between" if self._marks.answer and not self._marks.end else "gap"
            thought = self._held[:end].rstrip()
            self._some = self._some or bool(thought)
            return Split(thought, self._cut(end + len(self._marks.close)))
        sure = self._held[: len(self._held) - undecided(self._held, (self._marks.close,))].rstrip()
        if not sure:
            return None
        self._some = True
        return Split(sure, self._cut(len(sure)))

    def _look_for(self, *marks: str) -> Split | None:
        places = {place: mark for mark in marks if (place := self._held.find(mark)) >= 0}
        if not places:
            return None
        place, mark = min(places.items())
        again = mark != self._marks.answer
        self.state = "thought" if again else "answer"
        thought, self._some = "\n\n" if again and self._some else "", False
        return Split(thought, self._cut(place + len(mark)))

    def _cross(self) -> Split | None:
        """From a thought to its answer: blanks, and a mark that may be missing."""
        rest = self._held.lstrip()
        blank, mark = len(self._held) - len(rest), self._marks.end and not self._end and self._marks.answer
        if mark and rest.startswith(mark):
            self._end = self._marks.end
            return Split(written=self._cut(blank + len(mark)))
        if rest and not (mark and mark.startswith(rest)):
            self.state = "answer"
        elif not blank:
            return None
        return Split(written=self._cut(blank))

    def _answer(self) -> Split | None:
        if (end := self._held.find(self._end)) >= 0 and self._end:
            answer, self._held, self._end = self._held[:end], self._held[end + len(self._end) :], ""
            return Split(answer=answer)
        sure = len(self._held) - (undecided(self._held, (self._end,)) if self._end else 0)
        return Split(answer=self._cut(sure)) if sure else None

    def _cut(self, length: int) -> str:
        piece, self._held = self._held[:length], self._held[length:]
        return piece


def _joined(pieces: list[Split]) -> Split:
    return Split(*map("".join, zip(*pieces, strict=True))) if pieces else Split()
