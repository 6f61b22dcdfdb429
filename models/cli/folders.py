"""A model's folder given where a command takes a variant: DIR@fp32 becomes local/NAME@fp32."""

from __future__ import annotations

import argparse
from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from ..domain.settings import Settings
from ..weights.verify.file_names import CONFIG

OPTIONS = ("variant", "model", "base", "on", "reference", "words")


def with_folders(settings: Settings, options: argparse.Namespace, listed: Container[str]) -> Settings:
    """Rewrite the options that name folders, and return settings that know them; a name that is listed is no folder."""
    found: list[str] = list(settings.model_folders)

    def rewritten(text: str) -> str:
        for end in range(len(text), 0, -1):
            if end < len(text) and text[end] not in "@+":
                continue
            folder = Path(text[:end]).expanduser()
            if text[:end].lower() not in listed and (folder / CONFIG).is_file():
                found.append(str(folder.resolve()))
                return replace(settings, model_folders=tuple(found)).local_name(folder.resolve()) + text[end:]
        return text

    for name in OPTIONS:
        given = getattr(options, name, None)
        if isinstance(given, str):
            setattr(options, name, rewritten(given))
        elif isinstance(given, list):
            setattr(options, name, [rewritten(text) for text in given])
    return replace(settings, model_folders=tuple(found))
