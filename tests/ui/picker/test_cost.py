"""The line that says what a press costs, and of whom."""

import base64
import json

import pytest

from models.domain.gpu_cost import GpuCost
from ui.picker.cost import is_charged, sentence


@pytest.mark.parametrize(
    ("cost", "signed_in", "said"),
    [
        (GpuCost(0, 0), True, "No GPU quota is used."),
        (GpuCost(25, 1), True, "About 25 s of GPU quota · on a large GPU · of your account"),
        (
            GpuCost(25, 2, "xlarge", cut=True),
            False,
            "About 50 s of GPU quota · in 2 GPU calls · an xlarge GPU counts double · an answer may end early, "
            "since a call has at most 120 s · of your network address: you are not signed in to the Hub here",
        ),
    ],
)
def test_sentence(cost, signed_in, said):
    assert sentence(cost, 120, signed_in) == said


def test_who_is_charged_is_read_from_the_pass_of_the_proxy():
    def passed(**claims):
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return {"x-ip-token": f"h.{payload}.s"}

    assert is_charged(passed(user="someone"))
    for headers in (passed(user=None), passed(ip="1.2.3.4"), {}, {"x-ip-token": "no.token"}, {"x-ip-token": "a.b.c"}):
        assert not is_charged(headers)
