"""Points and bars: labels stay inside of the plot, and a second value has a mark."""

import re

from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.charts import Bar, Point, bars, charts, points


def test_a_label_that_would_leave_the_plot_stands_at_the_left():
    html = points([Point("short", 10, 2.0, ""), Point("fourteen-chars", 100, 3.0, "")], "c", "m")
    assert re.search(r'<span class="left" style="[^"]*" title="">fourteen-chars', html)
    assert re.search(r'<span style="[^"]*" title="">short', html)


def test_names_stand_at_the_points_and_long_ones_keep_their_ends():
    markup = Markup(points([Point("owner/" + "x" * 40 + "@nf4", 10, 2.0, ""), Point("y", 20, 1.0, "")], "c", "m"))
    assert "owner/xxxxxx…xxxxxxxxx@nf4" in markup.text


def test_a_bar_and_its_mark_share_a_scale():
    html = bars([Bar("a", 50, "50", mark=100), Bar("b", 25, "25")], "c", "m")
    assert Markup(html).values("style") == ["width:50.0%", "left:100.0%", "width:25.0%"]
    assert bars([Bar("a", 0, "0")], "c", "m") == ""
    assert bars([], "c", "m") == ""
    assert charts("", "") == ""


def test_charts_are_escaped():
    drawn = points([Point(EVIL, 1, 2.0, EVIL), Point("b", 2, 2.0, EVIL)], EVIL, EVIL)
    assert is_harmless(drawn + bars([Bar(EVIL, 1, EVIL, EVIL, 2)], EVIL, EVIL))
