"""What is said of adapters."""

from models.domain.variant import Variant
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.picker import render_adapters

LISTED = [{"key": "pirate", "title": "Pirate", "summary": "talks like one"}, {"key": "x", "title": "X", "summary": ""}]


def test_notes_say_what_the_picked_ones_do_and_what_is_wrong():
    html = render_adapters.notes(Variant.parse("m+x+pirate:0.5"), LISTED, ["x: it names no base."])
    assert Markup(html).text == "Pirate talks like onex: it names no base."
    assert render_adapters.notes(Variant.parse("m"), LISTED, []) == ""


def test_what_comes_from_outside_is_escaped():
    listed = [{"key": "a", "title": EVIL, "summary": EVIL}]
    html = render_adapters.notes(Variant.parse("m+a"), listed, [EVIL]) + render_adapters.searched([], EVIL)
    assert is_harmless(html)
    assert Markup(html).text.count(EVIL) == 4


def test_names_are_short():
    assert render_adapters.short("upload-abcdefghijklmnop") == "your upload …mnop"
    assert render_adapters.short("owner/name") == "owner/name"
    assert render_adapters.found({"hub_id": "o/n", "downloads": 1234}) == "o/n · 1,234 downloads"
    assert render_adapters.found({"hub_id": "o/n", "downloads": 51234}) == "o/n · 51k downloads"
    assert "2 adapters registered for m" in render_adapters.searched([{}, {}], "m")
