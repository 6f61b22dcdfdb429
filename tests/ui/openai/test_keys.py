"""Keys are asked for where the operator set some, and each has its limit."""

import pytest

from models.domain.errors import KeyRefused, TooManyRequests
from ui.openai.keys import Keys


def test_without_keys_everybody_may_ask():
    assert Keys((), 1).find("") == Keys((), 1).find("Bearer whatever") == 0


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic first", "first", "Bearer first x"])
def test_a_wrong_key_is_refused(header):
    with pytest.raises(KeyRefused):
        Keys(("first", "second"), 1).find(header)


def test_each_key_has_its_own_count():
    keys = Keys(("first", "second"), 1)
    first, second = keys.find("Bearer first"), keys.find("bearer second")
    with keys.counted(first), keys.counted(second), pytest.raises(TooManyRequests), keys.counted(first):
        pass
    with keys.counted(first):
        pass
