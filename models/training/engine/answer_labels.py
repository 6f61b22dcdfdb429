"""What of a conversation is learned: for each answer, the tokens that the model has to write after the engine's prompt.

An answer begins where the engine's prompt for it ends. What a template writes between the two (an empty thought) is
learned with it, since the model will have to write that too; what the template makes of the answer once it is history
is not. The marks of a template (`{% generation %}`) are not needed for it, and the engine does not go by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...domain.engine import Prompt
from ...domain.messages import Message
from ...engines.transformers.tokens import tokenize

UNLABELLED = -100  # what torch's cross_entropy leaves out
_PROBE = "\ue000Aa\ue001"  # an answer that no template writes on its own
_ANCHORS = ("", "\n", ":", ".", "a", "0")  # texts after which the beginning of an answer is tokenized
# A conversation as text: up to its end, or with True up to where the next answer begins.
Write = Callable[[Sequence[Message], bool], str]


class Unlearnable(Exception):
    """A reason, and what to do about it."""

    def __init__(self, reason: str, suggestion: str = "Pick another base.") -> None:
        super().__init__(reason)
        self.reason, self.suggestion = reason, suggestion


@dataclass(frozen=True)
class Example:
    """Tokens to learn from; `labels` are the same where the model learns them, else UNLABELLED."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    def reaches(self, limit: int) -> bool:
        """Whether something is learned within so many tokens; the first is predicted from nothing."""
        return any(token != UNLABELLED for token in self.labels[1:limit])

    def cut(self, limit: int) -> Example:
        """The first tokens."""
        return Example(self.ids[:limit], self.labels[:limit])


@dataclass(frozen=True)
class Labeller:
    """One model's way to write answers: `after` one that was given its template writes that, with `closing` end tokens.

    `rendered` says whether the text spells its own start token. `ends` are the tokens that end an answer when the
    engine meets them, the one to put where a template writes none first.
    """

    tokenizer: Any
    write: Write
    rendered: bool
    ends: tuple[int, ...]
    after: str
    closing: int

    @classmethod
    def of(cls, tokenizer: Any, write: Write, rendered: bool, ends: Sequence[int]) -> Labeller:
        """Learn the template's way from an answer of our own; raises Unlearnable, TemplateFailed."""
        if not ends:
            raise Unlearnable("no token ends its answers")
        _, written = _apart(write, (Message("user", "Hello"), Message("assistant", _PROBE)))
        if written.count(_PROBE) != 1:
            raise Unlearnable("its chat template changes the text of answers")
        after = written.partition(_PROBE)[2]
        ids = tokenizer(after, add_special_tokens=False)["input_ids"]
        closing = sum(token in ends for token in ids)
        return cls(tokenizer, write, rendered, tuple(ends), after, closing)

    def examples(self, row: Sequence[Message]) -> list[Example]:
        """All answers of a conversation, as one example as long as each prompt goes on from what was written before.

        Raises Unlearnable, TemplateFailed.
        """
        found: list[Example] = []
        for number, message in enumerate(row):
            if message.role != "assistant":
                continue
            prompt, answer = self._tokens(row[: number + 1])
            earlier = found[-1] if found else Example((), ())
            if found and prompt[: len(earlier.ids)] == earlier.ids:
                found.pop()
            else:  # the template writes the earlier answers, now that they are history, in another way
                earlier = Example((), ())
            silent = (UNLABELLED,) * (len(prompt) - len(earlier.ids))
            found.append(Example(prompt + answer, earlier.labels + silent + answer))
        return found

    def _tokens(self, talk: Sequence[Message]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The prompt of the last message as the engine tokenizes it, and the answer with the token that ends it."""
        prompt, written = _apart(self.write, talk)
        if not written.endswith(self.after):
            raise Unlearnable("its chat template does not end all answers in the same way")
        answer = written.removesuffix(self.after)
        if not answer.rstrip().endswith(talk[-1].content.strip()):  # templates may trim
            raise Unlearnable(
                "its chat template changes the text of answers", "Write them as it does, or pick another base."
            )
        before = tokenize(self.tokenizer, Prompt(prompt, self.rendered))
        ids = self._continued(before, prompt, written if self.closing else answer)
        places = [place for place, token in enumerate(ids) if token in self.ends]
        if len(places) != self.closing:
            ends = " or ".join(map(str, self.tokenizer.convert_ids_to_tokens(list(self.ends))))
            raise Unlearnable(f"an answer has {ends} in it, which ends answers", "Change that row, or leave it out.")
        if self.tokenizer.unk_token_id in ids and self.tokenizer.unk_token_id not in self.ends:
            raise Unlearnable("its tokenizer has no token for a part of an answer", "Change that row, or leave it out.")
        ids = ids[: places[0] + 1] if places else [*ids, self.ends[0]]
        return tuple(before), tuple(ids)

    def _continued(self, before: list[int], prompt: str, text: str) -> list[int]:
        """Tokens that spell `text` after those of the prompt.

        Where the tokenizer would join the two, or puts a blank before any text, they are those that it has for the
        text after some other one, if they spell it here too.
        """
        whole = tokenize(self.tokenizer, Prompt(prompt + text, self.rendered))
        if whole[: len(before)] == before:
            return whole[len(before) :]
        spelled = self._decoded(whole)
        for anchor in _ANCHORS:
            start, both = (self.tokenizer(t, add_special_tokens=False)["input_ids"] for t in (anchor, anchor + text))
            if both[: len(start)] == start and self._decoded([*before, *both[len(start) :]]) == spelled:
                return list(both[len(start) :])
        raise Unlearnable("its tokenizer cannot spell an answer after its prompt")

    def _decoded(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _apart(write: Write, talk: Sequence[Message]) -> tuple[str, str]:
    """The engine's prompt for the last message of a conversation, and all that is written after it."""
    prompt, whole = write(talk[:-1], True), write(talk, False)
    if not whole.startswith(prompt):
        raise Unlearnable("its chat template opens an answer in another way than it writes one that was given")
    return prompt, whole[len(prompt) :]
