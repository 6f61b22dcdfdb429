"""The conversations that a visitor's browser keeps: a list to search, open, name, delete, export and import.

All of it happens in the browser (`history.js`); the server only draws the words, and a conversation that is opened.
"""

from __future__ import annotations

from ..shared.text import both

_SAID = ("deleted", "imported", "not_imported", "no_file", "full", "nothing_private")


def draw_history() -> str:
    """The button, the dialog that it opens, and what `history.js` fills and says."""
    return (
        f'<button type="button" id="open-history" class="small-button">{both("history")}</button>'
        f'<p id="storage-full" class="status error" role="alert" hidden>{both("history_full")}</p>'
        '<dialog id="history" class="dialog" aria-labelledby="history-title">'
        f'<header><h2 id="history-title">{both("history")}</h2>{_button("close", "close")}</header>'
        f'<p class="quiet">{both("history_lead")}</p>'
        f'<div class="history-bar"><label><span>{both("history_search")}</span><input type="search"></label>'
        f"{_button('new', 'history_new')}</div>"
        f'<ul></ul><p class="quiet empty" hidden>{both("history_none")}</p>'
        f'<div class="history-bar">{_button("export", "history_export")}'
        f'<label class="small-button">{both("history_import")}'
        '<input type="file" accept=".json,.md" multiple hidden></label>'
        f'<label class="private"><input type="checkbox"> <span>{both("history_private")}</span></label></div>'
        '<p class="said" role="status"></p>'
        f"<template>{_row()}{''.join(_said(name) for name in _SAID)}</template></dialog>"
    )


def _row() -> str:
    files = "".join(
        f'<button type="button" class="small-button" data-do="{action}">{name}</button>'
        for action, name in (("markdown_one", "Markdown"), ("json_one", "JSON"))
    )
    actions = f"{_button('rename', 'history_rename')}{files}{_button('delete', 'history_delete')}"
    return (
        '<li><button type="button" class="name" data-do="open"><b></b><span class="quiet"></span></button>'
        f'<div class="actions">{actions}</div></li>'
    )


def _button(action: str, words: str) -> str:
    return f'<button type="button" class="small-button" data-do="{action}">{both(words)}</button>'


def _said(name: str) -> str:
    undo = _button("undo", "undo") if name == "deleted" else ""
    return f'<span data-said="{name}">{both(f"history_{name}")} {undo}</span>'
