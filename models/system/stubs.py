"""Gradio imported without the type stubs that it writes, which only editors read."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WRITER = "create_or_modify_pyi"


@contextmanager
def left_out() -> Iterator[None]:
    """Have an import of Gradio leave its stubs as they are: two fifths of its time.

    For each class of a component it parses the class's file and its stub, to compare and write; it leaves out those
    whose file it cannot find (gradio/component_meta.py).
    """
    find = inspect.getfile

    def getfile(object: Any) -> str:
        if sys._getframe(1).f_code.co_name == WRITER:
            raise OSError("not for a stub")
        return find(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = find
