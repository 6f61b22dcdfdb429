"""Every figure, declared once: tables, files, what stands under an answer and the bars follow from `FIGURES`.

To add one: a field where it is measured (Measured, Usage or Compared), and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..messages import Usage
from ..units import size
from .comparison import Compared
from .measured import TIMED_TOKENS, Measured

PLAN_ERROR = 0.05  # of the weights: by how much the plan may be off before a table says so
ENDINGS = {
    "stop": "finished",
    "length": "cut at the limit",
    "stop_string": "at a stop text",
    "cancelled": "stopped",
    "time_limit": "time limit",
    "error": "error",
}
INSIDE = "ended inside its thought"


@dataclass(frozen=True)
class Figure:
    """One figure: the field that holds it and the class it is a field of, its heading, and what it means.

    `form` is the format of a value, or makes the whole text of the object that holds the field. `better` says which
    way. Without a heading it stands in CSV files only; `bars` is the name of its chart, where it has one. `basis` says
    of the object that holds the field what the value rests on, where that is not always the same.
    """

    field: str
    owner: type[Measured | Usage | Compared]
    heading: str = ""
    meaning: str = ""
    unit: Literal["bytes", "s", "tok/s", "tokens", ""] = ""
    form: str | Callable[[Any], str] = ""
    better: Literal["lower", "higher", ""] = ""
    bars: str = ""
    under_answer: bool = True
    basis: Callable[[Any], str] | None = None

    @property
    def explained(self) -> str:
        """What it means and which way is better."""
        return f"{self.meaning}; {self.better} is better" if self.better else self.meaning

    def value(self, column: Compared) -> Any:
        """The figure of a column; None where there is none."""
        return getattr(self._holder(column), self.field, None)

    def text(self, column: Compared) -> str:
        """The figure for people, with its unit; empty where there is none."""
        value = self.value(column)
        if callable(self.form):
            return self.form(holder) if (holder := self._holder(column)) else ""
        if value is None or (not value and self.unit in ("bytes", "tok/s")):  # 0 of these is not known
            return ""
        return size(value) if self.unit == "bytes" else f"{value:{self.form}} {self.unit}".strip()

    def rests_on(self, column: Compared) -> str:
        """What the value of a column rests on, such as few tokens; empty where there is nothing to say."""
        holder = self._holder(column)
        return self.basis(holder) if self.basis and holder and self.value(column) is not None else ""

    def _holder(self, column: Compared) -> Measured | Usage | Compared | None:
        if self.owner is Compared:
            return column
        return column.known if self.owner is Measured else column.usage


def _weights(row: Measured) -> str:
    loaded, planned = row.measured_bytes, row.predicted_bytes
    if loaded and planned and abs(loaded - planned) > PLAN_ERROR * planned:
        return f"{size(loaded)} ({size(planned)} planned)"
    return size(loaded) if loaded else f"{size(planned)} planned" if planned else ""


def speed_text(speed: float, tokens: int | None) -> str:
    """Tokens a second; as an estimate where they come from fewer than `TIMED_TOKENS` tokens."""
    if not speed:
        return ""
    return f"{speed:.1f} tok/s" if tokens is None or tokens >= TIMED_TOKENS else f"≈ {speed:.0f} tok/s"


def _decode(row: Measured) -> str:
    text = speed_text(row.decode_tokens_per_s or 0, row.timed_tokens)
    low, high = row.decode_low, row.decode_high
    return f"{text} ({low:.1f}–{high:.1f})" if row.timed_runs > 1 and low and high and row.measured_speed else text


def _timed(row: Measured) -> str:
    if not row.measured_speed:
        return f"an estimate from {row.timed_tokens} tokens"
    return f"median and range of {row.timed_runs} runs" if row.timed_runs > 1 else ""


def _prefill(usage: Usage) -> str:
    """Nothing where part of the prompt was kept from before: then it was hardly read."""
    return "" if usage.cached_tokens or not usage.prefill_tokens_per_s else f"{usage.prefill_tokens_per_s:,.0f} tok/s"


def _first_difference(column: Compared) -> str:
    """By the token where that was scored, else by the character of the answer itself; of several, with its prompt."""
    row = column.figures
    if column.parts_in is not None:
        place = (column.parts_at_character or 0) + 1
        return f"prompt {column.parts_in}, character {place:,}" if column.parts_in else "none"
    if row.answer_tokens and row.agreement is not None and not row.reference:
        return f"none in {row.answer_tokens} tokens" if row.parts_at is None else f"token {row.parts_at + 1}"
    return "" if column.parts_at_character is None else f"character {column.parts_at_character + 1:,}"


def _divergence(row: Measured) -> str:
    if row.divergence is None:
        return ""
    return f"≥ {row.divergence:.4f}" if row.divergence_at_least else f"{row.divergence:.4f}"


def _told_in_part(row: Measured) -> str:
    return "at least: llama.cpp tells only the likeliest tokens of a position" if row.divergence_at_least else ""


def _marks(column: Compared) -> str:
    count = column.right + column.wrong
    return f"{column.right}/{count}" if count else ""


def ending(usage: Usage) -> str:
    """Why an answer ended; empty before it does."""
    return INSIDE if usage.finish and usage.thinking == "open" else ENDINGS.get(usage.finish or "", "")


def thought_text(usage: Usage) -> str:
    """What a thought took; empty where there was none."""
    if not usage.thinking:
        return ""
    took = f"{usage.thought_tokens:,} tokens in {usage.thought_s:.1f} s"
    return f"{took}, closed at its budget" if usage.thinking == "budget" else took


def _answered(usage: Usage) -> str:
    return f"{usage.new_tokens - usage.thought_tokens:,} tokens"


# In the order of the tables. CSV files have them in the order of the fields.
FIGURES = (
    Figure("needed", Compared, "must be free",
           "the memory that must be free to load it and to answer with a full context, as planned",
           "bytes", better="lower"),
    Figure("measured_bytes", Measured, "weights", "bytes of the weights as loaded, and as planned where that differs",
           "bytes", _weights, "lower"),
    Figure("peak_bytes", Measured, "peak", "measured: the most memory that the "
           "computing process held during the answer, without other models in it", "bytes", better="lower"),
    Figure("load_s", Measured, "load",
           "seconds from nothing to ready, files being here; the first of transformers also imports torch",
           "s", ".2f", "lower"),
    Figure("ttft_s", Measured, "TTFT", "time to first token", "s", ".2f", "lower"),
    Figure("prefill_tokens_per_s", Usage, "prefill", "tokens a second of reading the prompt",
           "tok/s", _prefill, "higher"),
    Figure("decode_tokens_per_s", Measured, "decode", "tokens a second after the first",
           "tok/s", _decode, "higher", bars="Decode speed", basis=_timed),
    Figure("perplexity", Measured, "perplexity", "on the text; compare within one tokenizer",
           form=".3f", better="lower"),
    Figure("bits_per_byte", Measured, "bits/byte", "on the text; compares across tokenizers",
           form=".3f", better="lower"),
    Figure("agreement", Measured, "agreement",
           "positions of the text where it and the reference find the same token likeliest",
           form=".1%", better="higher"),
    Figure("divergence", Measured, "KL", "mean divergence from the reference's distribution, nats a token",
           form=_divergence, better="lower", basis=_told_in_part),
    Figure("engine", Usage, "engine", "the library that computed the answer and all other figures",
           form=lambda usage: usage.engine, under_answer=False),
    Figure("prompt_tokens", Usage, "prompt", "tokens of the prompt, by this variant's own tokenizer and template",
           "tokens", ","),
    Figure("thought_tokens", Usage, "thought", "tokens and seconds of what it thought before the answer",
           "tokens", thought_text),
    Figure("new_tokens", Usage, "answer", "tokens of the answer", "tokens", _answered),
    Figure("finish", Usage, "ended", "why the answer ended where it does", form=ending),
    Figure("parts_at_character", Compared, "first difference",
           "the first token of the reference's answer that it would not take, or where that was not scored, the "
           "character where its own answer differs; of several prompts, in the earliest whose answers differ",
           form=_first_difference, under_answer=False),
    Figure("right", Compared, "marked right", "answers that a reader marked right, of those that were marked",
           form=_marks, better="higher", under_answer=False),
    Figure("wrong", Compared),
    *(Figure(name, Usage) for name in ("cached_tokens", "context", "wall_s", "seed", "thought_s", "thinking")),
    *(Figure(name, Measured) for name in ("predicted_bytes", "parts_at", "answer_tokens",
                                        "decode_low", "decode_high", "timed_tokens", "timed_runs",
                                        "divergence_at_least")),
    *(Figure(name, Compared) for name in ("predicted_peak", "parts_in")),
)  # fmt: skip

OF_COLUMNS = tuple(figure for figure in FIGURES if figure.heading)


def in_files(*owners: type) -> tuple[Figure, ...]:
    """All figures of these classes, in the order of their fields, then the derived ones: columns of a CSV file."""
    places = [(owner, field.name) for owner in owners for field in fields(owner)]
    stored = {(figure.owner, figure.field): figure for figure in FIGURES}
    derived = (figure for place, figure in stored.items() if place[0] in owners and place not in places)
    return (*(stored[place] for place in places if place in stored), *derived)
