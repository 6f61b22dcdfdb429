"""Columns from the first click to the last figure, with nothing from outside as markup."""

from dataclasses import replace

import pytest

from models.domain.errors import BadComparison, GpuQuotaUsed, LicenceNotAccepted
from models.domain.messages import Delta, Message, Progress, Rendered, Thought, Usage
from models.domain.remedy import Remedy, remedy
from models.domain.request import CompareRequest
from models.domain.results.comparison import Asked, Compared, Comparison
from models.domain.results.file import from_json, to_json
from models.domain.results.measured import Measured
from models.domain.variant import Variant
from tests.ui.markup import EVIL, Markup, is_harmless
from ui.compare import columns as render_columns
from ui.compare import results as render_results
from ui.compare.kept import from_kept, to_kept
from ui.compare.state import Shown, View, advance, begin, ended
from ui.compare.tab import read_comparison

REQUEST = CompareRequest.of(
    [Variant.parse("m@bf16"), Variant.parse("m@nf4")], "Why?", reference=Variant.parse("m@bf16")
)
USAGE = Usage("m@bf16", new_tokens=12, decode_tokens_per_s=17.0)


def column(name, perplexity):
    figures = Measured(name, False, 269, 270, perplexity=perplexity, bits_per_byte=1.0)
    turns = (Message("user", "Why?"), Message("assistant", "Because."))
    usage = replace(USAGE, finish="stop")
    return Compared(name, name, "instruct", "<Why?>", turns, "Because.", usage, figures, tokenizer="t")


COMPARISON = Comparison(
    ("Why?",),
    (column("m@bf16", 10.0), column("m@nf4", 10.2)),
    "2026-01-02T03:04:05+00:00",
    reference="m@bf16",
    text="A text.",
)


def test_an_empty_page_says_what_to_do():
    assert "press Compare" in Markup(render_columns.columns(Shown())).text
    assert render_results.results(Shown(), 0.05) == render_results.pictures(Shown()) == ""


def test_a_refused_column_offers_what_can_be_done_and_a_file_forges_nothing():
    def drawn(known):
        columns = (COMPARISON.columns[0], replace(COMPARISON.columns[1], error="No.", remedy=known))
        return render_columns.columns(ended(Shown(), from_json(to_json(replace(COMPARISON, columns=columns)))))

    assert "Use m@gguf: no GPU quota" in drawn(remedy(GpuQuotaUsed("3s left", "m@gguf")))
    assert "no GPU quota" not in drawn(remedy(GpuQuotaUsed("3s left")))
    assert "no GPU quota" not in drawn(Remedy("gpu_quota_used", instead="m@bf16")), "it stands beside it"
    page = drawn(remedy(LicenceNotAccepted(model="meta-llama/Llama-3.2-1B")))
    assert "https://huggingface.co/meta-llama/Llama-3.2-1B" in Markup(page).links()
    forged = drawn(Remedy("licence_not_accepted", model=EVIL))
    assert "Open its licence" in forged
    assert is_harmless(forged)


def test_who_waits_loads_and_answers():
    shown = begin(REQUEST)
    assert Markup(render_columns.columns(shown)).text.count("Waits for its turn") == 2
    shown = advance(shown, 0, Progress("read", 1, 2, "tensors", "SmolLM2"))
    assert "Reading the weights" in Markup(render_columns.columns(shown)).text
    shown = advance(advance(shown, 0, Rendered("<Why?>")), 0, Delta("Because", USAGE))
    text = Markup(render_columns.columns(shown)).text
    assert "12 tokens" in text
    assert "≈ 17 tok/s" in text
    assert "Because" in text
    assert "<Why?>" not in text  # what opens would close at the next step
    assert "once all have answered" in render_results.results(shown, 0.05)
    assert render_results.pictures(shown) == ""


def test_a_thought_is_open_while_it_streams_and_folded_above_its_answer():
    def drawn(shown):
        return render_columns.columns(shown)

    usage = replace(USAGE, thinking="open", thought_tokens=12, thought_s=1.5)
    shown = advance(advance(begin(REQUEST), 0, Rendered("<Why?>")), 0, Thought("So ", "<think>So ", usage))
    shown = advance(shown, 0, Thought(EVIL, EVIL, usage))
    assert 'data-key="thinking-0" data-live>' in drawn(shown)
    assert "thinking 1.5 s, 12 tokens" in Markup(drawn(shown)).text
    assert is_harmless(drawn(shown))
    shown = advance(shown, 0, Delta("Because", replace(usage, thinking="closed", new_tokens=20)))
    html = drawn(shown)
    assert 'data-key="thought-0"><summary>thought 1.5 s, 12 tokens' in html
    assert "data-live" not in html
    assert html.index("So ") < html.index("Because")
    assert "So " not in drawn(replace(shown, order=(1, 0))), "a vote is on answers"


