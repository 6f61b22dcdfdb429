"""One prompt put to several variants: what was asked, and a column of answer and figures for each."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, GetPydanticSchema
from pydantic_core import core_schema

from ..catalog import Kind
from ..checked_json import Bytes, Count, Line, Note, Share, Spelling, at_most, plain
from ..errors import BadComparison
from ..messages import Event, Message, Sampling, Usage
from ..remedy import Remedy
from ..request import MOST_PROMPTS
from ..thinking import AS_IT_IS, Thinking
from ..variant import ADAPTERS_MAX, Variant
from .measured import Measured

MOST_COLUMNS = 16
MOST_ALTERNATIVES = 20
LARGEST, MOST_NOTES = 1e15, 10  # of the numbers of what an answer cost, and how many notes
Mark = Literal["right", "wrong", ""]
DIGITS = 6  # of a probability: what is shown has fewer, and a file with more would be several times as long


@dataclass(frozen=True)
class TokenView:
    """One token of an answer: how likely it was, and what else the model held likely, likeliest first.

    Probabilities are rounded to `DIGITS` digits. Raises BadComparison.
    """

    text: Line
    probability: Share
    alternatives: Annotated[tuple[tuple[Line, Share], ...], at_most(MOST_ALTERNATIVES)] = ()

    def __post_init__(self) -> None:
        if len(self.alternatives) > MOST_ALTERNATIVES:
            raise BadComparison(reason=f"a token has more than {MOST_ALTERNATIVES} alternatives")
        object.__setattr__(self, "probability", _probability(self.probability))
        others = tuple((text, _probability(value)) for text, value in self.alternatives)
        object.__setattr__(self, "alternatives", others)


def _probability(value: float) -> float:
    rounded = round(value, DIGITS) if isinstance(value, int | float) and math.isfinite(value) else -1.0
    if not 0 <= rounded <= 1:
        raise BadComparison(reason="a probability is not a number from 0 to 1")
    return rounded + 0.0  # -0.0 becomes 0.0


def _from_row(source: Any, handler: Any) -> Any:
    """In a file, a token is a list of its fields."""
    row = tuple[Line, Share, Annotated[tuple[tuple[Line, Share], ...], at_most(MOST_ALTERNATIVES)]]
    return core_schema.no_info_after_validator_function(lambda values: TokenView(*values), handler(row))


def _bounded(usage: Usage) -> Usage:
    """What an answer cost, as a file says it, with neither negative nor absurd numbers."""
    for name, value in vars(usage).items():
        if isinstance(value, int | float) and not 0 <= value <= LARGEST:
            raise ValueError(f"{name} is not a number from 0 to {LARGEST:g}")
    if len(usage.adapters) > ADAPTERS_MAX or len(usage.notes) > MOST_NOTES:
        raise ValueError(f"there are at most {ADAPTERS_MAX} adapters and {MOST_NOTES} notes")
    return usage


@dataclass(frozen=True)
class Asked:
    """What is kept of one of several prompts: the text that the model was given, its answer's tokens, its thought."""

    prompt: str = ""
    tokens: Annotated[tuple[Annotated[TokenView, GetPydanticSchema(_from_row)], ...], at_most(10_000)] = ()
    thought: str = ""


