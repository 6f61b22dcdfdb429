"""A number that is none is no result: neither a text nor a figure is made of NaN or infinity."""

import shutil
from dataclasses import replace

import numpy
import pytest
from lora_files import write_adapter
from safetensors.numpy import load_file, save_file

from models.domain.engine import Prompt
from models.domain.errors import NotFinite
from models.domain.load import ActiveAdapter
from models.domain.messages import Message, Sampling
from models.domain.request import CompareRequest
from models.domain.settings import Settings
from models.domain.variant import Variant

TEXT = Prompt("Once upon a time there was a fox.")
GREEDY = Sampling(max_new_tokens=4, temperature=0)


def spoil(tensor, values):
    """A function that changes one tensor of a folder's weights."""

    def change(folder):
        held = load_file(folder / "model.safetensors")
        held[tensor] = values(held[tensor].copy())
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def at(place, value):
    def change(values):
        values[place] = value
        return values

    return change


SPOILED = {
    "NaN": spoil("model.layers.1.mlp.up_proj.weight", at((3, 3), numpy.nan)),
    "infinity": spoil("lm_head.weight", at(7, numpy.inf)),
    "overflow": spoil("model.layers.0.input_layernorm.weight", lambda values: numpy.full_like(values, 3e38)),
}


@pytest.fixture
def folder_of(tiny_folder, tmp_path):
    def made(kind):
        folder = tmp_path / "lab" / kind
        shutil.copytree(tiny_folder, folder)
        SPOILED.get(kind, lambda folder: None)(folder)
        return folder

    return made


@pytest.mark.parametrize("kind", SPOILED)
def test_weights_that_are_no_numbers_answer_and_score_nothing(folder_of, opened, kind, tmp_path):
    engine = opened(folder_of(kind))
    for sampling in (GREEDY, replace(GREEDY, temperature=0.8)):
        seen = []
        with pytest.raises(NotFinite, match="while answering"):
            seen.extend(engine.generate(TEXT, sampling))
        assert not "".join(delta.text for delta in seen)
    with pytest.raises(NotFinite, match="while scoring"):
        list(engine.score(TEXT, record=str(tmp_path / "kept.npy")))
    assert not (tmp_path / "kept.npy").exists()
    engine.close()


def test_overflow_in_a_small_type_is_told_and_a_wider_one_answers(folder_of, opened):
    folder = folder_of("good")
    spoil("model.layers.0.mlp.down_proj.weight", lambda values: values * 3e4)(folder)
    narrow, wide = opened(folder, "fp16"), opened(folder, "fp32")
    with pytest.raises(NotFinite):
        list(narrow.generate(TEXT, GREEDY))
    assert list(wide.generate(TEXT, GREEDY))[-1].usage.finish
    narrow.close()
    wide.close()


def test_an_adapter_of_extreme_strength_answers_nothing_and_leaves_the_base_alone(tiny, tmp_path):
    adapter = ActiveAdapter(write_adapter(tmp_path, "huge", size=1e19), 2.0)
    before = [delta.text for delta in tiny.generate(TEXT, GREEDY)]
    for _ in range(2):
        with pytest.raises(NotFinite):
            list(tiny.generate(TEXT, GREEDY, rows=[(adapter,)]))
        with pytest.raises(NotFinite):
            list(tiny.generate(TEXT, GREEDY, rows=[(), (adapter,)]))
        assert [delta.text for delta in tiny.generate(TEXT, GREEDY)] == before


def test_compare_has_no_figures_of_it_nor_against_it(folder_of, tmp_path):
    from models.runtime import Runtime
    from models.studies.compare import compare

    for kind in ("good", "NaN"):
        folder_of(kind)
    runtime = Runtime(Settings(models_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"), preload=False))
    broken, good = (Variant.parse(f"lab/{kind}@fp32") for kind in ("NaN", "good"))
    histories = ((Message("user", "Hi"),),) * 2
    request = CompareRequest((broken, good), histories, GREEDY, reference=broken, text=TEXT.text)
    first, second = list(compare(runtime, request))[-1].columns
    assert ("computed NaN or infinity" in first.error, first.answer) == (True, "")
    assert (first.figures.agreement, first.figures.divergence, first.figures.perplexity) == (None, None, None)
    assert not second.error
    assert second.answer
    assert (second.figures.agreement, second.figures.divergence) == (None, None)
    assert second.figures.perplexity > 1
    for line in runtime.held():
        runtime.eject(line.name)
