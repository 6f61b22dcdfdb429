"""What is recorded of a text, whole or in part, and what a divergence is at least when only parts are known."""

import numpy
import pytest
import torch

from models.domain.errors import ReferenceDiffers
from models.engines.score_files import Record, Reference, divergence_at_least, record_likeliest

IDS = [3, 1, 4, 1]
WORDS = 50


def rows(seed, sharpness=3.0):
    """Log-probabilities of a vocabulary at three positions."""
    noise = numpy.random.default_rng(seed).normal(size=(len(IDS) - 1, WORDS)) * sharpness
    return noise - numpy.log(numpy.exp(noise).sum(-1, keepdims=True))


def whole_divergences(p, q):
    return (numpy.exp(p) * (p - q)).sum(-1)


def likeliest(values, count):
    tokens = numpy.argsort(-values, axis=-1)[:, :count]
    return tokens, numpy.take_along_axis(values, tokens, -1)


@pytest.fixture
def whole(tmp_path):
    path = str(tmp_path / "whole.npy")
    record = Record(path, IDS)
    record.write(0, torch.tensor(rows(1), dtype=torch.float32))
    record.finish()
    return Reference(path, IDS)


@pytest.fixture
def part(tmp_path):
    path = str(tmp_path / "part.npy")
    record_likeliest(path, IDS, *likeliest(rows(1), 10))
    return Reference(path, IDS)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 20.0])
def test_a_bound_is_never_above_the_divergence_and_grows_to_it(sharpness):
    for p, q in zip(rows(1, sharpness), rows(2, sharpness), strict=True):
        exact = whole_divergences(p, q)
        order = numpy.argsort(-q)
        bounds = [divergence_at_least(p[order[:count]], q[order[:count]]) for count in (1, 5, 20, WORDS)]
        assert bounds == sorted(bounds), "of more tokens it is tighter"
        assert bounds[0] == pytest.approx(0, abs=1e-12)
        assert bounds[-1] == pytest.approx(exact)
        some = order[:20]
        assert divergence_at_least(p[some], q[some] + 0.01) == pytest.approx(bounds[2]), "whatever the normalisation"


def test_tokens_that_the_reference_finds_impossible_count_nothing():
    assert divergence_at_least([-numpy.inf, 0.0], [-1.0, -0.5]) == pytest.approx(numpy.log1p(numpy.exp(-0.5)))
    assert divergence_at_least([-numpy.inf], [-1.0]) == 0
    assert divergence_at_least([], []) == 0


def test_whole_and_part_are_compared_over_what_both_know(whole, part):
    other = rows(2)
    exact = whole_divergences(rows(1), other)
    tensor = torch.tensor(other, dtype=torch.float32)
    agrees, divergences = whole.compare(0, tensor, tensor.argmax(-1))
    assert (whole.is_whole, part.is_whole) == (True, False)
    assert divergences == pytest.approx(exact, rel=1e-4)
    same, bounds = part.compare(0, tensor, tensor.argmax(-1))
    assert same == agrees
    assert all(0 < bound < full for bound, full in zip(bounds, exact, strict=True))
    for place, (tokens, log_probs) in enumerate(zip(*likeliest(other, 10), strict=True)):
        for reference in (whole, part):
            agreed, bound = reference.compare_some(place, tokens.tolist(), log_probs.tolist())
            assert agreed == agrees[place]
            assert 0 <= bound < exact[place]


def test_a_part_equals_itself(part):
    for place, (tokens, log_probs) in enumerate(zip(*likeliest(rows(1), 10), strict=True)):
        agreed, bound = part.compare_some(place, tokens.tolist(), log_probs.tolist())
        assert (agreed, bound) == (True, pytest.approx(0, abs=1e-6))


def test_other_tokens_and_a_smaller_vocabulary_are_refused(whole, part, tmp_path):
    with pytest.raises(ReferenceDiffers, match="other tokens"):
        Reference(str(tmp_path / "part.npy"), [3, 1, 4, 2])
    with pytest.raises(ReferenceDiffers, match="has 50 tokens, and the other has token 50"):
        whole.compare_some(0, [50, 1], [-0.1, -3.0])
    few = torch.zeros(3, 5)
    with pytest.raises(ReferenceDiffers, match="one vocabulary has 5 tokens"):
        part.compare(0, few, few.argmax(-1))
    (tmp_path / "part.npy").write_bytes(b"PK broken")
    with pytest.raises(ReferenceDiffers, match="cannot be read"):
        Reference(str(tmp_path / "part.npy"), IDS)
