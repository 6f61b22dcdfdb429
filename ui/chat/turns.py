"""A conversation as a tree of turns, of which one path is shown: nothing that was asked or answered is ever taken out.

A turn that is edited or asked again gets a sibling; one that is taken back only leaves the path. All of it is plain
data that a browser keeps, so `read` trusts none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from models.domain.errors import BadHistory
from models.domain.messages import Message

from ..shared.conversation import note

ROOT = -1  # the parent of a first turn
MOST_TURNS = 1000


@dataclass(frozen=True)
class Thought:
    """What was thought before an answer, which no model is told later; `title` says what it took."""

    text: str
    title: str


@dataclass(frozen=True)
class Turn:
    """A question and what came of it; `title` is the line of figures, and empty until the answer is over."""

    question: str
    answer: str = ""
    title: str = ""
    details: str = ""
    parent: int = ROOT
    thought: Thought | None = None


@dataclass(frozen=True)
class Conversation:
    """`leaf` is the last turn that is shown; Undo goes back to `previous`, a leaf, or to all of `before`."""

    id: str
    turns: tuple[Turn, ...] = ()
    leaf: int = ROOT
    previous: int | None = None
    before: Conversation | None = None

    @property
    def path(self) -> tuple[int, ...]:
        """The turns that are shown, the first one first."""
        return tuple(reversed([*self._upwards(self.leaf)]))

    def _upwards(self, turn: int) -> Iterator[int]:
        while turn != ROOT:
            yield turn
            turn = self.turns[turn].parent

    def versions(self, turn: int) -> list[int]:
        """The turns that stand at the same place, in the order in which they were asked; `turn` is one of them."""
        parent = self.turns[turn].parent
        return [at for at, other in enumerate(self.turns) if other.parent == parent]

    @property
    def cut(self) -> bool:
        """Whether an edit, a retry or an Undo has left out turns that have no other version in sight."""
        return self.previous is not None and len([*self._upwards(self.previous)]) > len(self.path)

    @property
    def took_back(self) -> bool:
        """Whether what was left out stands below what is shown."""
        return self.previous is not None and self.leaf in (ROOT, *self._upwards(self.previous))


def new() -> Conversation:
    """An empty conversation."""
    return Conversation(token_hex(8))


def of(texts: Sequence[str], title: str) -> Conversation:
    """The conversation of questions and answers in turns; `title` stands under each answer."""
    pairs = list(zip(texts[::2], texts[1::2], strict=False))[:MOST_TURNS]
    turns = [Turn(question, answer, title, parent=at - 1) for at, (question, answer) in enumerate(pairs)]
    return replace(new(), turns=tuple(turns), leaf=len(turns) - 1)


def asked(conversation: Conversation, question: str, parent: int) -> Conversation:
    """The conversation with a question after the turn `parent`, which may have been answered otherwise before."""
    turns = (*conversation.turns, Turn(question, parent=parent))
    if len(turns) > MOST_TURNS:
        raise BadHistory(reason=f"it has more than {MOST_TURNS} turns")
    previous = conversation.leaf if parent != conversation.leaf else None
    return replace(conversation, turns=turns, leaf=len(turns) - 1, previous=previous)


def answered(
    conversation: Conversation, answer: str, title: str = "", details: str = "", thought: Thought | None = None
) -> Conversation:
    """The conversation with what its last turn was answered."""
    turns = list(conversation.turns)
    turns[conversation.leaf] = replace(
        turns[conversation.leaf], answer=answer, title=title, details=details, thought=thought
    )
    return replace(conversation, turns=tuple(turns))


def settled(conversation: Conversation, title: str, details: str) -> Conversation:
    """The conversation with a note under each answer that will not go on."""
    turns = [turn if turn.title else replace(turn, title=title, details=details) for turn in conversation.turns]
    return replace(conversation, turns=tuple(turns))


def taken_back(conversation: Conversation) -> Conversation:
    """The conversation without its last turn, which Undo brings back."""
    if conversation.leaf == ROOT:
        return conversation
    return replace(conversation, leaf=conversation.turns[conversation.leaf].parent, previous=conversation.leaf)


def switched(conversation: Conversation, turn: int, step: int) -> Conversation:
    """The conversation with the version of a turn that is `step` versions away, and the newest that follows it."""
    versions = conversation.versions(turn)
    leaf = versions[(versions.index(turn) + step) % len(versions)]
    while following := [at for at, other in enumerate(conversation.turns) if other.parent == leaf]:
        leaf = following[-1]
    return replace(conversation, leaf=leaf, previous=None)


def cleared(conversation: Conversation) -> Conversation:
    """A new conversation, from which Undo leads back."""
    return replace(new(), before=replace(conversation, before=None)) if conversation.turns else conversation


def undone(conversation: Conversation) -> Conversation:
    """The conversation before the last edit, retry, Undo or Clear."""
    if conversation.previous is not None:
        return replace(conversation, leaf=conversation.previous, previous=None)
    return conversation.before or conversation


def history(conversation: Conversation) -> tuple[Message, ...]:
    """What a model is told of the turns that are shown: those that have an answer."""
    turns = [conversation.turns[at] for at in conversation.path]
    return tuple(
        message
        for turn in turns
        if turn.answer
        for message in (Message("user", turn.question), Message("assistant", turn.answer))
    )


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    """The turns that are shown as messages of a Chatbot."""
    shown: list[dict[str, Any]] = []
    for turn in (conversation.turns[at] for at in conversation.path):
        shown.append({"role": "user", "content": turn.question})
        if turn.thought:
            over = bool(turn.answer or turn.title)  # it is open as long as it streams
            shown.append(note(turn.thought.title, turn.thought.text, over))
        if turn.answer:
            shown.append({"role": "assistant", "content": turn.answer})
        if turn.title:
            shown.append(note(turn.title, turn.details))
    return shown


def turn_at(conversation: Conversation, index: Any) -> int:
    """The turn whose question is the Chatbot's message at `index`; raises BadHistory."""
    at = index[0] if isinstance(index, list | tuple) and index else index
    shown = messages(conversation)
    if not isinstance(at, int) or not 0 <= at < len(shown):
        raise BadHistory(reason=f"it has no message {str(index)[:40]}")
    return conversation.path[sum(message["role"] == "user" for message in shown[: at + 1]) - 1]


