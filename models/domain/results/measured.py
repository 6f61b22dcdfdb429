"""One row of what modes cost and are worth, and the table as CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..units import size


@dataclass(frozen=True)
class Measured:
    """One variant measured: bytes, seconds, tokens a second, nats a token; None where there is no figure.

    `parts_at` counts the tokens of the reference's greedy answer before this one's would differ, of `answer_tokens`;
    None is never. `note` says what was done otherwise, `error` why there are no figures.
    """

    variant: str
    reference: bool = False
    predicted_bytes: int | None = None
    measured_bytes: int | None = None
    peak_bytes: int | None = None
    load_s: float | None = None
    ttft_s: float | None = None
    decode_tokens_per_s: float | None = None
    perplexity: float | None = None
    bits_per_byte: float | None = None
    agreement: float | None = None
    divergence: float | None = None
    parts_at: int | None = None
    answer_tokens: int = 0
    answer: str = ""
    note: str = ""
    error: str = ""


def memory_of(row: Measured) -> int:
    """Bytes of the weights as they were loaded, or as planned; 0 where neither is known."""
    return row.measured_bytes or row.predicted_bytes or 0


class Column(NamedTuple):
    """How one figure is shown: its heading, what it means, and its text."""

    heading: str
    meaning: str
    text: Callable[[Measured], str]


def _number(name: str, form: str, unit: str = "") -> Callable[[Measured], str]:
    def text(row: Measured) -> str:
        value = getattr(row, name)
        return "" if value is None else f"{value:{form}}{unit}"

    return text


def _bytes(name: str) -> Callable[[Measured], str]:
    return lambda row: size(getattr(row, name)) if getattr(row, name) else ""


def _parting(row: Measured) -> str:
    if row.error or row.reference or not row.answer_tokens or row.agreement is None:
        return ""
    return f"never in {row.answer_tokens}" if row.parts_at is None else f"token {row.parts_at + 1}"


COLUMNS = (
    Column("variant", "what was measured", lambda row: row.variant),
    Column("predicted", "bytes of the weights as planned before the load", _bytes("predicted_bytes")),
    Column("measured", "bytes of the weights as loaded", _bytes("measured_bytes")),
    Column("peak", "the most memory that the computing process held during the answer", _bytes("peak_bytes")),
    Column("load", "seconds from nothing to ready, files being here; the first of transformers also imports torch",
           _number("load_s", ".2f", " s")),
    Column("TTFT", "time to first token", _number("ttft_s", ".2f", " s")),
    Column("decode", "tokens a second after the first", _number("decode_tokens_per_s", ".1f", " tok/s")),
    Column("perplexity", "on the text; lower is better; compare within one tokenizer", _number("perplexity", ".3f")),
    Column("bits/byte", "on the text; lower is better; compares across tokenizers", _number("bits_per_byte", ".3f")),
    Column("agreement", "positions of the text where it and the reference find the same token likeliest",
           _number("agreement", ".1%")),
    Column("KL", "mean divergence from the reference's distribution, nats a token", _number("divergence", ".4f")),
    Column("parts at", "first token of the reference's greedy answer that it would not take", _parting),
)  # fmt: skip


def to_markdown(rows: Iterable[Measured]) -> str:
    """A Markdown table of what people read."""
    lines = ["| " + " | ".join(column.heading for column in COLUMNS) + " |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for row in rows:
        cells = [f"`{row.variant}`", *(column.text(row) for column in COLUMNS[1:])]
        if row.error:
            cells = [cells[0], row.error.replace("|", "\\|"), *[""] * (len(COLUMNS) - 2)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


FIELDS = ("variant", "reference", "predicted_bytes", "measured_bytes", "peak_bytes", "load_s", "ttft_s",
          "decode_tokens_per_s", "perplexity", "bits_per_byte", "agreement", "divergence", "parts_at",
          "answer_tokens", "note", "error")  # fmt: skip


COMPUTED = ("=", "+", "-", "@", "\t", "\n")  # what begins a formula, also after what a spreadsheet strips


def to_csv(rows: Iterable[Measured]) -> str:
    """The same rows with whole figures, for programs; a cell that a spreadsheet would compute is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in rows:
        values = (getattr(row, name) for name in FIELDS)
        writer.writerow(["" if value is None else safe_cell(value) for value in values])
    return out.getvalue()


def safe_cell(value: object) -> object:
    """A cell of a CSV file; text that a spreadsheet would compute gets a quote in front."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # a bare carriage return would end the row
    return f"'{text}" if text.startswith(COMPUTED) else text
