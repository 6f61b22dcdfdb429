"""A comparison to take away: a report in Markdown for people, a row a variant in CSV for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ..messages import Usage
from .comparison import Compared, Comparison
from .figures import OF_COLUMNS, in_files
from .measured import Measured
from .tables import csv_table, fenced, inline, markdown_table

_IN_CSV = in_files(Measured, Usage, Compared)
CSV_FIELDS = ("variant", "resolved", "kind", "reference", *(figure.field for figure in _IN_CSV), "tokenizer", "note",
              "error", "question", "answer")  # fmt: skip


def to_markdown(comparison: Comparison) -> str:
    """A report that says all that is needed to do it again."""
    return "\n\n".join(_blocks(comparison)) + "\n"


def _blocks(comparison: Comparison) -> Iterator[str]:
    yield f"# {len(comparison.columns)} variant{'' if len(comparison.columns) == 1 else 's'} compared"
    yield _setup(comparison)
    if comparison.system:
        yield "## System prompt"
        yield fenced(comparison.system)
    for number, question in enumerate(comparison.questions, 1):
        yield f"## Question{f' {number}' if len(comparison.questions) > 1 else ''}"
        yield fenced(question)
    yield "## Figures"
    yield figures(comparison)
    yield "\n".join(f"- {figure.heading}: {figure.explained}" for figure in OF_COLUMNS)
    for number, column in enumerate(comparison.columns, 1):
        yield from _answer(column, number)
    if comparison.text:
        yield "## The text that quality was scored on"
        yield fenced(comparison.text)


def setup(comparison: Comparison) -> dict[str, str]:
    """How it was made, by name: all that is needed to do it again but the texts."""
    sampling, thinking = asdict(comparison.sampling), comparison.thinking
    seed = sampling.pop("seed")
    stop = sampling.pop("stop")
    values = [f"{name.replace('_', ' ')} {value:g}" for name, value in sampling.items()]
    rows: dict[str, Any] = {
        "Made": comparison.created,
        "Reference": comparison.reference or "none",
        "Sampling": ", ".join(values) + (", greedy" if comparison.sampling.greedy else ""),
        "Stop texts": stop or "none",
        "Thinking": f"{thinking.switch}, at most {thinking.budget or comparison.sampling.max_new_tokens} tokens",
        **({"Questions": f"{len(comparison.questions)}, each asked for itself"} if comparison.independent else {}),
        "Seed": "a fresh one each time" if seed is None else seed,
        **{f"Version of {name}": version for name, version in comparison.versions.items()},
        **{f"Machine: {name}": value for name, value in comparison.machine.items()},
    }
    return {name: _plain(value) for name, value in rows.items()}


def _setup(comparison: Comparison) -> str:
    lines = [f"| {inline(name)} | {inline(value)} |" for name, value in setup(comparison).items()]
    return "\n".join(["|  |  |", "| --- | --- |", *lines])


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def figures(comparison: Comparison) -> str:
    """The table of all figures."""
    return markdown_table(OF_COLUMNS, [(inline(column.variant), column) for column in comparison.columns])


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


def to_csv(comparison: Comparison) -> str:
    """A row a variant with whole figures; of questions that were asked for themselves, a row for each of them, too."""
    return csv_table(
        CSV_FIELDS,
        (
            _cells(column, comparison, question, answer)
            for column in comparison.columns
            for question, answer in (column.pairs if comparison.independent else column.pairs[-1:])
        ),
    )


def _cells(column: Compared, comparison: Comparison, question: str, answer: str) -> Iterator[object]:
    yield from (column.variant, column.resolved, column.kind, column is comparison.reference_column)
    yield from (figure.value(column) for figure in _IN_CSV)
    yield from (column.tokenizer, column.figures.note, column.error or column.figures.error, question, answer)
