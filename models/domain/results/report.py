"""A comparison to take away: a report in Markdown for people, a row a variant in CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from ..units import size
from . import measured
from .comparison import Compared, Comparison
from .measured import safe_cell

ENDINGS = {
    "stop": "by itself",
    "length": "cut at the limit",
    "stop_string": "at a stop text",
    "cancelled": "stopped",
    "time_limit": "time limit",
    "error": "error",
}


class Column(NamedTuple):
    """How one figure is shown: its heading, what it means, and its text, empty where there is none."""

    heading: str
    meaning: str
    text: Callable[[Compared], str]


def _figure(heading: str) -> Column:
    """A figure as it is shown of a measured mode."""
    shown = next(column for column in measured.COLUMNS if column.heading == heading)
    return Column(heading, shown.meaning, lambda column: shown.text(column.known))


def _usage(form: Callable[[Any], str]) -> Callable[[Compared], str]:
    return lambda column: form(column.usage) if column.usage else ""


def _parting(column: Compared) -> str:
    return "" if column.parts_at_character is None else f"character {column.parts_at_character + 1:,}"


COLUMNS = (
    Column("variant", "what was asked for", lambda column: column.variant),
    _figure("predicted"),
    _figure("measured"),
    Column("peak predicted", "the most memory at any moment of loading and answering, as planned, with pages of files",
           lambda column: size(column.predicted_peak) if column.predicted_peak else ""),
    Column("peak", "the most memory that the computing process held during the answer, without other models in it",
           lambda column: size(column.known.peak_bytes) if column.known.peak_bytes else ""),
    _figure("load"),
    _figure("TTFT"),
    Column("prefill", "tokens a second of reading the prompt",
           _usage(lambda usage: f"{usage.prefill_tokens_per_s:,.0f} tok/s" if usage.prefill_tokens_per_s else "")),
    _figure("decode"),
    _figure("perplexity"),
    _figure("bits/byte"),
    _figure("agreement"),
    _figure("KL"),
    Column("prompt", "tokens of the prompt, by this variant's own tokenizer and template",
           _usage(lambda usage: f"{usage.prompt_tokens:,} tokens")),
    Column("answer", "tokens of the answer", _usage(lambda usage: f"{usage.new_tokens:,} tokens")),
    Column("ended", "why the answer ended where it does", _usage(lambda usage: ENDINGS.get(usage.finish or "", ""))),
    Column("parts at", "where the answer stops agreeing with the reference's answer, to a whole word", _parting),
)  # fmt: skip


# --- Markdown -----------------------------------------------------------------------------------------------


def to_markdown(comparison: Comparison) -> str:
    """A report that says all that is needed to do it again."""
    return "\n\n".join(_blocks(comparison)) + "\n"


def _blocks(comparison: Comparison) -> Iterator[str]:
    yield f"# {len(comparison.columns)} variant{'' if len(comparison.columns) == 1 else 's'} compared"
    yield _table(_setup(comparison), ("", ""))
    if comparison.system:
        yield "## System prompt"
        yield fenced(comparison.system)
    for number, question in enumerate(comparison.questions, 1):
        yield f"## Question{f' {number}' if len(comparison.questions) > 1 else ''}"
        yield fenced(question)
    yield "## Figures"
    yield figures(comparison)
    yield "\n".join(f"- {column.heading}: {column.meaning}" for column in COLUMNS[1:])
    for number, column in enumerate(comparison.columns, 1):
        yield from _answer(column, number)
    if comparison.text:
        yield "## The text that quality was scored on"
        yield fenced(comparison.text)


def _setup(comparison: Comparison) -> list[tuple[str, str]]:
    sampling = asdict(comparison.sampling)
    seed = sampling.pop("seed")
    stop = sampling.pop("stop")
    values = [f"{name.replace('_', ' ')} {value:g}" for name, value in sampling.items()]
    return [
        ("Made", comparison.created),
        ("Reference", comparison.reference or "none"),
        ("Sampling", ", ".join(values) + (", greedy" if comparison.sampling.greedy else "")),
        ("Stop texts", json.dumps(stop, ensure_ascii=False) if stop else "none"),
        ("Seed", "a fresh one each time" if seed is None else str(seed)),
        *((f"Version of {name}", version) for name, version in comparison.versions.items()),
        *((f"Machine: {name}", _plain(value)) for name, value in comparison.machine.items()),
    ]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(rows: list[tuple[str, str]], head: tuple[str, str]) -> str:
    lines = [head, ("---", "---"), *((inline(name), inline(value)) for name, value in rows)]
    return "\n".join(f"| {name} | {value} |" for name, value in lines)


def figures(comparison: Comparison) -> str:
    """The table of all figures."""
    lines = ["| " + " | ".join(column.heading for column in COLUMNS) + " |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for row in comparison.columns:
        cells = [inline(column.text(row)) for column in COLUMNS]
        if row.error:
            cells = [cells[0], inline(row.error), *[""] * (len(COLUMNS) - 2)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _answer(column: Compared, number: int) -> Iterator[str]:
    yield f"## {number}. {inline(column.variant)}"
    facts = [f"{column.kind} model"]
    if column.resolved not in ("", column.variant):
        facts.append(f"ran as {column.resolved}")
    if column.usage is not None:
        facts.append(f"computed by {column.usage.engine or 'unknown'}")
        facts.append("greedy, without a seed" if column.usage.seed is None else f"seed {column.usage.seed}")
    yield inline(", ".join(facts))
    for error in filter(None, (column.error, column.figures.error, column.figures.note)):
        yield inline(error)
    for turn in column.turns[:-1]:
        yield f"{turn.role.capitalize()}:"
        yield fenced(turn.content)
    if column.answer:
        yield "Answer:"
        yield fenced(column.answer)
    if column.prompt:
        yield "The prompt exactly as the model was given it:"
        yield fenced(column.prompt)


def fenced(text: str) -> str:
    """Text in a fence that is longer than any run of backticks in it, so nothing in it can end the fence."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def inline(text: str) -> str:
    """Text from outside in a line of Markdown or a cell: on one line, and none of it markup."""
    return re.sub(r"(^[-+=]|[\\`*_{}\[\]<>()#|~&!$])", r"\\\1", " ".join(text.split()))


