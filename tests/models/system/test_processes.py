"""A child process: what it is told, what it says, and that it is never left behind."""

import os
import time

import pytest

from models.system.processes import SECRETS, Child, without_secrets


def nothing():
    return None


def test_tokens_stay_and_all_else_goes_along():
    env = {"PATH": "/bin", "HF_ENDPOINT": "https://hub", **dict.fromkeys(SECRETS, "secret")}
    assert without_secrets(env) == {"PATH": "/bin", "HF_ENDPOINT": "https://hub"}
    assert "HF_TOKEN" in SECRETS


def test_objects_go_in_and_out_and_the_rest_is_dropped(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    code = "import json, os\nprint(input())\nprint('no JSON')\nprint(json.dumps({'token': 'HF_TOKEN' in os.environ}))"
    with Child("-c", code) as child:
        child.send({"text": "ä\n"})
        assert list(child.watch(nothing)) == [{"text": "ä\n"}, {"token": False}]
        assert child.end().status == 0


def test_how_it_ended_is_known():
    with Child("-c", "raise SystemExit('first\\nlast\\n\\n')") as child:
        assert list(child.watch(nothing)) == []
        ended = child.end()
    assert (ended.status, ended.last_line) == (1, "last")


def test_it_is_killed_when_the_caller_leaves():
    def leave():
        if time.monotonic() - started > 0.3:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Child("-c", "import time; time.sleep(60)") as child:
        list(child.watch(leave))
    assert time.monotonic() - started < 2
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_it_ends_with_its_input():
    child = Child("-c", "import sys; sys.stdin.read()")
    assert child.end().status == 0
    child.send({"too": "late"})
