"""A model's chat template: which one counts, what it is given, and what it does with a visitor's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.engine import Prompt
from ..domain.errors import NoTemplate, TemplateFailed
from ..domain.messages import Message
from ..domain.thinking import AS_IT_IS, LEVELS, TemplateThinking, Thinking, Thoughts
from ..system.files import read_json
from .template import TOO_MUCH, Turn, render, render_untrusted
from .thoughts import read_template

OF_PROCESSORS = "chat_template.json"  # where models of several kinds of input keep it, {"chat_template": "..."}
FOLDED = "The model's chat template refuses a system prompt, so it stands before the first question."
LEFT_OUT = "The model's chat template leaves the system prompt out: the model does not see it."
QUESTION_LEFT_OUT = "The model's chat template leaves a question out, or writes it in another way: see the prompt sent."
NO_THINKING = "The model's chat template knows no thinking."
NOT_OFF = "The model's chat template cannot switch thinking off."
NO_LEVELS = "The model's chat template knows no such level of thinking: it thinks as it does when thinking is on."
NONE = "it has no chat template"


@dataclass(frozen=True)
class ChatTemplate:
    """A template and the special tokens that it can name; `source` is empty where there is none, and `lack` says why.

    One that is not `trusted` is rendered apart, with limits.
    """

    source: str
    special_tokens: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = False
    lack: str = NONE

    @property
    def thinking(self) -> TemplateThinking:
        """What it knows of thinking."""
        return read_template(self.source)

    def write(self, messages: Sequence[Message], thinking: Thinking = AS_IT_IS) -> Prompt:
        """The prompt of a conversation, with notes on what is not as it was asked for; raises TemplateFailed.

        A template that refuses the system role gets the system prompt at the head of the first question.
        """
        knows = self.thinking
        switch = "on" if thinking.switch in LEVELS and thinking.switch not in knows.values else thinking.switch
        values = knows.values.get(switch, {})
        turns: list[Turn] = [{"role": message.role, "content": message.content} for message in messages]
        if word := knows.words.get(switch):
            turns = _with_word(turns, word)
        foldable = [turn["role"] for turn in turns[:2]] == ["system", "user"]
        try:
            text = self._render(turns, values)
            notes = _left_out(messages, text)
        except TemplateFailed as error:
            if not foldable or error.facts.get("reason") == TOO_MUCH:
                raise
            first = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            text, notes = self._render([first, *turns[2:]], values), (FOLDED,)
        notes = (*notes, *_not_as_asked(thinking, knows))
        thoughts = None
        if knows.marks:
            opened = text.rstrip().endswith(knows.marks.opens)
            thoughts = Thoughts(knows.marks, opened, thinking.budget)
        return Prompt(text, True, notes, thoughts)

    def _render(self, turns: Sequence[Turn], values: Mapping[str, Any]) -> str:
        if not self.source:
            raise NoTemplate(reason=self.lack)
        given = {**self.special_tokens, **values}
        return (render if self.trusted else render_untrusted)(self.source, turns, given)


def template_of(tokenizer: Any, folder: str, trusted: bool) -> ChatTemplate:
    """The template that transformers takes for a conversation with a folder's model."""
    found, lack = tokenizer.chat_template, NONE
    if isinstance(found, dict):
        lack = f"it has several chat templates ({', '.join(sorted(found))[:200]}), and none of them is the default"
        found = found.get("default")
    found = found or read_json(Path(folder, OF_PROCESSORS)).get("chat_template")
    return ChatTemplate(found if isinstance(found, str) else "", tokenizer.special_tokens_map, trusted, lack)


def source_in(folder: Path) -> str:
    """The same template by the files of a folder alone; empty where there is none."""
    written = folder / "chat_template.jinja"
    if written.is_file():
        return written.read_text(encoding="utf-8", errors="replace")
    for name in ("tokenizer_config.json", OF_PROCESSORS):
        found = read_json(folder / name).get("chat_template")
        if isinstance(found, list):  # of several, each with its name
            named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
            found = named.get("default")
        if isinstance(found, str) and found:
            return found
    return ""


def _left_out(messages: Sequence[Message], text: str) -> tuple[str, ...]:
    """What to say of the visitor's own words that are not in the prompt; templates may trim them."""
    lost = {message.role for message in messages if message.content.strip() not in text}
    notes = {"system": LEFT_OUT, "user": QUESTION_LEFT_OUT}
    return tuple(note for role, note in notes.items() if role in lost)


def _with_word(turns: Sequence[Turn], word: str) -> list[Turn]:
    """The turns with a word for the template at the end of the system prompt."""
    if turns and turns[0]["role"] == "system":
        return [{"role": "system", "content": f"{turns[0]['content']}\n{word}"}, *turns[1:]]
    return [{"role": "system", "content": word}, *turns]


def _not_as_asked(thinking: Thinking, knows: TemplateThinking) -> tuple[str, ...]:
    switch = thinking.switch
    if switch == "auto" or switch in (*knows.values, *knows.words):
        return ()
    thinks = bool(knows.marks or knows.switches)
    if switch == "off":
        return (NOT_OFF,) if thinks else ()
    if not thinks:
        return (NO_THINKING,)
    return () if switch == "on" else (NO_LEVELS,)