@dataclass(frozen=True)
class Compared:
    """One variant's column; raises BadComparison, BadSpelling or ModelIsAPath.

    `variant` is spelled as it was asked for, `resolved` with its mode (empty while unknown). `prompt` is the exact text
    that the model was given, `turns` its own conversation with `answer` as the last one. By the plan, `needed` bytes
    must be free, and `predicted_peak` are held at the highest moment, pages of files included. Equal `tokenizer`s mean
    the same tokens. `parts_at_character` is how much of the answer agrees with the reference's, None where all of it
    does or nothing is known; of several prompts, `parts_in` is the number of the earliest whose answers differ, and 0
    where none do. `error` says why there is no answer; an error of the figures alone stands in them.
    Figures that are not finite are none. `earlier` are those of several prompts that were asked before the last, whose
    prompt, tokens and thought are the column's. `marks` say what a reader found of each of its answers, turn by turn.
    """

    variant: Spelling
    resolved: Spelling = ""
    kind: Kind = "instruct"
    prompt: str = ""
    turns: Annotated[tuple[Message, ...], at_most(1_000)] = ()
    answer: str = ""
    usage: Annotated[Usage, AfterValidator(_bounded)] | None = None
    figures: Measured = field(default_factory=lambda: Measured(""))
    predicted_peak: Bytes | None = None
    tokenizer: Line = ""
    parts_at_character: Count | None = None
    tokens: Annotated[tuple[Annotated[TokenView, GetPydanticSchema(_from_row)], ...], at_most(10_000)] = ()
    error: Note = ""
    needed: Bytes | None = None
    marks: Annotated[tuple[Mark, ...], at_most(1_000)] = ()
    earlier: Annotated[tuple[Asked, ...], at_most(MOST_PROMPTS)] = ()
    thought: str = ""  # before the answer; no model is told it later
    parts_in: Count | None = None
    remedy: Remedy = field(default_factory=Remedy)  # of the error

    def __post_init__(self) -> None:
        Variant.parse(self.variant)
        if self.resolved:
            Variant.parse(self.resolved)
        if self.remedy.instead:
            Variant.parse(self.remedy.instead)
        if self.kind not in get_args(Kind):
            raise BadComparison(reason=f"the kind of {self.variant} is neither base nor instruct")
        if self.parts_at_character is not None and not 0 <= self.parts_at_character <= len(self._parting_answer):
            raise BadComparison(reason=f"the first difference of {self.variant} lies outside of its answer")
        values = vars(self.figures)
        wild: Any = {name: None for name, v in values.items() if isinstance(v, float) and not math.isfinite(v)}
        object.__setattr__(self, "figures", replace(self.figures, **wild))

    @property
    def _parting_answer(self) -> str:
        answers = [answer for _, answer in self.pairs] if self.parts_in else [self.answer]
        return answers[(self.parts_in or 1) - 1] if (self.parts_in or 1) <= len(answers) else ""

    @property
    def all_tokens(self) -> tuple[TokenView, ...]:
        """Those of the answers to all prompts."""
        return (*(token for asked in self.earlier for token in asked.tokens), *self.tokens)

    @property
    def right(self) -> int:
        """How many of its answers are marked right."""
        return self.marks.count("right")

    @property
    def wrong(self) -> int:
        """How many of its answers are marked wrong."""
        return self.marks.count("wrong")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each question with its answer, turn by turn; without the turns, the answer alone."""
        turns = [turn for turn in self.turns if turn.role != "system"]
        asked = [(q.content, a.content) for q, a in zip(turns[::2], turns[1::2], strict=False)]
        return [*asked[:-1], (asked[-1][0] if asked else "", self.answer)]

    @property
    def answers(self) -> int:
        """How many answers it gave, earlier turns included."""
        return sum(turn.role == "assistant" for turn in self.turns) or int(bool(self.answer))

    @property
    def known(self) -> Measured:
        """The figures, and where they lack one, what the usage of the answer says."""
        usage = self.usage
        if usage is None:
            return self.figures
        alone = usage.batch == 1  # the speed of a row of a batch is never put beside that of an answer alone
        said: Any = {
            "peak_bytes": usage.peak_bytes or None,
            "load_s": usage.load_s,
            "ttft_s": usage.ttft_s if alone else None,
            "decode_tokens_per_s": (usage.decode_tokens_per_s or None) if alone else None,
            "timed_tokens": (usage.new_tokens or None) if alone else None,
        }
        gaps = {name: value for name, value in said.items() if getattr(self.figures, name) is None}
        return replace(self.figures, **gaps)


@dataclass(frozen=True)
class Step:
    """What happened to a column of a comparison, by its place in the request: an event, or the column as of now."""

    column: int
    event: Event | Compared


@dataclass(frozen=True)
class Comparison:
    """What was asked, with what, on what, and the columns; raises BadComparison.

    `reference` is the spelling of the variant that the others are compared with, or empty; `text` is what quality was
    scored on. `created` is a moment in ISO 8601, UTC. `machine` is plain data. `independent` says that each question
    was asked for itself: then the turns of a column are no conversation, its figures are medians over the answers, and
    its prompt, usage and tokens are those of the last one; what there is of the others is `earlier`.
    """

    questions: Annotated[tuple[str, ...], at_most(1_000)]
    columns: Annotated[tuple[Compared, ...], at_most(MOST_COLUMNS)]
    created: Annotated[str, Field(max_length=40)]
    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    reference: Spelling = ""
    text: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    independent: bool = False
    thinking: Thinking = AS_IT_IS

    def __post_init__(self) -> None:
        if len(self.columns) > MOST_COLUMNS:
            raise BadComparison(reason=f"it has {len(self.columns)} variants, and at most {MOST_COLUMNS} are shown")
        if not _is_utc(self.created):
            raise BadComparison(reason="the time of its making is not a moment in UTC")
        object.__setattr__(self, "machine", plain(self.machine, "machine"))
        object.__setattr__(self, "versions", plain(self.versions, "versions"))
        if not all(isinstance(version, str) for version in self.versions.values()):
            raise BadComparison(reason="a version is not text")

    @property
    def reference_column(self) -> Compared | None:
        """The column that the others are compared with, where there is one."""
        return find(self.columns, self.reference)


def without_tokens(comparison: Comparison) -> Comparison:
    """The comparison without what is recorded of each token, which is most of a long one."""
    columns = (
        replace(column, tokens=(), earlier=tuple(replace(asked, tokens=()) for asked in column.earlier))
        for column in comparison.columns
    )
    return replace(comparison, columns=tuple(columns))


def without_thoughts(comparison: Comparison) -> Comparison:
    """The comparison as it is handed on: what was thought before the answers stays here."""
    columns = (
        replace(column, thought="", earlier=tuple(replace(asked, thought="") for asked in column.earlier))
        for column in comparison.columns
    )
    return replace(comparison, columns=tuple(columns))


def _is_utc(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except (TypeError, ValueError):
        return False


def find(columns: Sequence[Compared], spelling: str) -> Compared | None:
    """The column of a variant, as it was asked for or as it was resolved."""
    asked = next((column for column in columns if column.variant == spelling), None)
    return asked or next((column for column in columns if spelling and column.resolved == spelling), None)


def parted(column: Compared, reference: Compared, independent: bool) -> Compared:
    """The column with the place from where its answer is another than the reference's.

    Of several prompts that were asked for themselves, in the earliest that both answered and whose answers differ.
    """
    if not independent:
        same = column.answer == reference.answer
        return replace(column, parts_at_character=None if same else agreeing_prefix(reference.answer, column.answer))
    for number, ((_, theirs), (_, own)) in enumerate(zip(reference.pairs, column.pairs, strict=False), 1):
        if theirs and own and theirs != own:
            return replace(column, parts_at_character=agreeing_prefix(theirs, own), parts_in=number)
    return replace(column, parts_at_character=None, parts_in=0)


def agreeing_prefix(reference: str, other: str) -> int:
    """How many characters two answers begin with in common, cut back to where a word begins or ends in both."""
    pairs = zip(reference, other, strict=False)
    place = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(reference), len(other)))
    while place and not (_is_boundary(reference, place) and _is_boundary(other, place)):
        place -= 1
    return place


def _is_boundary(text: str, place: int) -> bool:
    if not 0 < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    if _joins(after) or before == ZERO_WIDTH_JOINER:
        return False
    return not (_is_word(before) and _is_word(after))


ZERO_WIDTH_JOINER = "\u200d"


def _joins(character: str) -> bool:
    """Does it belong to the character before it, such as an accent or the colour of an emoji?"""
    skin = "\U0001f3fb" <= character <= "\U0001f3ff"
    return skin or character == ZERO_WIDTH_JOINER or unicodedata.category(character).startswith("M")


def _is_word(character: str) -> bool:
    """Is it part of a longer word? Wide characters, such as Chinese, are words of their own."""
    if unicodedata.east_asian_width(character) in "WF":
        return False
    return character.isalnum() or character in "_'’" or _joins(character)
