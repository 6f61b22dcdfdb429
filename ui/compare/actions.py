"""What a press at a column or at the table makes of what is shown: one pure step."""

from __future__ import annotations

from dataclasses import replace

from models.domain.errors import BadComparison
from models.domain.results import edits
from models.domain.results.comparison import Mark
from models.domain.results.suggestion import suggest
from models.domain.variant import Variant

from ..shared.url import PageState
from .state import Shown, View, changed, ended, markable, with_needs
from .table import best_first

MARKS: dict[str, Mark] = {"right": "right", "wrong": "wrong"}


def after(shown: Shown, press: str) -> Shown:
    """What is shown after `press`, which names what is done and where it stands; raises BadComparison."""
    name, _, rest = press.partition("-")
    if name in ("raw", "markdown", "figures", "sort"):
        return replace(shown, view=_view(shown.view, name, rest))
    if name == "undo" and shown.before is not None:
        return shown.before
    if name in MARKS:
        at, _, turn = rest.partition("-")
        return mark(shown, place_at(shown, at), _number(turn), MARKS[name])
    if name == "remove":
        return remove(shown, place_at(shown, rest))
    raise BadComparison(reason="there is no such button")


def mark(shown: Shown, place: int, turn: int, said: Mark) -> Shown:
    """With an answer marked, or no longer; raises BadComparison."""
    if shown.comparison is None:
        columns, answers = list(shown.columns), len(markable(shown, place))
        columns[place] = replace(columns[place], known=edits.marked(columns[place].known, turn, said, answers))
        return replace(shown, columns=tuple(columns))
    return replace(changed(shown, edits.mark(shown.comparison, place, turn, said)), before=None)


def remove(shown: Shown, place: int) -> Shown:
    """Without a column, which an undo brings back; raises BadComparison."""
    if shown.comparison is None or shown.blind:
        raise BadComparison(reason="it has not ended")
    rest = edits.remove(shown.comparison, place)
    needs = [column.need for at, column in enumerate(shown.columns) if at != place]
    order = tuple(at - (at > place) for at in shown.order if at != place)
    voted = shown.voted
    if voted is not None and voted >= place:
        voted = -1 if voted == place else voted - 1
    left = ended(replace(shown, order=order, voted=voted), rest, shown.stopped)
    return replace(with_needs(left, needs), before=replace(shown, before=None))


def place_at(shown: Shown, at: str) -> int:
    """The place of the column that stands there; raises BadComparison."""
    number = _number(at)
    if not number < len(shown.places):
        raise BadComparison(reason="there is no such column")
    return shown.places[number]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5):
        raise BadComparison(reason="there is no such column")
    return int(text)


def _view(view: View, name: str, field: str) -> View:
    if name == "figures":
        return replace(view, all_figures=not view.all_figures)
    if name != "sort":
        return replace(view, raw=name == "raw")
    if view.sorted_by == field:
        return replace(view, descending=not view.descending)
    return replace(view, sorted_by=field[:40], descending=best_first(field))


def best(shown: Shown, distance: float) -> PageState | None:
    """The variant that is suggested, asked what was asked last; None where there is none yet."""
    comparison = shown.comparison
    found = comparison and suggest(comparison.columns, comparison.reference, distance)
    if not comparison or not found or not found.variant:
        return None
    last = comparison.questions[-1] if comparison.questions else ""
    return PageState(Variant.parse(found.variant), comparison.sampling, comparison.system, last)
