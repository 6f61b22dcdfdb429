"""Which modes of a model stand side by side when nobody named any."""

import pytest

from models.domain.memory.model_info import Offer, by_exactness, each_file_once, fitting

ALL = ["fp32", "bf16", "int8", "gguf", "nf4-single", "nf4", "fp4"]  # the most exact first


@pytest.mark.parametrize(
    ("names", "most", "found"),
    [
        (ALL, 16, ALL),
        (ALL[::-1], 6, ["fp32", "bf16", "int8", "gguf", "nf4"]),
        (ALL, 3, ["fp32", "bf16", "int8"]),
        ([*ALL, "gguf-q8_0", "gguf-q2_k"], 6, ["fp32", "bf16", "gguf-q8_0", "int8", "gguf", "nf4"]),
        (["nf4"], 6, ["nf4"]),
        (["gptq", "awq", "gguf"], 2, ["gguf", "gptq"]),
        ([], 6, []),
    ],
)
def test_all_quantizations_that_fit_or_those_that_people_choose_between(names, most, found):
    plans = {name: Offer(1, 1, True) for name in names} | {"int4": Offer(1, 1, False)}
    assert fitting(plans, most) == found


def test_the_most_exact_keeps_the_most_bits_of_a_weight():
    """Whatever all of it takes: dynamic-int8 keeps the rest in 32 bits and is larger than bf16."""
    sizes = {"dynamic-int8": 20, "bf16": 16, "nf4": 5, "gguf": 5, "gguf-q8_0": 9, "gguf-q5_k_m/kv8": 7}
    plans = {name: Offer(weights, weights, True) for name, weights in sizes.items()}
    assert by_exactness(plans) == ["bf16", "gguf-q8_0", "dynamic-int8", "gguf-q5_k_m/kv8", "gguf", "nf4"]
    fits = fitting(plans | {"bf16": Offer(16, 16, False)}, 6)
    assert fits == ["gguf-q8_0", "dynamic-int8", "gguf", "nf4"]


def test_a_file_of_two_names_is_listed_once():
    needs = {"nf4": 5, "fp4": 5, "gguf": 7, "gguf-q4_1": 7, "gguf-q8_0": 9, "gguf/kv8": 6, "gguf-q4_1/kv8": 6}
    plans = {name: Offer(bytes_, bytes_, True, bytes_) for name, bytes_ in needs.items()}
    assert list(each_file_once(plans)) == ["nf4", "fp4", "gguf", "gguf-q8_0", "gguf/kv8"]
    assert "gguf" not in each_file_once(plans, keep="gguf-q4_1")
    assert sorted(fitting(plans, 16)) == ["fp4", "gguf", "gguf-q8_0", "nf4"]
    assert len(each_file_once({name: Offer(0, 0, True) for name in needs})) == len(needs), "nothing is known of them"
