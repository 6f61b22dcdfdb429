"""The table of adapters that are known by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.domain.adapters import ListedAdapter, adapters_of, load_adapters
from models.domain.catalog import load_catalog
from models.domain.errors import ModelIsAPath


def test_every_entry_is_for_a_listed_model() -> None:
    bases = {card.hub_id for card in load_catalog().values()}
    assert {entry.base for entry in load_adapters()} <= bases
    for entry in load_adapters():
        assert entry.title
        assert entry.summary
        assert entry.licence


def test_entries_of_one_model() -> None:
    card = load_catalog()["smollm2-135m-instruct"]
    assert {entry.key for entry in adapters_of(card)} >= {"pirate", "json"}
    assert adapters_of(load_catalog()["smollm2-135m"]) == ()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[a]\ntitle = "A"\nbase = "o/b"\n', "needs a folder or a hub_id"),
        ('[a]\ntitle = "A"\nbase = "o/b"\nfolder = "a"\nhub_id = "o/a"\n', "one of the two"),
        ('[a]\ntitle = "A"\nbase = "o/b"\nfolder = "a"\nrank = 8\n', "rank"),
        ('[a]\ntitle = "A"\nfolder = "a"\n', "base"),
    ],
)
def test_wrong_entry_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "adapters.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=wrong):
        load_adapters(path)


def test_name_that_leaves_a_folder() -> None:
    with pytest.raises(ModelIsAPath):
        ListedAdapter("../a", "A", "o/b", folder="a")
