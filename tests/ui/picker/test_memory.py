"""The list of what is in memory."""

import time

from models.compute.pool import LoadedModel
from models.domain.engine import Attached
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.picker.memory import in_memory


def line(name, engine="llama.cpp", users=0, ago=0, attached=()):
    last_used = time.time() - ago
    return LoadedModel(name, engine, 500_000_000, 400_000_000, 600_000_000, 1.0, last_used, users, tuple(attached))


def test_nothing_says_what_loads_it():
    assert "the first answer loads it" in in_memory([])


def test_each_line_has_its_figures_and_a_button():
    markup = Markup(in_memory([line("a", users=1), line("b", ago=5), line("c", ago=180)]))
    figures = "llama.cpp · 500 MB measured, 400 MB predicted · "
    assert markup.text == f"a{figures}in useEjectb{figures}just nowEjectc{figures}3 min agoEject"
    assert markup.values("data-press") == ["a", "b", "c"]
    assert markup.values("aria-label") == ["Eject a", "Eject b", "Eject c"]


def test_what_loads_has_no_figures_yet():
    text = Markup(in_memory([line("a", engine="", users=1)])).text
    assert text == "aloading · 400 MB predictedEject"


def test_names_are_escaped():
    html = in_memory([line(EVIL)])
    assert is_harmless(html)
    assert EVIL in Markup(html).text
    assert Markup(html).values("data-press") == [EVIL]


def test_adapters_are_counted_and_not_named():
    """Somebody else's upload has a name that only they shall know."""
    text = Markup(in_memory([line("a", attached=[Attached("upload-secret", 4_000_000)] * 2)])).text
    assert "2 adapters, 8.0 MB" in text or "2 adapters, 8 MB" in text
    assert "secret" not in text
    assert "1 adapter, 4" in Markup(in_memory([line("a", attached=[Attached("x", 4_000_000)])])).text
