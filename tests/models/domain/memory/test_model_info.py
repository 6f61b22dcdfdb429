"""Which modes of a model stand side by side when nobody named any."""

import pytest

from models.domain.memory.model_info import Offer, fitting

ALL = ["fp32", "bf16", "int8", "nf4", "nf4-single", "fp4", "gguf"]


@pytest.mark.parametrize(
    ("names", "most", "found"),
    [
        (ALL, 16, ALL),
        (ALL, 6, ["fp32", "bf16", "int8", "nf4", "gguf"]),
        (ALL, 3, ["fp32", "bf16", "int8"]),
        (["nf4"], 6, ["nf4"]),
        (["gptq", "awq", "gguf"], 2, ["gptq", "awq"]),
        ([], 6, []),
    ],
)
def test_all_quantizations_that_fit_or_those_that_people_choose_between(names, most, found):
    plans = {name: Offer(1, 1, True) for name in names} | {"int4": Offer(1, 1, False)}
    assert fitting(plans, most) == found