# --- as a browser keeps it ----------------------------------------------------------------------------------


def write(conversation: Conversation) -> dict[str, Any]:
    """The conversation as plain data."""
    return {
        "id": conversation.id,
        "turns": list(map(_write_turn, conversation.turns)),
        "leaf": conversation.leaf,
        "previous": conversation.previous,
        "before": write(conversation.before) if conversation.before else None,
    }


def _write_turn(turn: Turn) -> list[Any]:
    thought = [turn.thought.text, turn.thought.title] if turn.thought else []
    return [turn.parent, turn.question, turn.answer, turn.title, turn.details, *thought]


def read(kept: Any) -> Conversation:
    """What `write` wrote; without an id it is a copy, and gets one of its own. Raises BadHistory."""
    if not isinstance(kept, dict):
        return new()
    posted = kept.get("turns")
    if not isinstance(posted, list) or len(posted) > MOST_TURNS:
        raise BadHistory(reason="it is not a list of turns")
    turns = tuple(_read_turn(values, at) for at, values in enumerate(posted))
    before = kept.get("before")
    return Conversation(
        _read_id(kept.get("id")) or new().id,
        turns,
        _read_leaf(kept.get("leaf"), turns),
        None if kept.get("previous") is None else _read_leaf(kept["previous"], turns),
        read(before | {"before": None}) if isinstance(before, dict) else None,
    )


def _read_turn(values: Any, at: int) -> Turn:
    match values:
        case [int(parent), str(question), str(answer), str(title), str(details), *thought] if ROOT <= parent < at:
            match thought:
                case []:
                    return Turn(question, answer, title, details, parent)
                case [str(text), str(took)]:
                    return Turn(question, answer, title, details, parent, Thought(text, took))
    raise BadHistory(reason="it is not a list of turns")


def _read_leaf(leaf: Any, turns: tuple[Turn, ...]) -> int:
    if not isinstance(leaf, int) or not ROOT <= leaf < len(turns):
        raise BadHistory(reason="it is not a list of turns")
    return leaf


def _read_id(text: Any) -> str:
    return text if isinstance(text, str) and text.isalnum() and len(text) <= 32 else ""
