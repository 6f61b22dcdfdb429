"""A Space made and brought up to date, against a stand-in of the Hub that speaks its protocol over HTTP."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from models.__main__ import main
from models.cli.deploy import _wanted
from models.domain.errors import (
    BadSpace,
    NoHubToken,
    NoWriteAccess,
    SpaceNameTaken,
    SpaceNotRunning,
    SpaceRefused,
    UploadBroken,
)
from models.space import hub
from models.space.files import files
from models.space.hub import Secrets, Wanted

sys.path.insert(0, str(Path(__file__).parent))  # for the helper beside the tests

from fake_spaces import WRITER, FakeSpaces, Space

ROOT = Path(__file__).parents[3]
NAME, SECRET = "me/paddock", "hf_of_the_operator"
WANTED = Wanted(NAME, "zero-a10g", True, {"PADDOCK_QUEUE": "8"}, Secrets(HF_TOKEN=SECRET))
PLAIN = Wanted(NAME, None, None, {}, Secrets())


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpaces]:
    server = FakeSpaces()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)  # between the library's own tries, and ours
    yield server
    server.close()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """This app's own files, to change them."""
    for name in files():
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path / "copy"


def deploy(wanted: Wanted = PLAIN, root: Path = ROOT) -> tuple[str, list[str]]:
    said: list[str] = []
    return hub.deploy(wanted, said.append, root), said


def test_a_new_space_has_exactly_the_listed_files(spaces: FakeSpaces) -> None:
    commit, said = deploy(WANTED)
    space = spaces.spaces[NAME]
    assert (space.private, space.hardware) == (True, "zero-a10g")
    assert (space.variables, space.secrets) == ({"PADDOCK_QUEUE": "8"}, {"HF_TOKEN": SECRET})
    assert {name: len(data) for name, data in space.files.items() if name != ".gitattributes"} == files()
    assert len(spaces.put) == 2  # the weights of the bundled adapters
    assert commit == space.sha
    assert SECRET not in repr(WANTED) + str(said)


def test_a_second_run_uploads_what_changed(spaces: FakeSpaces, copy: Path) -> None:
    deploy(WANTED, copy)
    first = spaces.spaces[NAME].sha
    assert deploy(WANTED, copy) == (
        first,
        [f"{NAME} is brought up to date", f"nothing has changed: commit {first[:12]}"],
    )
    (copy / "app.py").write_text("print()")
    (copy / "ui/page.py").unlink()
    spaces.put.clear()
    spaces.asked.clear()
    deploy(replace(WANTED, hardware="t4-small", variables={"PADDOCK_QUEUE": "8", "PADDOCK_SLOTS": "2"}), copy)
    space = spaces.spaces[NAME]
    assert sorted(space.commits[-1]) == ["app.py", "ui/page.py"]
    assert "ui/page.py" not in space.files
    assert ".gitattributes" in space.files
    assert (space.hardware, space.variables) == ("t4-small", {"PADDOCK_QUEUE": "8", "PADDOCK_SLOTS": "2"})
    assert (
        len([path for method, path, _ in spaces.asked if (method, path.split("/")[-1]) == ("POST", "variables")]) == 1
    )
    assert spaces.put == []


def test_what_lies_beside_is_not_uploaded(copy: Path) -> None:
    before = files(copy)
    for name in (
        ".env",
        "models/token.key",
        "models/__pycache__/runtime.cpython-312.pyc",
        "ui/.DS_Store",
        "tests/a.py",
    ):
        (copy / name).parent.mkdir(exist_ok=True, parents=True)
        (copy / name).write_text("x")
    assert files(copy) == before


