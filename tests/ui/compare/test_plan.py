"""What the listed variants will take of memory, and which of them run together."""

import pytest

from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare.plan import plan_lines


def plan(variant, needed):
    return {"variant": variant, "needed": needed, "weights": needed // 2, "bytes": {"adapters": 10**8}}


@pytest.mark.parametrize(
    ("needed", "sentence"),
    [
        ([1, 2], "Both run together: 3.0 GB of 5.0 GB available."),
        ([1, 1, 1], "All 3 run together: 3.0 GB of 5.0 GB available."),
        ([1, 2, 9], "q0 and q1 run together: 3.0 GB of 5.0 GB available. q2 does not fit: 5.0 GB is available."),
        ([3, 3], "They run one after another: q0, then q1. All at once would take 6.0 GB, and 5.0 GB is available."),
        (
            [2, 3, 1],
            "They run one after another: q0 and q1 together, then q2. All at once would take 6.0 GB, ",
        ),
        ([2, 9], "q0 fits: 2.0 GB of 5.0 GB available. q1 does not fit: 5.0 GB is available."),
        ([8, 9], "q0 and q1 do not fit: 5.0 GB is available."),
    ],
)
def test_the_plan_says_which_run_together(needed, sentence):
    plans = [plan(f"m@q{place}", count * 10**9) for place, count in enumerate(needed)]
    markup = Markup(plan_lines(plans, 5 * 10**9))
    assert markup.text.startswith(sentence)
    assert ("does not fit" in markup.text) == (max(needed) > 5)
    assert len([style for style in markup.values("style") if style.startswith("width")]) == len(plans)


def test_variants_of_one_base_share_its_memory():
    plans = [plan("m@q+a", 3 * 10**9), plan("m@q", 2 * 10**9), plan("m@q+b", 3 * 10**9)]
    markup = Markup(plan_lines(plans, 5 * 10**9))
    assert markup.text.startswith("All 3 run together: 3.2 GB of 5.0 GB available.")
    other = Markup(plan_lines([*plans, plan("m@r", 4 * 10**9)], 5 * 10**9))
    assert other.text.startswith("They run one after another: q+a, q and q+b together, then r. All at once would take")


def test_adapters_that_do_not_fit_together_run_one_after_another():
    plans = [plan("m@q+a", 3 * 10**9), plan("m@q+b", 3 * 10**9), plan("m@q+c", 4 * 10**9)]
    text = Markup(plan_lines(plans, 3_050_000_000)).text
    assert text.startswith("They run one after another: q+a, then q+b. All at once would take 3.1 GB, and 3.0 GB is")
    assert "q+c does not fit: 3.0 GB is available." in text


def test_no_plan_and_no_memory():
    assert plan_lines([], 1) == ""
    assert "do not fit: 0 B is available" in plan_lines([plan("a@x", 1), plan("b@y", 1)], -5)


def test_a_plan_is_no_markup():
    assert is_harmless(plan_lines([plan(EVIL, 5), plan("m", 9)], 6))
