"""A model's folder may stand wherever a command takes a variant."""

import argparse

import pytest

from models.cli.folders import OPTIONS, with_folders
from models.domain.settings import Settings


@pytest.mark.parametrize("option", OPTIONS)
def test_a_folder_becomes_a_variant(tiny_folder, option):
    given = argparse.Namespace(**{option: f"{tiny_folder}@fp32+pirate"})
    settings = with_folders(Settings(), given, ())
    name = settings.local_name(tiny_folder.resolve())
    assert getattr(given, option) == f"{name}@fp32+pirate"
    assert settings.model_folders == (str(tiny_folder.resolve()),)


def test_a_listed_model_is_no_folder(tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder.parent)
    given = argparse.Namespace(variant=[tiny_folder.name, f"{tiny_folder.name}@nf4"])
    assert with_folders(Settings(), given, (tiny_folder.name.lower(),)).model_folders == ()
    assert given.variant == [tiny_folder.name, f"{tiny_folder.name}@nf4"]
