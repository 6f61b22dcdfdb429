"""Scores of a text: equal to one plain forward pass, in bounded chunks, recorded, compared, and without traces."""

import errno
import shutil
from types import SimpleNamespace

import numpy
import pytest

from models.domain.engine import Prompt
from models.domain.errors import ContextExceeded, DiskFull, EngineFailed, ReferenceDiffers, TextTooShort
from models.domain.messages import Message, Progress, Sampling, Scored
from models.domain.variant import Variant
from models.engines import score_files
from models.engines.transformers import scoring
from models.engines.transformers.engine_thread import engine_thread

TEXT = "Once upon a time there was a fox 😀 and a crow. 漢字 and émoji, naïve: <b>tags</b> 12345. "
LONG = TEXT * 6
STORY = "The river Seine flows through Paris, the capital of France. It rises near Dijon and reaches the sea. " * 12


def scored(engine, text, rendered=False, **files):
    *steps, last = engine.score(Prompt(text, rendered), **files)
    assert isinstance(last, Scored)
    assert all(isinstance(step, Progress) and step.stage == "score" for step in steps)
    return last, steps


def plain(engine, text, rendered=False):
    """Log-probabilities and first choices by one forward pass without a cache."""

    def work():
        import torch

        ids = torch.tensor([engine._loaded.tokenizer(text, add_special_tokens=not rendered)["input_ids"]])
        with torch.inference_mode():
            logits = engine._loaded.model(input_ids=ids, use_cache=False).logits[0, :-1].double()
        log_probs, targets = logits.log_softmax(-1), ids[0, 1:]
        return log_probs.gather(1, targets[:, None])[:, 0].tolist(), (log_probs.argmax(-1) == targets).tolist()

    return engine_thread().run(work)


@pytest.fixture(scope="module")
def small(tiny_folder, opened):
    engine = opened(tiny_folder, context=1024)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def gemma(tiny_gemma_folder, opened):
    engine = opened(tiny_gemma_folder, context=1024)
    yield engine
    engine.close()


def check_equal(engine, text, rendered=False):
    found, _ = scored(engine, text, rendered)
    wanted, likeliest = plain(engine, text, rendered)
    assert found.log_probabilities == pytest.approx(wanted, abs=1e-4)
    assert list(found.likeliest) == likeliest
    assert numpy.exp(-numpy.mean(found.log_probabilities)) == pytest.approx(numpy.exp(-numpy.mean(wanted)), rel=1e-4)
    assert len(found.tokens) == len(found.log_probabilities) == len(found.likeliest)


@pytest.mark.parametrize("chunk", [3, 17, 128, 4096])
def test_scores_are_those_of_one_forward_pass(small, gemma, monkeypatch, chunk):
    monkeypatch.setattr(scoring, "CHUNK", chunk)
    check_equal(small, LONG[:300])
    check_equal(gemma, LONG[:300])  # its window is 16 tokens


def test_the_real_model(smollm2):
    check_equal(smollm2, STORY[:800])


@pytest.mark.slow
def test_a_real_model_with_a_window(runtime, opened):
    engine = opened(runtime.fetch(Variant("gemma-3-270m", "fp32")).path)
    try:
        check_equal(engine, STORY[:600])
        found, _ = scored(engine, STORY[:600])
        assert found.bytes == 600, "the start token, which Gemma's tokenizer adds, is not scored"
    finally:
        engine.close()


def test_a_rendered_prompt_gets_no_start_token(smollm2):
    prompt = smollm2.render([Message("user", "Hi")])
    check_equal(smollm2, prompt.text, rendered=True)


def test_progress_counts_tokens(small, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 20)
    found, steps = scored(small, TEXT)
    total = len(found.tokens)
    assert [step.done for step in steps] == [*range(0, total, 20), total]
    assert {(step.total, step.unit) for step in steps} == {(total, "tokens")}


def test_tokens_and_bytes_are_those_of_the_text(small, smollm2):
    for engine in (small, smollm2):
        found, _ = scored(engine, TEXT)
        first = engine._loaded.tokenizer.decode(engine._loaded.tokenizer(TEXT)["input_ids"][:1])
        assert first + "".join(found.tokens) == TEXT
        assert found.bytes == len(TEXT.encode()) - len(first.encode())
        assert found.offset == 1


def test_too_short_too_long_and_closed(tiny_folder, opened):
    engine = opened(tiny_folder, context=64)
    with pytest.raises(TextTooShort) as caught:
        scored(engine, "")
    assert caught.value.facts == {"tokens": 1}
    with pytest.raises(ContextExceeded) as too_long:
        scored(engine, LONG)
    assert too_long.value.facts["context"] == 64
    ids = engine._loaded.tokenizer(LONG)["input_ids"][:64]
    exact = engine._loaded.tokenizer.decode(ids)
    if len(engine._loaded.tokenizer(exact)["input_ids"]) == 64:
        assert len(scored(engine, exact)[0].tokens) == 63
    engine.close()
    with pytest.raises(EngineFailed):
        scored(engine, TEXT)


