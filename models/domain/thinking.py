"""Thinking: what is asked of a model that thinks before it answers, and how its thoughts are told from its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from .errors import SamplingOutOfBounds
from .messages import Bound

Switch = Literal["auto", "on", "off", "low", "medium", "high"]
SWITCHES: tuple[Switch, ...] = get_args(Switch)
LEVELS: tuple[Switch, ...] = ("low", "medium", "high")
BUDGET = Bound(1, 32_768, 1, 512, whole=True)


@dataclass(frozen=True)
class Thinking:
    """How a model is to think; `auto` is what its chat template does of itself. Raises SamplingOutOfBounds.

    After `budget` tokens the thought is closed and the answer begins; None is as many as the answer may have.
    """

    switch: Switch = "auto"
    budget: int | None = None

    def __post_init__(self) -> None:
        if self.switch not in SWITCHES:
            wanted = f"one of {', '.join(SWITCHES)}"
            raise SamplingOutOfBounds(name="thinking", value=str(self.switch)[:40], wanted=wanted)
        if self.budget is not None:
            budget = BUDGET.checked("thinking_budget", self.budget, SamplingOutOfBounds)
            object.__setattr__(self, "budget", budget)


AS_IT_IS = Thinking()


@dataclass(frozen=True)
class Marks:
    """The texts around a thought: `opens` begin one, `close` ends it, and `answer`, where there is one, begins what
    is answered. `closing` is what ends a thought in the model's place. Where there is an `end` of an answer, an answer
    may also come without both.
    """

    opens: tuple[str, ...]
    close: str
    closing: str
    answer: str = ""
    end: str = ""


@dataclass(frozen=True)
class Thoughts:
    """How the thoughts of one answer are told from it; `opened` says that the prompt has begun one already.

    `budget` is that of a Thinking.
    """

    marks: Marks
    opened: bool = False
    budget: int | None = None


@dataclass(frozen=True)
class TemplateThinking:
    """What a chat template knows of thinking: the marks of a thought, and the values that it is given for a switch.

    `words` are written at the end of the system prompt instead. A switch in neither makes no difference to it.
    """

    marks: Marks | None = None
    values: Mapping[Switch, Mapping[str, Any]] = field(default_factory=dict)
    words: Mapping[Switch, str] = field(default_factory=dict)

    @property
    def switches(self) -> tuple[Switch, ...]:
        """Those that can be asked for, `auto` first; none where there is nothing to choose."""
        known = [switch for switch in SWITCHES if switch in self.values or switch in self.words]
        return ("auto", *known) if known else ()
