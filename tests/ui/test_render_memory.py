"""The list of what is in memory."""

import time
from types import SimpleNamespace

from ui import render_memory

from .markup import EVIL, Markup, is_harmless


def line(name, engine="llama.cpp", users=0, ago=0):
    return SimpleNamespace(
        name=name, engine=engine, bytes=5e8, predicted_bytes=4e8, load_s=1.0, users=users, last_used=time.time() - ago
    )


def test_nothing_says_what_loads_it():
    assert "the first answer loads it" in render_memory.held([])


def test_each_line_has_its_figures_and_a_button():
    markup = Markup(render_memory.held([line("a", users=1), line("b", ago=5), line("c", ago=180)]))
    figures = "llama.cpp · 500 MB measured, 400 MB predicted · "
    assert markup.text == f"a{figures}in useEjectb{figures}just nowEjectc{figures}3 min agoEject"
    assert markup.values("data-press") == ["a", "b", "c"]
    assert markup.values("aria-label") == ["Eject a", "Eject b", "Eject c"]


def test_what_loads_has_no_figures_yet():
    text = Markup(render_memory.held([line("a", engine="", users=1)])).text
    assert text == "aloading · 400 MB predictedEject"


def test_names_are_escaped():
    html = render_memory.held([line(EVIL)])
    assert is_harmless(html)
    assert EVIL in Markup(html).text
    assert Markup(html).values("data-press") == [EVIL]
