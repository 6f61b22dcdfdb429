"""Variants side by side: answers, figures, plans, a table and pictures. Pure; everything from outside is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from models.domain.errors import VariantError
from models.domain.results.comparison import Compared, Comparison, batches
from models.domain.results.file import to_json
from models.domain.results.measured import memory_of
from models.domain.results.report import COLUMNS, to_csv, to_markdown
from models.domain.results.suggestion import quality_of, quality_unit
from models.domain.units import size
from models.domain.variant import Variant

from .charts import Bar, Point, bars, points
from .charts import charts as side_by_side

# What stands under a column: the rest is in the table.
_FOOTER = ("load", "TTFT", "prefill", "decode", "prompt", "answer", "peak predicted", "peak", "ended",
           "perplexity", "bits/byte", "agreement", "KL")  # fmt: skip

PLANNED = "what it has to have at any moment of loading and answering, without pages of files, which can be read again"


def labels(columns: Sequence[Compared]) -> list[str]:
    """The shortest names that tell the columns apart."""
    names = short_names([column.resolved or column.variant for column in columns])
    if len(set(names)) == len(names):
        return names
    return [column.variant for column in columns]  # what was asked for differs even where it means the same here


def short_names(spellings: Sequence[str]) -> list[str]:
    """Spellings of variants without the model where all share it."""
    try:
        variants = [Variant.parse(spelling) for spelling in spellings]
    except VariantError:
        return list(spellings)
    if len({variant.model for variant in variants}) > 1:
        return list(spellings)
    return ["+".join([variant.quantization, *map(str, variant.adapters)]) for variant in variants]


def answer(column: Compared, reference: str) -> str:
    """The answer, the first word that differs from the answer of `reference` marked."""
    if column.error and not column.answer:
        return f'<div class="answer"><p class="status error">{escape(column.error)}</p></div>'
    place, text = column.parts_at_character, column.answer
    drawn = escape(text)
    if place is not None:
        same = "From here on it differs from the answer of" if place < len(text) else "It ends before the answer of"
        title = escape(f"{same} {reference or 'the reference'}")
        kind = "" if place < len(text) else ' class="ends"'
        end = place + _first_word(text[place:])
        drawn = (
            f'{escape(text[:place])}<mark{kind} title="{title}">{escape(text[place:end])}</mark>{escape(text[end:])}'
        )
    failed = f'<p class="status error">{escape(column.error)}</p>' if column.error else ""
    return f'<div class="answer">{drawn}</div>{failed}'


def _first_word(text: str) -> int:
    """How long it is, with what stands before it."""
    found = re.match(r"\s*\S{1,40}", text)
    return found.end() if found else len(text)


def footer(column: Compared, beside: Sequence[Compared] = ()) -> str:
    """The figures under an answer, each with what it means, in the places that those of its neighbours have."""
    lines = "".join(
        f'<div title="{escape(figure.meaning)}"><dt>{escape(figure.heading)}</dt>'
        f"<dd>{escape(figure.text(column) or '–')}</dd></div>"
        for figure in COLUMNS
        if figure.heading in _FOOTER and any(map(figure.text, (column, *beside)))
    )
    notes = "".join(
        f'<p class="quiet">{escape(text)}</p>' for text in (column.figures.error, column.figures.note) if text
    )
    return (f'<dl class="compare-figures">{lines}</dl>' if lines else "") + notes


def plan_lines(plans: Sequence[Mapping[str, Any]], free_bytes: int) -> str:
    """What each variant will take of the memory that can be had, and which run together.

    Plans are what LoadPlan.to_dict gives.
    """
    if not plans:
        return ""
    free = max(0, free_bytes)
    names = short_names([plan["variant"] for plan in plans])
    lines = [
        Bar(
            name,
            plan["needed"],
            f"{size(plan['needed'])}{'' if plan['needed'] <= free else ', does not fit'}",
            f"needs {size(plan['needed'])}, of it weights {size(plan['weights'])}; the mark is at {size(free)}, which "
            "can be had",
            free,
        )
        for name, plan in zip(names, plans, strict=True)
    ]
    drawn = bars(
        lines,
        "Memory by the plan; the mark is what can be had",
        PLANNED,
    )
    sentence = _together(names, plans, free)
    return f'<div class="compare-plan"><p>{escape(sentence)}</p>{drawn}</div>'


def _models(plans: Sequence[Mapping[str, Any]], fitting: Sequence[int]) -> dict[tuple[int, ...], int]:
    """The places of the variants that share a base in memory, and the bytes of it with the adapters of all."""
    of_base: dict[str, list[int]] = {}
    for place in fitting:
        of_base.setdefault(plans[place]["variant"].partition("+")[0], []).append(place)
    models = {}
    for places in of_base.values():
        largest, *others = sorted((plans[place] for place in places), key=lambda plan: -plan["needed"])
        models[tuple(places)] = largest["needed"] + sum(plan["bytes"].get("adapters", 0) for plan in others)
    return models


def _together(names: Sequence[str], plans: Sequence[Mapping[str, Any]], free: int) -> str:
    """Which run together and which one after another, as a sentence."""
    too_large = [name for name, plan in zip(names, plans, strict=True) if plan["needed"] > free]
    models = _models(plans, [place for place, plan in enumerate(plans) if plan["needed"] <= free])
    units: list[tuple[tuple[int, ...], int]] = []  # a base whose adapters do not fit together has them in turn
    for places, bytes_ in models.items():
        units += [(places, bytes_)] if bytes_ <= free else [((place,), plans[place]["needed"]) for place in places]
    at_once = batches([bytes_ for _, bytes_ in units], free)
    groups = [[names[place] for unit in group for place in units[unit][0]] for group in at_once]
    runs = [_and(group) + (" together" if len(group) > 1 else "") for group in groups]
    total, count = size(sum(models.values())), sum(map(len, groups))
    said = []
    if count == 1:
        said.append(f"{runs[0]} fits: {total} of {size(free)} that can be had.")
    elif len(groups) == 1:
        who = _and(groups[0]) if too_large else {2: "Both"}.get(count, f"All {count}")
        said.append(f"{who} run together: {total} of {size(free)} that can be had.")
    elif groups:
        said.append(f"They run one after another: {', then '.join(runs)}. All at once would take {total}, ")
        said[-1] += f"and {size(free)} can be had."
    if too_large:
        verb = "does" if len(too_large) == 1 else "do"
        said.append(f"{_and(too_large)} {verb} not fit: {size(free)} can be had.")
    return " ".join(said)


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def table(comparison: Comparison) -> str:
    """A row a variant with all figures, and the files to take away: JSON, CSV and Markdown."""
    if not comparison.columns:
        return ""
    head = "".join(f'<th scope="col" title="{escape(c.meaning)}">{escape(c.heading)}</th>' for c in COLUMNS)
    names = labels(comparison.columns)
    pairs = zip(comparison.columns, names, strict=True)
    body = "".join(_row(column, name, column is comparison.reference_column) for column, name in pairs)
    meanings = "".join(f"<dt>{escape(c.heading)}</dt><dd>{escape(c.meaning)}</dd>" for c in COLUMNS)
    files = {"json": to_json, "csv": to_csv, "markdown": to_markdown}
    data = " ".join(f'data-{form}="{_kept(write(comparison))}"' for form, write in files.items())
    return (
        f'<div class="measured-rows compared-rows" {data}><div class="wide" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<details class="quiet"><summary>What the columns mean</summary><dl class="facts">{meanings}</dl></details>'
        "</div>"
    )


def _row(column: Compared, label: str, reference: bool) -> str:
    full = escape(column.resolved or column.variant)
    name = f'<th scope="row" title="{full}">{escape(label)}{" (reference)" if reference else ""}</th>'
    if column.error:
        return f'<tr class="failed">{name}<td colspan="{len(COLUMNS) - 1}"><p>{escape(column.error)}</p></td></tr>'
    cells = "".join(f'<td title="{escape(c.meaning)}">{escape(c.text(column)) or "–"}</td>' for c in COLUMNS[1:])
    return f"<tr>{name}{cells}</tr>"


def _kept(text: str) -> str:
    """An attribute that a parser leaves as it is, carriage returns included."""
    return escape(text).replace("\r", "&#13;").replace("\n", "&#10;")


def charts(columns: Sequence[Compared], reference: str = "") -> str:
    """Speed, memory, and quality against memory; empty until two columns can be compared."""
    named = [(name, column) for name, column in zip(labels(columns), columns, strict=True) if not column.error]
    if len(named) < 2:
        return ""
    return side_by_side(_quality(named, reference), _speeds(named), _memory(named))


_Named = Sequence[tuple[str, Compared]]


def _speeds(columns: _Named) -> str:
    lines = [
        Bar(name, speed, f"{speed:.1f} tok/s", f"{column.resolved or column.variant}: {speed:.1f} tokens a second")
        for name, column in columns
        if (speed := column.known.decode_tokens_per_s or 0)
    ]
    return bars(lines, "Decode speed; longer is better", "tokens a second after the first")


def _memory(columns: _Named) -> str:
    lines = []
    for name, column in columns:
        row = column.known
        measured, predicted = row.measured_bytes or 0, row.predicted_bytes
        words = [f"{size(measured)} measured"] if measured else []
        words += [f"{size(predicted)} predicted"] if predicted else []
        if words:
            title = f"{column.resolved or column.variant}: weights {', '.join(words)}"
            text = size(measured) if measured else words[0]
            lines.append(Bar(name, memory_of(row), text, title, predicted if measured else None))
    return bars(
        lines,
        "Memory of the weights; shorter is better, the mark is what was predicted",
        "bytes of the weights as loaded, and as planned before the load",
    )


def _quality(columns: _Named, reference: str) -> str:
    """By perplexity where it can be compared, else by bits per byte."""
    unit = quality_unit([column for _, column in columns])
    places = []
    for name, column in columns:
        row, quality = column.known, quality_of(column, unit)
        if quality and memory_of(row):
            title = f"{column.resolved or column.variant}: {unit} {quality:.3f}, {size(memory_of(row))}"
            is_reference = bool(reference) and reference in (column.variant, column.resolved)
            places.append(Point(name, memory_of(row), quality, title, is_reference))
    if len(places) < 2:
        return ""
    caption = f"{unit.capitalize()} against memory; lower left is better"
    return points(places, caption, "lower: the text is predicted better; further left: the weights take less")