def test_a_file_is_handed_on_without_thoughts_and_kept_with_them():
    columns = (replace(COMPARISON.columns[0], thought="So.", earlier=(Asked("<A?>", (), "Hm."),)),)
    shown = ended(begin(REQUEST), replace(COMPARISON, columns=columns))
    back = from_kept(to_kept(shown)).comparison.columns[0]
    assert (back.thought, back.earlier[0].thought) == ("So.", "Hm.")
    html = render_columns.columns(shown)
    assert "Hm." in html
    assert "So." in html
    (handed,) = from_json(render_results._files(shown.comparison)["json"]).columns
    assert (handed.thought, handed.earlier[0].thought, handed.answer) == ("", "", "Because.")


def test_the_parts_of_a_column_stay_the_same_while_it_fills():
    def skeleton(shown):
        html = render_columns.columns(shown)
        return [html.count(part) for part in ("<section", 'class="column-status"', "<h3", "<dl", "<details", "clip")]

    shown = begin(REQUEST)
    steps = [Progress("read"), Rendered("x"), Delta("y", USAGE), Compared("m@bf16", error="It broke.")]
    for event in steps:
        shown = advance(shown, 0, event)
        assert skeleton(shown) == [2] * 6


def test_at_the_end_there_are_figures_prompts_and_a_reason_to_choose():
    shown = ended(begin(REQUEST), COMPARISON)
    markup = Markup(render_columns.columns(shown))
    assert markup.text.count("<Why?>") == 2
    assert "bf16 reference" in markup.text
    assert {"m@bf16", "m@nf4"} <= set(markup.values("title"))
    results = render_results.results(shown, 0.05)
    assert "bf16 is the smallest of them (270 B). Your prompt was not judged." in Markup(results).text
    assert from_json(Markup(results).values("data-json")[0]) == COMPARISON


def test_stopped_before_its_turn():
    comparison = replace(COMPARISON, columns=(COMPARISON.columns[0], Compared("m@nf4", "m@nf4")))
    text = Markup(render_columns.columns(ended(begin(REQUEST), comparison, stopped=True))).text
    assert "Stopped before its turn" in text


def test_a_blind_vote_shows_nothing_before_all_have_answered():
    plain, blind = begin(REQUEST), begin(REQUEST, (1, 0))
    for event in (Progress("read"), Rendered("p"), Delta("Beca", USAGE), Compared("m@bf16", answer="Because.")):
        plain, blind = advance(plain, 0, event), advance(blind, 0, event)
        first, second = (Markup(half).text for half in render_columns.columns(blind).split("<section")[1:])
        assert first.partition("1 of 2")[2] == second.partition("2 of 2")[2]
    assert "Because." in render_columns.columns(plain)
    assert "Because." in render_columns.columns(ended(blind, COMPARISON))


def test_figures_stand_in_the_same_places():
    slow = replace(column("m@nf4", 10.2), usage=replace(USAGE, finish="stop", prefill_tokens_per_s=90.0))
    shown = ended(begin(REQUEST), replace(COMPARISON, columns=(COMPARISON.columns[0], slow)))
    first, second = render_columns.columns(shown).split("</section>")[:2]
    names = [[part.partition("<")[0] for part in half.split("<dt>")[1:]] for half in (first, second)]
    assert names[0] == names[1]
    assert "<dt>prefill</dt><dd>–</dd>" in first
    assert names[0][:3] == ["speed", "memory", "perplexity"]


def test_nothing_from_outside_becomes_markup():
    evil = replace(
        column("m@bf16", 10.0), prompt=EVIL, answer=EVIL, turns=(Message("user", EVIL), Message("assistant", EVIL))
    )
    failed = Compared("m@nf4", error=EVIL)
    comparison = replace(COMPARISON, questions=(EVIL,), columns=(evil, failed))
    for shown in (ended(begin(REQUEST), comparison), advance(begin(REQUEST, (1, 0)), 0, Delta(EVIL))):
        assert is_harmless(render_columns.columns(shown) + render_results.results(shown, 0.05))
        assert is_harmless(render_columns.columns(replace(shown, view=View(raw=True))))
    assert Markup(render_columns.columns(ended(begin(REQUEST), comparison))).text.count(EVIL) >= 4


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[1]", b"x" * 5_000_001])
def test_a_file_that_is_no_comparison_is_refused_and_deleted(tmp_path, data):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(BadComparison):
        read_comparison(str(path))
    assert not path.exists()
    with pytest.raises(BadComparison):
        read_comparison(str(path))
    with pytest.raises(BadComparison):
        read_comparison(None)
