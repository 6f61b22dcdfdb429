"""What stands beside the conversation as HTML: which version of a turn is shown, and what Undo would bring back."""

from __future__ import annotations

from html import escape

from ..shared.language import say
from .turns import Conversation

UNDO = "undo"


def render_notice(conversation: Conversation) -> str:
    """A line with Undo where something was left out; `chat.js` puts the switches of versions at their questions."""
    switches = "".join(
        _switch(row, turn, versions)
        for row, turn in enumerate(conversation.path)
        if len(versions := conversation.versions(turn)) > 1
    )
    return f'{_words()}<div class="switches" hidden>{switches}</div>{_undo(conversation)}'


def pressed_switch(press: str) -> tuple[int, int] | None:
    """The turn and the step that a switch says; None for anything else."""
    turn, _, step = press.partition(":")
    return (int(turn), int(step)) if turn.isdecimal() and step in ("-1", "1") else None


def _switch(row: int, turn: int, versions: list[int]) -> str:
    at = versions.index(turn) + 1
    buttons = [
        f'<button type="button" data-press="{turn}:{step}" aria-label="{escape(name)}">{sign}</button>'
        for step, sign, name in ((-1, "‹", say("Earlier version")), (1, "›", say("Later version")))
    ]
    label = escape(say("Version {number} of {count}", number=at, count=len(versions)))
    return (
        f'<span class="versions" data-row="{row}" role="group" aria-label="{label}">'
        f"{buttons[0]}<span>{at}/{len(versions)}</span>{buttons[1]}</span>"
    )


def _undo(conversation: Conversation) -> str:
    if conversation.before and not conversation.turns:
        sentence = say("The conversation was cleared.")
    elif not conversation.cut:
        return ""
    elif conversation.took_back:
        sentence = say("The last turn was taken back.")
    else:
        sentence = say("What came after stays with the earlier version of the question.")
    button = f'<button type="button" class="small-button" data-press="{UNDO}">{escape(say("Undo"))}</button>'
    return f'<div class="status" role="status"><span>{escape(sentence)}</span>{button}</div>'


def _words() -> str:
    """What `chat.js` says, in the visitor's language."""
    words = {
        "send": say("Send"),
        "stop": say("Stop"),
        "busy": say("The answer is still streaming. Stop it with Escape, or wait."),
    }
    said = " ".join(f'data-{name}="{escape(text)}"' for name, text in words.items())
    return f'<div class="words" hidden {said}></div>'
