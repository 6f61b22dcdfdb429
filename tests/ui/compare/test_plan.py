"""What the listed variants will take of memory, and which of them fit together, in a sentence."""

import pytest

from ui.compare.plan import together


def plan(variant, needed, limit=5 * 10**9):
    return {"variant": variant, "needed": needed, "bytes": {"adapters": 10**8}, "limit": limit}


def said(plans):
    return together([p["variant"].removeprefix("m@") for p in plans], plans)


@pytest.mark.parametrize(
    ("needed", "sentence"),
    [
        ([1, 2], "All 2 fit together: 3.0 GB of 5.0 GB available."),
        ([1, 2, 9], "2 of 3 fit together: 3.0 GB of 5.0 GB available. q2 does not fit: 5.0 GB is available."),
        ([3, 3], "Loaded in turn: q0, then q1. All at once would take 6.0 GB, and 5.0 GB is available."),
        ([2, 3, 1], "Loaded in turn: q0 and q1 together, then q2. All at once would take 6.0 GB, "),
        ([2, 9], "q0 fits: 2.0 GB of 5.0 GB available. q1 does not fit: 5.0 GB is available."),
        ([8, 9], "q0 and q1 do not fit: 5.0 GB is available."),
    ],
)
def test_the_plan_says_which_fit_together(needed, sentence):
    assert said([plan(f"m@q{place}", count * 10**9) for place, count in enumerate(needed)]).startswith(sentence)


def test_variants_of_one_base_share_its_memory():
    plans = [plan("m@q+a", 3 * 10**9), plan("m@q", 2 * 10**9), plan("m@q+b", 3 * 10**9)]
    assert said(plans) == "All 3 fit together: 3.2 GB of 5.0 GB available."
    other = said([*plans, plan("m@r", 4 * 10**9)])
    assert other.startswith("Loaded in turn: q+a, q and q+b together, then r. All at once would take")


def test_adapters_that_do_not_fit_together_come_in_turn():
    plans = [plan(f"m@q+{name}", needed * 10**9, 3_050_000_000) for name, needed in (("a", 3), ("b", 3), ("c", 4))]
    text = said(plans)
    assert text.startswith("Loaded in turn: q+a, then q+b. All at once would take 3.1 GB, and 3.0 GB is")
    assert "q+c does not fit: 3.0 GB is available." in text


def test_no_plan_and_no_memory():
    assert said([]) == ""
    assert "do not fit: 0 B is available" in said([plan("a@x", 1, -5), plan("b@y", 1, -5)])