def test_the_listed_files_are_enough(copy: Path) -> None:
    code = """
import app
from models.domain.variant import Variant
from ui.layout import build_app, launch_options

runtime = app.Runtime(app.Settings())
build_app(runtime), launch_options(runtime)
print(app.__file__, len(runtime.models()), len(runtime.adapters(Variant.parse("smollm2-135m-instruct"))))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    file, models, adapters = done.stdout.split()
    assert Path(file).parent == copy
    assert int(models) > 50
    assert int(adapters) >= 2


def test_another_app_is_left_alone(spaces: FakeSpaces) -> None:
    spaces.spaces[NAME] = Space({"app.py": b"mine", "README.md": b""})
    with pytest.raises(SpaceNameTaken):
        deploy(WANTED)
    assert spaces.spaces[NAME] == Space({"app.py": b"mine", "README.md": b""})


def test_a_token_that_may_not_write(spaces: FakeSpaces) -> None:
    sentence = 'You don\'t have the rights to create a space under the namespace "me"'
    spaces.refuse["POST /api/repos/create"] = (403, sentence)
    with pytest.raises(NoWriteAccess, match="rights to create a space"):
        deploy(WANTED)
    spaces.refuse = {f"POST /api/spaces/{NAME}/commit": (403, "Forbidden: pass `create_pr=1`")}
    with pytest.raises(NoWriteAccess, match="create_pr"):
        deploy(WANTED)


@pytest.mark.parametrize("token", ["", "hf_expired"])
def test_no_token_and_one_that_is_none(spaces: FakeSpaces, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(NoWriteAccess if token else NoHubToken) as caught:
        deploy(WANTED)
    assert not token or token not in str(caught.value)
    assert spaces.spaces == {}


def test_the_quota_of_free_spaces_is_said_in_the_hubs_words(spaces: FakeSpaces) -> None:
    spaces.refuse["POST /api/repos/create"] = (402, "Subscribe to PRO to host Gradio Spaces on cpu-basic.")
    with pytest.raises(SpaceRefused, match="Subscribe to PRO to host"):
        deploy(WANTED)


def test_a_cut_upload_is_tried_again(spaces: FakeSpaces) -> None:
    spaces.cut = [1000]
    deploy(WANTED)
    assert len(spaces.put) == 3
    assert {name for name in spaces.spaces[NAME].files if name != ".gitattributes"} == set(files())


def test_a_broken_upload_goes_on_where_it_stopped(spaces: FakeSpaces) -> None:
    spaces.refuse[f"POST /api/spaces/{NAME}/commit"] = (504, "")
    with pytest.raises(UploadBroken, match="504"):
        deploy(WANTED)
    assert (len(spaces.put), spaces.spaces[NAME].commits) == (2, [])
    spaces.refuse.clear()
    deploy(WANTED)
    assert len(spaces.put) == 2  # no file was sent twice
    assert len(spaces.spaces[NAME].commits) == 1


def test_hub_that_cannot_be_reached(spaces: FakeSpaces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UploadBroken) as caught:
        deploy(WANTED)
    assert "127.0.0.1" not in str(caught.value)


def test_check_waits_for_the_commit_and_counts_the_models(spaces: FakeSpaces) -> None:
    commit, _ = deploy()
    said: list[str] = []
    assert hub.check(NAME, commit, said.append) == 2
    assert [line.partition(",")[0] for line in said] == ["building", "app starting", "running"]
    assert {token for _, path, token in spaces.asked if "/call/" in path} == {WRITER}


@pytest.mark.parametrize("stage", ["BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", "PAUSED"])
def test_check_says_the_stage_and_the_log(spaces: FakeSpaces, stage: str) -> None:
    commit, _ = deploy()
    spaces.stages = ["BUILDING", stage]
    said: list[str] = []
    with pytest.raises(SpaceNotRunning, match=stage):
        hub.check(NAME, commit, said.append)
    assert "No matching distribution" in said[-1]


def test_check_of_an_app_that_answers_with_an_error(spaces: FakeSpaces) -> None:
    commit, _ = deploy()
    spaces.models = None
    with pytest.raises(SpaceNotRunning, match="/models"):
        hub.check(NAME, commit, lambda line: None)


# --- the command ---------------------------------------------------------------------------------------------


def test_dry_run_lists_and_asks_nobody(spaces: FakeSpaces, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["deploy", NAME, "--dry-run", "--secret", "HF_TOKEN", "--variable", "PADDOCK_QUEUE=8"]
    assert main([*arguments, "--hardware", "zero-a10g"]) == 0
    shown = capsys.readouterr().out
    for name, size in files().items():
        assert f"{size:>12,}  {name}\n" in shown
    assert f"bytes in {len(files())} files" in shown
    assert "PADDOCK_QUEUE=8" in shown
    assert WRITER not in shown
    assert spaces.asked == []


def test_command_deploys_and_checks(spaces: FakeSpaces, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", NAME, "--private", "--check", "--secret", "HF_TOKEN"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"https://huggingface.co/spaces/{NAME}",
        "It runs and lists 2 models.",
    ]
    assert spaces.spaces[NAME].secrets == {"HF_TOKEN": WRITER}


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-slash"],
        [NAME, "--variable", "PADDOCK_QUEUE"],
        [NAME, "--variable", "PADDOCK_QUEUE=none"],
        [NAME, "--secret", "NOT_SET_ANYWHERE"],
        [NAME, "--variable", "PADDOCK_OPERATOR_KEY=x"],
        [NAME, "--variable", "PADDOCK_LOCKED_ONLY=1"],
    ],
)
def test_a_wrong_command_sends_nothing(
    spaces: FakeSpaces, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", *arguments]) == 1
    assert "This Space cannot be made" in capsys.readouterr().err
    assert spaces.asked == []


def test_what_holds_on_a_space_and_with_its_secrets_is_a_good_command(
    spaces: FakeSpaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDOCK_LINK_KEY", "sixteen letters.")
    for given in (("PADDOCK_LOCKED_ONLY=1", "--secret", "PADDOCK_LINK_KEY"), ("PADDOCK_SIGN_IN=oauth",)):
        assert main(["deploy", NAME, "--variable", *given]) == 0
    assert spaces.spaces[NAME].variables == {"PADDOCK_LOCKED_ONLY": "1", "PADDOCK_SIGN_IN": "oauth"}
    assert spaces.spaces[NAME].secrets == {"PADDOCK_LINK_KEY": "sixteen letters."}


def test_a_secret_is_not_said_when_it_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    options = argparse.Namespace(
        space=NAME, hardware=None, private=None, variable=[], secret=["PADDOCK_FRAME_ANCESTORS"]
    )
    monkeypatch.setenv("PADDOCK_FRAME_ANCESTORS", "; the operator's own")
    with pytest.raises(BadSpace, match="PADDOCK_FRAME_ANCESTORS has a value") as caught:
        _wanted(options)
    assert "operator's own" not in str(caught.value)
