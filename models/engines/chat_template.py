"""A model's chat template: which one counts, what it is given, and what it does with a visitor's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..domain.engine import Prompt
from ..domain.errors import NoTemplate, TemplateFailed
from ..domain.messages import Message
from ..system.files import read_json
from .template import TOO_MUCH, Turn, render, render_untrusted

OF_PROCESSORS = "chat_template.json"  # where models of several kinds of input keep it, {"chat_template": "..."}
FOLDED = "The model's chat template refuses a system prompt, so it stands before the first question."
LEFT_OUT = "The model's chat template leaves the system prompt out: the model does not see it."
QUESTION_LEFT_OUT = "The model's chat template leaves a question out, or writes it in another way: see the prompt sent."
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

    def write(self, messages: Sequence[Message]) -> Prompt:
        """The prompt of a conversation, with notes on what is not as it was asked for; raises TemplateFailed.

        A template that refuses the system role gets the system prompt at the head of the first question.
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        foldable = [turn["role"] for turn in turns[:2]] == ["system", "user"]
        try:
            text = self._render(turns)
        except TemplateFailed as error:
            if not foldable or error.facts.get("reason") == TOO_MUCH:
                raise
            first = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            return Prompt(self._render([first, *turns[2:]]), rendered=True, notes=(FOLDED,))
        return Prompt(text, rendered=True, notes=_left_out(messages, text))

    def _render(self, turns: Sequence[Turn]) -> str:
        if not self.source:
            raise NoTemplate(reason=self.lack)
        return (render if self.trusted else render_untrusted)(self.source, turns, self.special_tokens)


def template_of(tokenizer: Any, folder: str, trusted: bool) -> ChatTemplate:
    """The template that transformers takes for a conversation with a folder's model."""
    found, lack = tokenizer.chat_template, NONE
    if isinstance(found, dict):
        lack = f"it has several chat templates ({', '.join(sorted(found))[:200]}), and none of them is the default"
        found = found.get("default")
    found = found or read_json(Path(folder, OF_PROCESSORS)).get("chat_template")
    return ChatTemplate(found if isinstance(found, str) else "", tokenizer.special_tokens_map, trusted, lack)


def _left_out(messages: Sequence[Message], text: str) -> tuple[str, ...]:
    """What to say of the visitor's own words that are not in the prompt; templates may trim them."""
    lost = {message.role for message in messages if message.content.strip() not in text}
    notes = {"system": LEFT_OUT, "user": QUESTION_LEFT_OUT}
    return tuple(note for role, note in notes.items() if role in lost)