def test_closing_stops_within_one_chunk(small, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 8)
    calls = []
    hook = small._loaded.model.register_forward_pre_hook(lambda module, args: calls.append(1))
    try:
        stream = small.score(Prompt(LONG))
        next(stream)
        next(stream)
        stream.close()
        then = len(calls)
        engine_thread().run(lambda: None)
        assert len(calls) - then <= 1
    finally:
        hook.remove()
    assert scored(small, TEXT)


def test_logits_of_one_chunk_at_a_time(small, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 16)
    shapes = []
    hook = small._loaded.model.register_forward_hook(lambda module, args, out: shapes.append(out.logits.shape[1]))
    scored(small, LONG)
    hook.remove()
    assert max(shapes) == 16


def test_answers_are_not_disturbed(tiny):
    def answer():
        return list(tiny.generate(Prompt(TEXT), Sampling(max_new_tokens=12, temperature=0)))

    first = answer()
    held = len(tiny._prefixes), tiny._prefixes.bytes
    scored(tiny, LONG)
    scored(tiny, TEXT)
    assert (len(tiny._prefixes), tiny._prefixes.bytes) == held
    second = answer()
    assert "".join(delta.text for delta in first) == "".join(delta.text for delta in second)
    assert second[-1].usage.cached_tokens > 0


# --- records and references -----------------------------------------------------------------------------------


def test_a_record_holds_all_log_probabilities(small, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 19)
    found, _ = scored(small, TEXT, record=str(tmp_path / "a.npy"))
    rows = numpy.load(tmp_path / "a.npy")
    assert rows.dtype == numpy.float32
    assert rows.shape == (len(found.tokens), small._loaded.model.config.vocab_size)
    assert numpy.exp(rows.astype(float)).sum(axis=1) == pytest.approx(1, abs=1e-5)
    ids = small._loaded.tokenizer(TEXT)["input_ids"][1:]
    assert tuple(rows[range(len(ids)), ids]) == pytest.approx(found.log_probabilities)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "a.npy.tokens.json"]


def test_a_model_agrees_with_itself(small, tmp_path):
    reference = str(tmp_path / "a.npy")
    scored(small, TEXT, record=reference)
    found, _ = scored(small, TEXT, reference=reference)
    assert all(found.agrees)
    assert found.divergences == (0.0,) * len(found.tokens)
    assert found.log_probabilities == scored(small, TEXT)[0].log_probabilities


def test_divergence_from_another_model(small, tiny_folder, opened, tmp_path):
    scored(small, TEXT, record=str(tmp_path / "a.npy"))
    other = opened(tiny_folder, "nf4", 1024)
    try:
        found, _ = scored(other, TEXT, record=str(tmp_path / "b.npy"), reference=str(tmp_path / "a.npy"))
    finally:
        other.close()
    mine, theirs = (numpy.load(tmp_path / name).astype(float) for name in ("b.npy", "a.npy"))
    assert found.divergences == pytest.approx((numpy.exp(theirs) * (theirs - mine)).sum(axis=1), abs=1e-9)
    assert min(found.divergences) > 0
    assert list(found.agrees) == (mine.argmax(axis=1) == theirs.argmax(axis=1)).tolist()
    assert not all(found.agrees)


def test_references_that_do_not_fit(small, gemma, tmp_path):
    path = tmp_path / "a.npy"
    scored(small, TEXT, record=str(path))
    with pytest.raises(ReferenceDiffers, match="other tokens"):
        scored(small, TEXT + "more", reference=str(path))
    with pytest.raises(ReferenceDiffers, match="cannot be read"):
        scored(small, TEXT, reference=str(tmp_path / "none.npy"))
    rows = numpy.load(path)
    numpy.save(path, rows[:, :-7])
    with pytest.raises(ReferenceDiffers, match="its vocabulary has"):
        scored(small, TEXT, reference=str(path))
    numpy.save(path, rows[:-1])
    with pytest.raises(ReferenceDiffers, match="incomplete"):
        scored(small, TEXT, reference=str(path))
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ReferenceDiffers, match="cannot be read"):
        scored(small, TEXT, reference=str(path))


def test_a_record_that_was_not_finished_leaves_nothing(small, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 8)
    stream = small.score(Prompt(LONG), record=str(tmp_path / "a.npy"))
    for _ in range(4):
        next(stream)
    assert len(list(tmp_path.iterdir())) == 1
    stream.close()
    engine_thread().run(lambda: None)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(small, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(DiskFull) as caught:
        scored(small, TEXT, record=str(tmp_path / "a.npy"))
    assert caught.value.facts["free"] == "1 kB"
    monkeypatch.undo()

    def refuse(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(score_files.os, "posix_fallocate", refuse)
    with pytest.raises(DiskFull):
        scored(small, TEXT, record=str(tmp_path / "a.npy"))
    assert list(tmp_path.iterdir()) == []
