"""From the events of an answer to what a component shows: one pure step an event."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from models.domain.errors import EngineFailed, PaddockError
from models.domain.messages import Delta, Event, Progress, Rendered, Scored, Thought, Usage

from . import render
from .language import error_sentences, say

log = logging.getLogger("paddock")


@dataclass(frozen=True)
class Answer:
    """An answer so far."""

    text: str = ""
    thought: str = ""
    usage: Usage = field(default_factory=Usage)
    progress: Progress | None = None
    prompt: str = ""
    error: PaddockError | None = None

    @property
    def done(self) -> bool:
        return self.usage.finish is not None or self.error is not None

    @property
    def unanswered(self) -> bool:
        """It ended before any text, by an error, by Stop or by a limit of time: the question can be asked again."""
        ended = self.error is not None or self.usage.finish in ("cancelled", "time_limit")
        return ended and not self.text and not self.thought


def advance(answer: Answer, event: Event | PaddockError) -> Answer:
    """The answer after one more event."""
    match event:
        case Progress():
            return replace(answer, progress=event)
        case Rendered():
            return replace(answer, prompt=event.prompt, progress=Progress("prefill"))
        case Delta():
            progress = None if event.usage.new_tokens else answer.progress
            return replace(answer, text=answer.text + event.text, usage=event.usage, progress=progress)
        case Thought():
            progress = None if event.usage.new_tokens else answer.progress
            return replace(answer, thought=answer.thought + event.text, usage=event.usage, progress=progress)
        case PaddockError():
            return replace(answer, error=event, progress=None)
        case Scored():
            return answer


def failed(answer: Answer, error: Exception) -> Answer:
    """The answer after whatever ended it; what nobody foresaw is told in the log alone."""
    if not isinstance(error, PaddockError):
        log.error("an answer failed", exc_info=error)
        error = EngineFailed(detail=type(error).__name__)
    return advance(answer, error)


def status(answer: Answer) -> str:
    """The line under the conversation: an error, what is being waited for, or how full the context is."""
    if answer.error is not None:
        return render.error(answer.error)
    if answer.unanswered:
        return render.stopped(answer.usage.finish)
    if answer.progress is not None:
        return render.progress(answer.progress)
    return render.gauge(answer.usage)


def note(answer: Answer) -> tuple[str, str]:
    """The line under an answer that is over, and what it opens to, as Markdown; empty before the end."""
    if answer.error is not None and (answer.text or answer.thought):
        title = say("stopped by an error after {count} tokens", count=answer.usage.new_tokens)
        return title, " ".join(error_sentences(answer.error))
    if answer.done:
        return render.figures(answer.usage), render.figures_table(answer.usage)
    return "", ""
