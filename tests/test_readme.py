"""README and docs/ are true: commands and examples run, tables and the tree are those of the code, links resolve."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import SpaceHardware

import models.__main__ as command_line
from models.cli.which import MODES as WHICH_MODES
from models.domain.catalog import load_catalog
from models.domain.families import families_table
from models.domain.memory import hardware
from models.domain.messages import BOUNDS
from models.domain.quantization import MODES
from models.domain.settings import Settings
from models.domain.variant import Variant

ROOT = Path(__file__).parents[1]
README_FILE = ROOT / "README.md"
FILES = [README_FILE, *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
README = TEXTS["README.md"]
LONGEST_README = 182  # lines after the front matter
# Rooms that the line of the one around them tells of.
INNER_ROOMS = {
    "models/training/engine",
    "models/training/runs",
    "models/workshop/engine",
    "models/engines/llama/export",
}


def blocks(text: str, language: str | None = None) -> list[str]:
    """The fenced blocks of a language, or all; text and fences alternate."""
    fenced = [block.partition("\n") for block in text.split("```")[1::2]]
    return [body for head, _, body in fenced if language in (None, head)]


def prose(text: str) -> str:
    """What is outside of the fenced blocks."""
    return "".join(text.split("```")[::2])


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the table whose header begins with `heading`."""
    lines = text[text.index(f"\n| {heading} |") :].strip().partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[2:]]


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# --- what runs ----------------------------------------------------------------------------------------------

LINES = [line for text in TEXTS.values() for block in blocks(text) for line in block.splitlines()]
TRAINING = next(block for block in blocks(README, "bash") if "models pretrain" in block).splitlines()  # in this order
COMMANDS = list(dict.fromkeys(line for line in LINES if "python -m models" in line and line not in TRAINING))
RARE = (
    "models measure",
    "models pretrain",
    "models finetune",
    "models merge",
    "@fp32",
)  # shown elsewhere, in less time
MARKED = [pytest.param(c, marks=pytest.mark.slow) if any(r in c for r in RARE) else c for c in COMMANDS]
ROWS = next(block for block in blocks(TEXTS["docs/finetuning.md"]) if block.startswith('{"messages"'))


def parsed(line: str) -> tuple[list[str], str]:
    """The arguments of a command line, and what it pipes into standard input."""
    words, piped = shlex.split(line), ""
    if "|" in words:
        echo, *said = words[: words.index("|")]
        assert echo == "echo", line
        words, piped = words[words.index("|") + 1 :], " ".join(said) + "\n"
    assert words[:3] == ["python", "-m", "models"], line
    return words[3:], piped


@pytest.mark.parametrize("line", MARKED)
def test_command(
    line: str,
    runtime: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    arguments, piped = parsed(line)
    monkeypatch.setattr(command_line, "Runtime", lambda settings: runtime)  # models stay loaded from line to line
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped.encode()), encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jsonl").write_text(ROWS, encoding="utf-8")
    assert command_line.main(arguments) == 0, capfd.readouterr().err
    assert capfd.readouterr().out.strip()


@pytest.mark.slow
def test_the_commands_of_training_follow_each_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.jsonl").write_text(ROWS, encoding="utf-8")
    shorter = ["--size", "stories-tiny", "--vocabulary", "300", "--documents", "80", "--tokens", "20000"]
    for line in TRAINING:
        setting, _, command = line.rpartition("python -m")
        for name, value in (pair.split("=") for pair in setting.split()):
            monkeypatch.setenv(name, value)
        arguments, _ = parsed(f"python -m{command}")
        assert command_line.main(arguments + (shorter if "pretrain" in line else [])) == 0, capsys.readouterr().err
    assert "local/stories@fp32+mine" in capsys.readouterr().out


