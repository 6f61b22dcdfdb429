"""What a page may post for each of its components, and a sentence for whatever goes wrong with something else."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.components.api_component import Api
from gradio.utils import get_function_params

from models.domain.errors import BadPost, InvalidText, PaddockError

from ..shared.language import error_sentences

LARGEST = 1e15
_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST < value < LARGEST  # which NaN is not


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_choice(value: Any) -> bool:
    return _is_text(value) or _is_number(value) or _is_choices(value)


def _is_choices(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(one) or _is_number(one) for one in value)


# By the kind of a component, what it may hold beside nothing; of others, whoever reads them trusts nothing.
KINDS: tuple[tuple[type[Component], Callable[[Any], bool]], ...] = (
    (gr.Textbox, _is_text),
    (gr.Slider, _is_number),
    (gr.Number, _is_number),
    (gr.Checkbox, _is_bool),
    (gr.CheckboxGroup, _is_choices),
    (gr.Radio, _is_choice),
    (gr.Dropdown, _is_choice),
)


def filled(block_fn: Any, posted: Sequence[Any]) -> list[Any]:
    """What a program posted to an endpoint of `gr.api`, with the defaults of what it left out at the end."""
    values = list(posted)
    if block_fn.inputs and all(isinstance(component, Api) for component in block_fn.inputs):
        for _, has_default, default, _ in get_function_params(block_fn.fn)[len(values) :]:
            if not has_default:
                break
            values.append(deepcopy(default))
    return values


def check(components: Sequence[Any], posted: Sequence[Any]) -> None:
    """Raises BadPost, InvalidText for what is not what these components hold; those of `gr.api` have own sentences."""
    if len(posted) < len(components):
        raise BadPost(reason=f"it has {len(posted)} values, and {len(components)} are needed")
    for component, value in zip(components, posted, strict=False):
        may_hold = next((may for kind, may in KINDS if isinstance(component, kind)), None)
        if may_hold and value is not None and not may_hold(value):
            raise BadPost(reason="a value does not belong where it stands")
        if not isinstance(component, Api) and _has_surrogate(value):
            raise InvalidText


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_SURROGATE.search(value))
    if isinstance(value, dict):
        return any(_has_surrogate(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(map(_has_surrogate, value))


def answer_in_sentences(app: gr.Blocks) -> None:
    """Let the app check what is posted, and say in a sentence what fails; the log gets where that was."""
    preprocess, call = app.preprocess_data, app.call_function

    async def checked(block_fn: Any, inputs: list[Any], *others: Any, **named: Any) -> Any:
        try:
            values = filled(block_fn, inputs)
            check(block_fn.inputs, values)
            return await preprocess(block_fn, values, *others, **named)
        except PaddockError as error:
            raise said(error) from None
        except Exception:  # of Gradio's components; their messages quote all of what was posted
            raise said(BadPost(reason="a value does not belong where it stands")) from None

    async def called(*given: Any, **named: Any) -> Any:
        try:
            return await call(*given, **named)
        except gr.Error:
            raise
        except PaddockError as error:
            raise said(error) from None
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-8:])
            print(f"{where}{type(error).__name__}: {str(error)[:200]}", file=sys.stderr, flush=True)
            raise said(PaddockError(detail=type(error).__name__)) from None

    app.preprocess_data, app.call_function = checked, called


def said(error: PaddockError) -> gr.Error:
    """The error as Gradio sends it, which leaves nothing in the log."""
    return gr.Error(" ".join(error_sentences(error)), print_exception=False, title=error.code)