# --- CSV ----------------------------------------------------------------------------------------------------

_FIGURE_FIELDS = ("predicted_bytes", "measured_bytes", "peak_bytes", "load_s", "ttft_s", "decode_tokens_per_s",
                  "perplexity", "bits_per_byte", "agreement", "divergence", "parts_at", "answer_tokens")  # fmt: skip
_USAGE_FIELDS = ("engine", "prompt_tokens", "cached_tokens", "new_tokens", "context", "prefill_tokens_per_s",
                 "wall_s", "seed", "finish")  # fmt: skip
_OWN_FIELDS = ("predicted_peak", "parts_at_character", "tokenizer", "error", "answer")
FIELDS = ("variant", "resolved", "kind", "reference", *_FIGURE_FIELDS, *_USAGE_FIELDS, *_OWN_FIELDS)


def to_csv(comparison: Comparison) -> str:
    """A row a variant with whole figures; a cell that a spreadsheet would compute is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for column in comparison.columns:
        values = _values(column, column is comparison.reference_column)
        writer.writerow(["" if values[name] is None else safe_cell(values[name]) for name in FIELDS])
    return out.getvalue()


def _values(column: Compared, reference: bool) -> Mapping[str, object]:
    known, usage = vars(column.known), vars(column.usage) if column.usage else {}
    return {
        **{name: getattr(column, name) for name in ("variant", "resolved", "kind", *_OWN_FIELDS)},
        **{name: known[name] for name in _FIGURE_FIELDS},
        **{name: usage.get(name) for name in _USAGE_FIELDS},
        "reference": reference,
        "error": column.error or column.figures.error,
    }