def test_commands_in_prose_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Placeholders such as MODEL are arguments like any other."""
    parser = command_line._parser(Settings())
    for text in TEXTS.values():
        for line in re.findall(r"`python -m models ([a-z][^`]*)`", prose(text)):
            try:
                parser.parse_args(shlex.split(line))
            except SystemExit as end:  # --help ends with 0; a command alone, like `compare`, is only mentioned
                if end.code and " " in line:
                    pytest.fail(f"{line}: {capsys.readouterr().err}")


def test_every_command_is_in_the_table_of_commands() -> None:
    commands = next(a for a in command_line._parser(Settings())._actions if a.metavar == "COMMAND").choices
    assert sorted(named(row[0])[0] for row in table(TEXTS["docs/programs.md"], "command")) == sorted(commands or ())


def test_client_example_runs(app: Any) -> None:
    example = next(block for block in blocks(README, "python") if "gradio_client" in block)
    done = subprocess.run(
        [sys.executable, "-c", example.replace("http://127.0.0.1:7860", app.url)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(("stop", "length"))


def test_endpoints_table_is_the_api(app: Any) -> None:
    from gradio_client import Client

    client = Client(app.url, verbose=False, analytics_enabled=False)
    try:
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    finally:
        client.close()
    sampling = [*BOUNDS, "seed", "stop"]
    found = {
        named(name)[0]: Counter(named(parameters) + ("sampling" in parameters) * sampling)
        for name, parameters, _ in table(TEXTS["docs/programs.md"], "endpoint")
    }
    assert found == {
        name: Counter(p["parameter_name"] for p in endpoint["parameters"]) for name, endpoint in endpoints.items()
    }


def test_library_example_runs(
    runtime: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("models.runtime.Runtime", lambda: runtime)
    example = next(block for block in blocks(TEXTS["docs/programs.md"], "python") if "Runtime" in block)
    exec(compile(example, "docs/programs.md", "exec"), {"__name__": "__example__"})
    assert len(capsys.readouterr().out) > 10


def test_the_two_commands_stand_there() -> None:
    assert "pip install -r requirements.txt && python app.py\n" in README
    assert "bash tests/run.sh\n" in README
    assert os.access(ROOT / "tests/run.sh", os.X_OK)
    assert "tests/run.sh" in (ROOT / ".ci/run").read_text()


# --- what is listed -----------------------------------------------------------------------------------------


def tree() -> list[tuple[str, str]]:
    """The paths of the file tree with their descriptions."""
    folders: list[str] = []
    found = []
    for line in next(block for block in blocks(README, "") if block.startswith("app.py")).splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, description = line.strip().partition("  ")
        folders = [*folders[:depth], name.rstrip("/")]
        found.append(("/".join(folders), description.strip()))
    return found


def test_every_path_of_the_tree_exists_and_has_a_description() -> None:
    paths = tree()
    assert len(paths) > 10
    for path, description in paths:
        assert (ROOT / path).exists(), path
        assert description, path


def test_no_folder_of_code_is_missing_from_the_tree() -> None:
    folders = {
        init.parent.relative_to(ROOT).as_posix()
        for top in ("models", "ui")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert folders - {path for path, _ in tree()} <= INNER_ROOMS


def test_settings_table_is_the_settings() -> None:
    rows = {named(name)[0]: default for name, default, _ in table(TEXTS["docs/settings.md"], "variable")}
    assert list(rows) == [f"PADDOCK_{f.name.upper()}" for f in fields(Settings)]
    shown = {"": "none", "()": "none", "True": "1", "False": "0", "('default',)": "default"}
    for variable, f in zip(rows, fields(Settings), strict=True):
        default = shown.get(str(f.default), str(f.default)) if f.name != "cache_dir" else "~/.cache/paddock"
        assert (named(rows[variable]) or [rows[variable]])[0] == default, variable


def test_modes_table_is_the_modes() -> None:
    rows = {named(name)[0]: cells for name, *cells in table(README, "mode")}
    assert list(rows) == ["auto", *MODES]
    for name, mode in MODES.items():
        bits, _, cpu, cuda, adapters, _ = rows[name]
        low, _, high = bits.partition(" to ")
        assert float(low) - 0.05 <= mode.bits <= float(high or low) + 0.05, name
        assert [cpu != "no", cuda != "no"] == [device in mode.accelerators for device in ("cpu", "cuda")], name
        assert adapters == ("yes" if mode.takes_adapters else "no"), name


def test_table_of_families_is_the_catalog() -> None:
    assert families_table(load_catalog().values()) in TEXTS["docs/models.md"]


def test_families_are_those_of_the_catalog() -> None:
    cards = load_catalog().values()
    families = list(dict.fromkeys(card.family for card in cards))
    said = f"{len(cards)} models of {len(families)} families ([table](docs/models.md)): {', '.join(families)}."
    assert said in " ".join(README.split())


def test_table_of_gpus_is_what_which_prints() -> None:
    cards = [card for card in load_catalog().values() if card.family == "Llama 2" and card.kind == "instruct"]
    assert hardware.table(hardware.which_fit(cards, WHICH_MODES)).strip() in TEXTS["docs/hardware.md"]


# --- the pages themselves -----------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_pictures_resolve(name: str) -> None:
    for picture, target in re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", prose(TEXTS[name])):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.is_file(), target
        assert not picture or file.suffix == ".svg" or file.stat().st_size > 10_000, target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def test_readme_links_every_page_of_docs() -> None:
    assert {name for name in TEXTS if name != "README.md"} <= set(re.findall(r"\((docs/[^)#]+)\)", README))


def test_readme_is_short() -> None:
    assert len(README.split("---\n", 2)[2].strip().splitlines()) <= LONGEST_README


# https://huggingface.co/docs/hub/spaces-config-reference, and `license` of every card.
KEYS = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version", "suggested_hardware"),
    *("suggested_storage", "app_file", "app_build_command", "app_port", "base_path", "fullWidth", "header"),
    *("short_description", "models", "datasets", "tags", "thumbnail", "pinned", "hf_oauth", "hf_oauth_scopes"),
    *("hf_oauth_expiration_minutes", "hf_oauth_authorized_org", "disable_embedding", "startup_duration_timeout"),
    *("custom_headers", "preload_from_hub", "license"),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
# https://huggingface.co/docs/hub/spaces-oauth
SCOPES = {"email", "read-billing", "read-repos", "gated-repos", "contribute-repos", "write-repos", "manage-repos"}


def test_front_matter_is_what_a_space_needs() -> None:
    front = yaml.safe_load(README.split("---")[1])
    assert set(front) <= KEYS
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert (front["sdk"], front["app_file"], front["python_version"]) == ("gradio", "app.py", "3.12")
    assert front["sdk_version"] == version("gradio")
    assert f"gradio[oauth,mcp]~={front['sdk_version']}" in (ROOT / "requirements.txt").read_text().splitlines()
    assert front["suggested_hardware"] in {hardware.value for hardware in SpaceHardware}
    assert re.fullmatch(r"\d+(m|h)", front["startup_duration_timeout"])
    assert 10 < len(front["short_description"]) <= 60  # the Hub refuses longer ones
    assert front["license"] == "apache-2.0"
    assert front["tags"]
    assert front["hf_oauth"] is True
    assert set(front["hf_oauth_scopes"]) == {"gated-repos", "read-billing"} <= SCOPES


def test_front_matter_preloads_the_files_of_the_default() -> None:
    front = yaml.safe_load(README.split("---")[1])
    card = load_catalog()[Variant.parse(Settings().default_variant).model]
    assert card.gguf
    assert front["models"] == [card.hub_id, card.gguf.repo]
    (repo, names, revision), gguf = (line.split(" ") for line in front["preload_from_hub"])
    assert (repo, revision) == (card.hub_id, card.revision)
    assert set(names.split(",")) >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert gguf == [card.gguf.repo, card.gguf.file, card.gguf.revision]
