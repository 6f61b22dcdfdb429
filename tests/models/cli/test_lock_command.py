"""The command that signs links."""

from __future__ import annotations

import pytest

from models.__main__ import main


def test_lock_signs_a_link_that_names_what_is_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = "https://example.org/?variant=smollm2-135m-instruct@gguf&system=Be+brief&tab=chat"
    monkeypatch.setenv("PADDOCK_LINK_KEY", "a key of the operator")
    assert main(["lock", link, "--embed", "answer"]) == 0
    signed = capsys.readouterr().out
    assert signed.startswith("https://example.org/?variant=smollm2-135m-instruct%40gguf&system=Be+brief&embed=answer")
    assert "signature=" in signed
    assert main(["lock", link.replace("135m", "134m")]) == 1
    assert "There is no model called" in capsys.readouterr().err
    monkeypatch.delenv("PADDOCK_LINK_KEY")
    assert main(["lock", link]) == 1
    said = capsys.readouterr()
    assert (said.out, "PADDOCK_LINK_KEY is not set" in said.err) == ("", True)
