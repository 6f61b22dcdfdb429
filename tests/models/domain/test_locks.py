"""Links that fix what is asked: what is signed, and what a changed link does."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from models.domain.errors import BadLock
from models.domain.locks import is_locked, locked, parse_query, require_signed

KEY = "a key of the operator"
LINK = "https://example.org/app/?variant=smollm2@gguf%2Bpirate:0.5&system=Be+brief&temperature=0&prompt=Hi&tab=chat"


def query_of(link: str) -> dict[str, str]:
    return parse_query(urlsplit(link).query)


def test_a_signed_link_is_itself_with_a_lock() -> None:
    link = locked(KEY, LINK)
    assert link.startswith("https://example.org/app/?")
    query = query_of(link)
    require_signed(KEY, query)
    assert is_locked(query)
    assert query["prompt"] == "Hi"
    assert (query["embed"], query["lock"], query["variant"]) == ("1", "1", "smollm2@gguf+pirate:0.5")
    assert "tab" not in query, "a frame has one tab"
    assert locked(KEY, link) == link, "signed again it is the same"


@pytest.mark.parametrize("change", ["variant=other", "system=", "temperature=2", "lock=0", "embed=answer", "seed=1"])
def test_no_fixed_part_can_be_changed_added_or_left_out(change: str) -> None:
    query = query_of(locked(KEY, LINK))
    name, _, value = change.partition("=")
    with pytest.raises(BadLock, match="altered"):
        require_signed(KEY, query | {name: value})
    if name in query:
        with pytest.raises(BadLock):
            require_signed(KEY, {other: text for other, text in query.items() if other != name})
    assert is_locked(query | {"lock": "0"}), "who leaves the lock out has to leave its signature out too"


@pytest.mark.parametrize("given", ["", "x", "é\ud800", "A" * 5000])
def test_a_forged_signature_is_refused_and_a_free_part_is_free(given: str) -> None:
    query = query_of(locked(KEY, LINK))
    require_signed(KEY, query | {"prompt": "another", "theme": "dark", "lang": "zh"})
    with pytest.raises(BadLock):
        require_signed(KEY, query | {"signature": given})
    with pytest.raises(BadLock):
        require_signed("another key of somebody", query)
    with pytest.raises(BadLock, match="no key"):
        require_signed("", query)


def test_what_cannot_be_locked_is_said() -> None:
    with pytest.raises(BadLock, match="no variants"):
        locked(KEY, "https://example.org/?prompt=Hi", "compare")
    with pytest.raises(BadLock, match="not one of"):
        locked(KEY, "https://example.org/?embed=frame")
    with pytest.raises(BadLock, match="parameters"):
        parse_query("&".join("a=1" for _ in range(1000)))
