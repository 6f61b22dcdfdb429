"""The panel with snippets for other pages, and the line below an embedded page. All of it is filled by `embed.js`."""

from __future__ import annotations

from html import escape

from ..shared.text import both

KINDS = {"1": "embed_chat", "answer": "embed_answer", "compare": "embed_compare"}


def draw_share(can_lock: bool = False, beside: str = "", hub_page: str = "") -> str:
    """The buttons that are shown once there is a link, others `beside` them, and the dialog that the first opens.

    The dialog has a switch where the server signs links. On a Space a button copies the link to its page on the Hub,
    where visitors are signed in.
    """
    radio = '<label><input type="radio" name="share-kind" value="{}"{}> {}</label>'
    kinds = "".join(radio.format(kind, " checked" * (kind == "1"), both(words)) for kind, words in KINDS.items())
    on_hub = f'<button type="button" id="copy-hub" class="small-button" data-page="{escape(hub_page)}">'
    return (
        '<button type="button" id="link-file" class="small-button" hidden>'
        f"{both('link_file')}</button>{on_hub + both('link_hub') + '</button>' if hub_page else ''}"
        f'<button type="button" id="open-share" class="small-button">{both("embed")}</button>{beside}'
        '<dialog id="share" class="dialog" aria-labelledby="share-title">'
        f'<header><h2 id="share-title">{both("embed_title")}</h2>{_button("close", "close")}</header>'
        f'<p class="quiet">{both("embed_lead")}</p><div class="kinds">{kinds}</div>'
        f"{_LOCK if can_lock else ''}"
        f'<label>{both("embed_iframe")}<textarea readonly rows="3" data-of="iframe"></textarea></label>'
        f"{_button('copy-iframe', 'copy')}"
        f'<label>{both("embed_component")}<textarea readonly rows="3" data-of="component"></textarea></label>'
        f"{_button('copy-component', 'copy')}"
        f'<label>{both("embed_link")}<textarea readonly rows="2" data-of="link"></textarea></label>'
        f"{_button('copy-link', 'copy')}"
        f'<p>{both("embed_preview")}</p><div class="preview"></div></dialog>'
    )


def draw_footer(hub_page: str, has_whole_page: bool) -> str:
    """What stands below an embedded page: the variant, and a way to the whole page, on the Hub where it is a Space."""
    whole = f'<a target="_blank" rel="noopener">{both("embed_open")}</a>' if has_whole_page else "<a hidden></a>"
    return (
        f'<div id="embed-footer" data-page="{escape(hub_page)}"><b></b>'
        f'<span class="locked">{both("embed_fixed")}</span>{whole}</div>'
    )


_LOCK = (
    f'<div class="lock"><label><input type="checkbox" data-of="lock"> {both("embed_lock")}</label>'
    f'<form hidden><label>{both("embed_key")} <input type="password" autocomplete="off" data-of="key"></label>'
    f'<button class="small-button">{both("embed_sign")}</button></form><p class="quiet" role="status"></p></div>'
)


def _button(action: str, words: str) -> str:
    return f'<button type="button" class="small-button" data-do="{action}">{both(words)}</button>'
