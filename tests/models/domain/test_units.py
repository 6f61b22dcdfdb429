"""Counts as people write them."""

import pytest

from models.domain.units import parameter_count


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (134_515_008, "135M"),
        (999_885_952, "1B"),
        (1_235_814_400, "1.2B"),
        (70_000_000_000, "70B"),
        (68_976_648_192, "69B"),
    ],
)
def test_parameters(count, text):
    assert parameter_count(count) == text
