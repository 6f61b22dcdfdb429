"""The figures of a comparison as a table that sorts and carries its files. Pure; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from models.domain.results.comparison import Compared, find
from models.domain.results.figures import FIGURES, OF_COLUMNS, Figure, speed_text
from models.domain.results.measured import Measured
from models.domain.results.suggestion import quality_measure
from models.domain.units import size

from ..shared.language import say
from .render import attribute, colour, fit, labels
from .state import Need, View

OTHERS = tuple(figure for figure in OF_COLUMNS if figure.field != "needed")  # that is planned anew, for any hardware
SPEED = "decode_tokens_per_s"
WITH_REFERENCE = ("divergence", "agreement")  # figures that there are only where variants share a tokenizer


@dataclass(frozen=True)
class Row:
    """A column of a comparison as a line: its short name, its whole spelling, its colour, what it needs."""

    name: str
    spelling: str
    column: Compared
    reference: bool = False
    colour: str = ""
    need: Need | None = None
    mark: str = ""  # leads to a note

    @property
    def known(self) -> Measured:
        """What is measured of it."""
        return self.column.known


@dataclass(frozen=True)
class Heading:
    """One column of the table: what it shows of a row, by which value it sorts, and what it means."""

    key: str
    title: str
    meaning: str
    text: Callable[[Row], str]
    value: Callable[[Row], Any]
    better: str = ""
    basis: Callable[[Row], str] = lambda row: ""  # what a row's value rests on


def rows_of(
    columns: Sequence[Compared], reference: str = "", needs: Sequence[Need | None] = (), names: Sequence[str] = ()
) -> list[Row]:
    """The columns of a comparison, named as shortly as tells them apart, each in its colour."""
    against = find(columns, reference)
    notes = dict.fromkeys(column.figures.note for column in columns if column.figures.note)
    marks = dict(zip(notes, "*†‡§¶", strict=False))
    spelled = [one.resolved or one.variant for one in columns]
    parts = zip(names or labels(columns), spelled, columns, needs or [None] * len(columns), strict=True)
    return [
        Row(name, spelling, one, one is against, colour(place), need, marks.get(one.figures.note, ""))
        for place, (name, spelling, one, need) in enumerate(parts)
    ]


def table(rows: Sequence[Row], view: View, files: Mapping[str, str], hardware: str = "") -> str:
    """A row a variant; few figures, or all of them. `files` are what its buttons download, by form."""
    headings = headings_of(rows, view.all_figures, hardware)
    chosen = next((one for one in headings if one.key == view.sorted_by), None)
    head = "".join(_head(one, view if one is chosen else None) for one in headings)
    best = {one.key: _best(rows, one) for one in headings if one.better}
    body = "".join(_line(row, headings, best) for row in (_sorted(rows, chosen, view.descending) if chosen else rows))
    noted = dict.fromkeys((row.mark, row.known.note) for row in rows if row.mark)
    notes = "".join(f'<p class="quiet">{mark} {escape(say(note))}</p>' for mark, note in noted)
    data = " ".join(f'data-{form}="{attribute(text)}"' for form, text in files.items())
    meanings = "".join(f"<dt>{escape(one.title)}</dt><dd>{escape(one.meaning)}</dd>" for one in headings)
    more = say("Fewer figures") if view.all_figures else say("All figures")
    return (
        f'<div class="measured-rows compared-rows" {data}><div class="wide" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}"
        '<div class="table-foot"><button type="button" class="small-button" data-press="figures">'
        f"{escape(more)}</button>"
        f'<details class="quiet" data-key="meanings"><summary>{escape(say("What the columns mean"))}</summary>'
        f'<dl class="facts">{meanings}</dl></details></div></div>'
    )


def headings_of(rows: Sequence[Row], whole: bool, hardware: str = "") -> list[Heading]:
    """The columns of the table: what people choose by, or everything that is known."""
    place = hardware or say("this machine")
    name = Heading("name", say("variant"), say("what was asked for"), lambda row: row.name, lambda row: row.name)
    needed = Heading(
        "needed",
        say("must be free"),
        say("the memory that must be free for it, by the plan for {hardware}", hardware=place),
        lambda row: size(needed) if (needed := _needed(row)) else "–",
        _needed,
        "lower",
    )
    fits = Heading(
        "fits",
        say("fits"),
        say("whether {hardware} has that much; tight: less than a tenth is left", hardware=place),
        lambda row: fit(row.need),
        lambda row: (row.need.fits, not row.need.tight) if row.need else None,
    )
    engines = {row.column.usage.engine for row in rows if row.column.usage}
    engine = ("engine",) if len(engines) > 1 else ()
    against = WITH_REFERENCE[:1] if engine else WITH_REFERENCE  # so that all of it is seen on 1280 pixels
    fields = (SPEED, "ttft_s", quality_measure([row.column for row in rows]), *against, "right", *engine)
    few = [figure for field in fields for figure in FIGURES if figure.field == field]
    few = [one for one in few if one.field not in WITH_REFERENCE or any(one.text(row.column) for row in rows)]
    reference = next((row.name for row in rows if row.reference), "")
    return [name, needed, fits, *(_heading(one, reference, short=not whole) for one in (OTHERS if whole else few))]


def _needed(row: Row) -> int | None:
    """By the plan of now, or of the run where nothing can be planned any more."""
    return row.need.bytes if row.need else row.column.needed


def _heading(figure: Figure, reference: str, short: bool = False) -> Heading:
    meaning = say(figure.explained)
    if reference and figure.field in WITH_REFERENCE:
        meaning += say("; the reference is {variant}", variant=reference)
    return Heading(
        figure.field,
        say(figure.heading),
        meaning,
        lambda row: (short_text if short else long_text)(figure, row.column),
        lambda row: figure.value(row.column),
        figure.better,
        lambda row: basis(figure, row.column),
    )


def long_text(figure: Figure, column: Compared) -> str:
    """The figure with all that belongs to it."""
    return say(figure.text(column)) or "–"


def short_text(figure: Figure, column: Compared) -> str:
    """The figure alone: a speed without its range."""
    if figure.field != SPEED:
        return long_text(figure, column)
    known = column.known
    return say(speed_text(known.decode_tokens_per_s or 0, known.timed_tokens)) or "–"


def basis(figure: Figure, column: Compared) -> str:
    """What the figure of a column rests on, with its range, as the end of what it means."""
    rests = figure.rests_on(column)
    return f"; {say(figure.text(column))}, {say(rests)}" if rests else ""


def _head(heading: Heading, view: View | None) -> str:
    order = ("descending" if view.descending else "ascending") if view else "none"
    arrow = ("▼" if view.descending else "▲") if view else ""
    return (
        f'<th scope="col" aria-sort="{order}"><button type="button" data-press="sort-{heading.key}" '
        f'title="{escape(heading.meaning)}">{escape(heading.title)}<i aria-hidden="true">{arrow}</i></button></th>'
    )


def _sorted(rows: Sequence[Row], heading: Heading, descending: bool) -> list[Row]:
    """Rows without a value come last, whichever way."""
    having = [row for row in rows if not row.column.error and heading.value(row) not in (None, "", 0)]
    rest = [row for row in rows if row not in having]
    return [*sorted(having, key=heading.value, reverse=descending), *rest]


def best_first(key: str) -> bool:
    """Whether the first press on a heading sorts from the highest down."""
    return key == "fits" or any(figure.field == key and figure.better == "higher" for figure in FIGURES)


def _best(rows: Sequence[Row], heading: Heading) -> str:
    """The text of the best value; empty where there are not two that differ, or one is a lower bound."""
    own = heading.key in WITH_REFERENCE  # the reference agrees with itself
    having = [row for row in rows if not row.column.error and heading.value(row) and not (own and row.reference)]
    if heading.key == "divergence" and any(row.known.divergence_at_least for row in having):
        return ""
    if len({heading.text(row) for row in having}) < 2:
        return ""
    pick = max if heading.better == "higher" else min
    return heading.text(pick(having, key=heading.value))


def _line(row: Row, headings: Sequence[Heading], best: Mapping[str, str]) -> str:
    mark = f" <small>{escape(say('reference'))}</small>" if row.reference else ""
    swatch = f'<i class="swatch {row.colour}"></i>' if row.colour else ""
    title = f' title="{escape(row.spelling)}"' if row.spelling else ""
    name = f'<th scope="row"{title}>{swatch}{escape(row.name)}{escape(row.mark)}{mark}</th>'
    if row.column.error:
        text = escape(say(row.column.error))
        return f'<tr class="failed">{name}<td colspan="{len(headings) - 1}"><p>{text}</p></td></tr>'
    return f"<tr>{name}{''.join(_cell(row, one, best.get(one.key, '')) for one in headings[1:])}</tr>"


def _cell(row: Row, heading: Heading, best: str) -> str:
    text = heading.text(row)
    drawn = f"<b>{escape(text)}</b>" if best and text == best else escape(text)
    kind = ' class="no-fit"' if heading.key == "fits" and row.need and not row.need.fits else ""
    return f'<td title="{escape(heading.meaning + heading.basis(row))}"{kind}>{drawn}</td>'


def footer(column: Compared, beside: Sequence[Compared] = ()) -> str:
    """All figures under an answer, each with what it means, in the places that those of its neighbours have."""
    lines = "".join(
        f'<div title="{escape(say(figure.explained) + basis(figure, column))}"><dt>{escape(say(figure.heading))}</dt>'
        f"<dd>{escape(long_text(figure, column))}</dd></div>"
        for figure in OF_COLUMNS
        if figure.under_answer and any(map(figure.text, (column, *beside)))
    )
    notes = "".join(
        f'<p class="quiet">{escape(say(text))}</p>' for text in (column.known.error, column.known.note) if text
    )
    return (f'<dl class="compare-figures">{lines}</dl>' if lines else "") + notes
