"""A box that searches a list: what was typed alone picks nothing, and leaving the box changes nothing.

Gradio's Dropdown takes what was typed as a value of its own once it is left, and its options are one line of text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

SEARCH = "window.paddock.drivePicker(element, trigger);"  # goes to `js_on_load` of its gr.HTML; see combobox.js


@dataclass(frozen=True)
class Option:
    """One line of the list: its title, what stands at its right, and what is known of it, small below."""

    value: str
    title: str
    aside: str = ""
    detail: str = ""
    hover: str = ""
    group: str = ""  # a heading stands before the first of each
    fits: bool = True
    facets: Mapping[str, str] = field(default_factory=dict)  # what filters look at, by their names


@dataclass(frozen=True)
class Filter:
    """Shows some of the options only: those with the chosen one of `choices`, or a switch for those with `YES`."""

    name: str
    label: str
    choices: Mapping[str, str] = field(default_factory=dict)  # value -> words


YES = "yes"


@dataclass(frozen=True)
class Free:
    """What may be typed that is not in the list: a pattern, its group the value, and the line, with {} for it."""

    pattern: str
    line: str


def combobox(
    name: str,
    label: str,
    options: Sequence[Option],
    value: str,
    free: Free | None = None,
    filters: Sequence[Filter] = (),
    empty: str = "",
) -> str:
    """The box with its list, closed; `name` makes its ids, and `value` that is no option stands there as it is.

    `empty` stands in the list where the filters leave nothing.
    """
    shown = next((option.title for option in options if option.value == value), value)
    lines, group = "", ""
    for place, option in enumerate(options):
        if option.group != group:
            group = option.group
            lines += f'<li role="presentation" class="group">{escape(group)}</li>'
        lines += _line(f"{name}-{place}", option, option.value == value)
    typed = ""
    if free is not None:
        typed = f' data-free="{escape(free.pattern)}" data-free-line="{escape(free.line)}"'
        lines += f'<li role="option" id="{name}-free" class="free" aria-selected="false" hidden></li>'
    if filters:
        lines += f'<li role="presentation" class="empty" hidden>{escape(empty)}</li>'
    return (
        f'<div class="combobox" data-picked="{escape(value)}"{typed}><label for="{name}-box">{escape(label)}</label>'
        f'<input id="{name}-box" type="text" role="combobox" aria-expanded="false" aria-autocomplete="list" '
        f'aria-controls="{name}-list" autocomplete="off" spellcheck="false" value="{escape(shown)}" '
        f'data-shown="{escape(shown)}"><div class="popup" hidden>{_filters(filters)}<ul id="{name}-list" '
        f'role="listbox" tabindex="-1" aria-label="{escape(label)}">{lines}</ul></div></div>'
    )


def _filters(filters: Sequence[Filter]) -> str:
    """Lists to choose from, switches, and how many options are left."""
    if not filters:
        return ""
    drawn = ""
    for each in filters:
        name, label = escape(each.name), escape(each.label)
        choices = "".join(
            f'<option value="{escape(key)}">{escape(words)}</option>' for key, words in each.choices.items()
        )
        drawn += (
            f'<select data-filter="{name}" aria-label="{label}"><option value="">{label}</option>{choices}</select>'
            if choices
            else f'<button type="button" data-filter="{name}" aria-pressed="false">{label}</button>'
        )
    return f'<div class="filters">{drawn}<output></output></div>'


def _line(identity: str, option: Option, selected: bool) -> str:
    aside = f'<span class="aside">{escape(option.aside)}</span>' if option.aside else ""
    detail = f"<small>{escape(option.detail)}</small>" if option.detail else ""
    kind = "" if option.fits else ' class="too-large"'
    kind += "".join(f' data-{escape(name)}="{escape(value)}"' for name, value in option.facets.items())
    return (
        f'<li role="option" id="{identity}" data-value="{escape(option.value)}" title="{escape(option.hover)}" '
        f'aria-selected="{"true" if selected else "false"}"{kind}>'
        f"<span>{escape(option.title)}</span>{aside}{detail}</li>"
    )
