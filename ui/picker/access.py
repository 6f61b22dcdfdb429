"""The sidebar's way to gated models: signing in, a token for the visit, and what keeps a visitor from a model."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from models.domain.settings import SignIn

from ..shared.text import t


@dataclass(frozen=True)
class Access:
    """A box for a token, a button that asks the Hub whether the picked model may be read, and what it said."""

    token: gr.Textbox
    check: gr.Button
    said: gr.HTML


def draw_access(sign_in: SignIn) -> Access:
    """Draw them folded; the token's box is shown only where visitors sign in by token.

    A browser keeps what is typed there until the page is left; nothing else does.
    """
    with gr.Accordion(t("access"), open=False, visible=sign_in != "off", elem_id="access"):
        token = gr.Textbox(
            label=t("own_token"),
            info=t("own_token_info"),
            type="password",
            visible=sign_in == "token",
            max_lines=1,
            max_length=200,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
            elem_id="own-token",
        )
        check = gr.Button(t("check_access"), size="sm", elem_id="check-access")
        said = gr.HTML(elem_id="access-said", elem_classes="flush")
    return Access(token, check, said)
