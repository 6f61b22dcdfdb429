"""What the ticks of the Add panel make, and what is said of the server's limit."""

from models.domain.memory.model_info import Offer
from tests.ui.markup import Markup
from ui.compare.add import ALONE, added, combinations, counted, offers


def spelled(made):
    return [str(variant) for variant in made[0]]


def test_a_model_times_quantizations_times_adapters_with_strengths():
    made = combinations("m", ["nf4", "bf16"], [ALONE, "a"], [0.5, 1], ["nf4", "bf16"])
    assert spelled(made) == ["m@nf4", "m@nf4+a:0.5", "m@nf4+a", "m@bf16", "m@bf16+a:0.5", "m@bf16+a"]
    assert spelled(combinations("m", ["nf4"], ["a"], [], ["nf4"])) == ["m@nf4+a"]
    assert spelled(combinations("m", ["nf4"], [], [0.5], [])) == ["m@nf4"]
    assert combinations("m", ["gptq", "nf4"], ["a"], [1], ["nf4"])[1] == ["gptq"]


def test_the_limit_is_said_before_and_after():
    made, left_out = combinations("m", ["a", "b", "c"], [], [], [])
    assert Markup(counted(made, left_out, ["m@a"], 6)).text == "2 to add."
    assert "this server compares at most 2 at once, so the first 1 would be added" in counted(made, [], ["n@a"], 2)
    assert "2 found no room" in added(1, 2, 3)
    assert added(0, 0, 3) == "All of them are listed already."


def test_a_quantization_is_offered_with_what_must_be_free():
    plans = {"nf4": Offer(1, 1, True, 10**9), "bf16": Offer(1, 1, True, 2 * 10**9, True), "fp32": Offer(1, 1, False, 9)}
    assert offers(plans) == [("nf4 · 1.0 GB ✓", "nf4"), ("bf16 · 2.0 GB ~", "bf16"), ("fp32 · 9 B ✗", "fp32")]
