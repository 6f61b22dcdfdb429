"""What README says is true: its commands run, its tree exists, its settings are the settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from models.domain.quantization import MODES
from models.domain.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; text and fences alternate."""
    fenced = README.split("```")[1::2]
    return [body for head, _, body in (block.partition("\n") for block in fenced) if head == language]


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if "python -m models" in line]


def tree() -> list[tuple[str, str]]:
    """The paths of the file tree with their descriptions."""
    folders: list[str] = []
    found = []
    for line in next(block for block in blocks("") if block.startswith("app.py")).splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, description = line.strip().partition("  ")
        folders = [*folders[:depth], name.rstrip("/")]
        found.append(("/".join(folders), description.strip()))
    return found


RARE = ("models measure", "@fp32")  # what they show is tested elsewhere, in less time
MARKED = [pytest.param(c, marks=pytest.mark.slow) if any(r in c for r in RARE) else c for c in COMMANDS]


@pytest.mark.parametrize("command", MARKED)
def test_command(command: str) -> None:
    command = command.replace("python -m", f'"{sys.executable}" -m')
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_client_example_runs(app: Any) -> None:
    example = next(block for block in blocks("python") if "gradio_client" in block)
    done = subprocess.run(
        [sys.executable, "-c", example.replace("http://127.0.0.1:7860", app.url)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(("stop", "length"))


def test_library_example_runs() -> None:
    example = next(block for block in blocks("python") if "Runtime" in block)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 10


def test_every_path_of_the_tree_exists_and_has_a_description() -> None:
    paths = tree()
    assert len(paths) > 10
    for path, description in paths:
        assert (ROOT / path).exists(), path
        assert description, path


def test_no_folder_of_code_is_missing_from_the_tree() -> None:
    named = {path for path, _ in tree()}
    folders = {
        init.parent.relative_to(ROOT).as_posix()
        for top in ("models", "ui")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert folders - named <= {"models/training/engine"}


def test_settings_table_is_the_settings() -> None:
    rows = dict(re.findall(r"^\| `PADDOCK_(\w+)` \| `?([^`|]*)", README, flags=re.MULTILINE))
    assert list(rows) == [f.name.upper() for f in fields(Settings)]
    shown = {"": "none", "()": "none", "True": "1", "False": "0"}
    for f in fields(Settings):
        default = shown.get(str(f.default), str(f.default))
        assert rows[f.name.upper()].strip() == (default if f.name != "cache_dir" else "~/.cache/paddock"), f.name


def test_modes_table_is_the_modes() -> None:
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", README, flags=re.MULTILINE)) == {"auto", *MODES}


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).stat().st_size > 10_000, path


def test_front_matter_is_what_a_space_needs() -> None:
    front = README.split("---")[1]
    pinned = re.search(r"gradio\[.*\]~=(\d+\.\d+)", (ROOT / "requirements.txt").read_text())
    assert pinned
    assert f"sdk_version: {pinned.group(1)}" in front
    assert 'python_version: "3.12"' in front
    assert "app_file: app.py" in front


def test_the_two_commands_stand_there() -> None:
    assert "pip install -r requirements.txt && python app.py\n" in README
    assert "bash tests/run.sh\n" in README
    assert os.access(ROOT / "tests/run.sh", os.X_OK)
    assert "tests/run.sh" in (ROOT / ".ci/run").read_text()
