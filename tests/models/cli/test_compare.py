"""What `compare` writes: without what was thought before the answers, unless that is asked for."""

import argparse

import pytest

from models.cli import compare
from models.domain.results.comparison import Compared, Comparison
from models.domain.results.file import from_json
from models.domain.settings import Settings


@pytest.mark.parametrize(("asked", "thought"), [([], ""), (["--thoughts"], "Hm.")])
def test_thoughts_are_in_the_file_where_they_are_asked_for(monkeypatch, capsys, asked, thought):
    columns = (Compared("m@nf4", answer="Yes.", thought="Hm."), Compared("m@bf16", answer="No."))
    whole = Comparison(("Hi?",), columns, "2026-01-02T03:04:05+00:00")
    monkeypatch.setattr(compare, "compared", lambda runtime, request: whole)
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser, Settings())
    compare.run(None, parser.parse_args(["Hi?", "m@nf4", "m@bf16", "--no-quality", "--json", *asked]))
    assert [column.thought for column in from_json(capsys.readouterr().out).columns] == [thought, ""]


@pytest.mark.parametrize(("asked", "written"), [([], "Below"), (["--complete"], "Once upon a time")])
def test_base_models_continue_a_text_if_that_is_asked_for(monkeypatch, asked, written):
    requests, whole = [], Comparison(("?",), (Compared("m@nf4"),) * 2, "2026-01-02T03:04:05+00:00")
    monkeypatch.setattr(compare, "compared", lambda runtime, request: requests.append(request) or whole)
    monkeypatch.setattr(compare, "print_figures", lambda *given: None)
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser, Settings())
    compare.run(None, parser.parse_args(["Once upon a time", "m@nf4", "m@bf16", "--no-quality", *asked]))
    (request,) = requests
    text = request.base_prompt.write(request.histories[0])
    assert text.startswith(written)
    assert (text == "Once upon a time") == bool(asked)
