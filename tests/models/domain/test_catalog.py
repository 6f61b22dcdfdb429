"""The table of models: sizes that hit the published totals, complete entries, errors that name the entry."""

import re
from dataclasses import replace
from itertools import groupby

import pytest

from models.domain.catalog import Catalog, GgufFile, gguf_label, is_toy, load_catalog
from models.domain.errors import UnknownModel
from models.domain.quantization import GGUF_BITS
from models.domain.variant import Variant

CATALOG = load_catalog()
COMMIT = re.compile(r"[0-9a-f]{40}")

PUBLISHED = {
    # by the repositories' safetensors headers, as the Hub's API tells them (`safetensors.total`)
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
    "smollm3-3b": 3_075_098_624,
    "gemma-3-270m": 268_098_176,
    "gemma-3-1b": 999_885_952,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-coder-1.5b": 1_543_714_304,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-30b-a3b": 30_532_122_624,
    "lfm2-350m": 354_483_968,
    "lfm2-700m": 742_489_344,
    "lfm2-1.2b": 1_170_340_608,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.3-70b": 70_553_706_496,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "tinyllama-1.1b": 1_100_048_384,
    "zephyr-7b-beta": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552,
    "phi-4-mini": 3_836_021_760,
    "olmo-3-7b": 7_298_011_136,
    "gpt-oss-20b": 20_914_757_184,
    # the same total holds the head a second time: by the Keras presets of Qwen3
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    # the same total holds what sees too: of the text alone as llama.cpp counts the GGUF (`n_params`)
    "qwen3.5-0.8b": 752_393_024,
    "qwen3.5-2b": 1_881_825_088,
    "qwen3.5-4b": 4_205_751_296,
    "qwen3.5-9b": 8_953_803_264,
    "qwen3.5-35b-a3b": 34_660_610_688,
    "gemma-3-4b": 3_880_263_168,
    "gemma-3-12b": 11_766_034_176,
    "granite-4.0-h-micro": 3_191_396_096,
    # less the keys and values (and their norms) of layers that share those of others, which the files hold and no
    # model has, and less what llama.cpp counts besides: 256 rotary factors, a scalar a layer
    "gemma-4-e2b": 4_647_450_147 - (16 * (2 * 1536 * 256 + 256) + 4 * (2 * 1536 * 512 + 512)) - 256 - 35,
    "gemma-4-e4b": 7_518_069_290 - (15 * (2 * 2560 * 512 + 256) + 3 * (2 * 2560 * 1024 + 512)) - 256 - 42,
    # less what sees: Pixtral's tower and a projector from 1,024 to `hidden`; of the 8B also FP8's scales, two a matrix
    "ministral-3-3b": 3_849_090_048 - 420_083_712,
    "ministral-3-8b": 8_918_026_716 - 428_472_320 - 34 * 7 * 2,
    "llama-4-scout-17b-16e": 108_641_793_536 - 871_932_416,
}
# No total is published that could be found; its GGUF of 901,162,208 bytes has the usual bits a weight.
UNPUBLISHED = {"granite-4.0-h-1b"}


def size_of(key):
    return re.sub(r"-(instruct|chat|it|base)(?=-|$)", "", key)


@pytest.mark.parametrize("key", [key for key in CATALOG if size_of(key) not in UNPUBLISHED])
def test_parameters_are_the_published_total(key):
    assert CATALOG[key].parameters == PUBLISHED[size_of(key)]


def test_every_published_model_is_listed():
    assert {size_of(key) for key in CATALOG} == {*PUBLISHED, *UNPUBLISHED}


def test_files_have_the_usual_bits_a_weight():
    for card in CATALOG.values():
        if card.gguf and card.gguf.bytes:
            usual = GGUF_BITS[card.gguf.label.upper()] * card.parameters / 8
            assert 0.9 < card.gguf.bytes / usual < 1.35, card.key  # embeddings have more bits, much in small models


@pytest.mark.parametrize("key", CATALOG)
def test_entry_is_complete(key):
    card = CATALOG[key]
    assert key == card.key == key.lower()
    assert Variant.parse(key) == Variant(key)
    assert Variant.parse(f"{card.hub_id}={card.revision or 'main'}").is_hub_id
    assert card.title
    assert card.family
    assert card.licence
    assert card.licence in ("Apache-2.0", "MIT") or card.licence_url.startswith("https://")
    assert 2048 <= card.context <= 10_485_760
    assert "en" in card.languages
    assert card.is_base == (card.kind == "base")


@pytest.mark.parametrize("key", CATALOG)
def test_repositories_are_well_spelled(key):
    card = CATALOG[key]
    forms = [(form.repo, form.revision) for form in card.quantized]
    if card.gguf:
        forms.append((card.gguf.repo, card.gguf.revision))
        assert re.fullmatch(r"[\w.-]+\.gguf", card.gguf.file)
        assert card.gguf.bytes is None or 0.5 < card.gguf.bytes * 8 / card.parameters < 16
    for repo, revision in [(card.hub_id, card.revision), *forms]:
        assert Variant(repo).is_hub_id
        assert revision is None or COMMIT.fullmatch(revision)
    assert {form.method for form in card.quantized} <= {"gptq", "awq"}
    assert all(form.bits == 4 and form.group in (-1, 128) for form in card.quantized)


@pytest.mark.parametrize("key", CATALOG)
def test_labels_are_found_in_file_names(key):
    card = CATALOG[key]
    if card.wheel:
        assert gguf_label(card.wheel.file).upper() in GGUF_BITS
    if card.gguf:
        labels = [card.gguf.label, *card.gguf.more]
        assert len({label.lower() for label in labels}) == len(labels)
        assert all(label.upper() in GGUF_BITS for label in labels)
        assert all(label.islower() == card.gguf.label.islower() for label in labels), "spelled as in the file names"
        for label in card.gguf.more:
            other = card.gguf.other(label)
            assert (other.repo, other.revision, other.label) == (card.gguf.repo, card.gguf.revision, label)
            assert other.file == card.gguf.file.replace(card.gguf.label, label)
            assert (other.bytes, other.more) == (None, ())


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("SmolLM2-135M-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-q8_0.gguf", "q8_0"),
        ("m-f16.gguf", "f16"),
        ("m-IQ4_XS.gguf", "IQ4_XS"),
        ("q8_0-m.gguf", ""),
        ("m.gguf", ""),
        ("m-Q8_0.gguf.part1", ""),
        ("mQ8_0.gguf", ""),
    ],
)
def test_label_of_a_file(file, label):
    assert gguf_label(file) == label
    assert GgufFile("o/n", file).label == label


@pytest.mark.parametrize(("by", "wins"), [(1.0, False), (1.03, False), (0.985, False), (1.06, True), (0.1, False)])
def test_counted_parameters_win_beyond_5_percent(by, wins):
    card = CATALOG["smollm2-135m"]
    counted = round(card.shape.parameters * by)
    assert replace(card, counted_parameters=counted).parameters == (counted if wins else card.shape.parameters)


def test_wheels_are_whole():
    for card in CATALOG.values():
        if card.wheel:
            assert re.fullmatch(r"[0-9a-f]{64}", card.wheel.sha256)
            assert all(re.fullmatch(r"[\w.-]+==[\w.]+", requirement) for requirement, _ in card.wheel.parts)


def test_toys_and_the_first_good_model():
    assert {key for key, card in CATALOG.items() if is_toy(card.parameters)} == {
        "smollm2-135m-instruct",
        "smollm2-135m",
        "smollm2-360m-instruct",
        "smollm2-360m",
        "gemma-3-270m",
        "gemma-3-270m-it",
        "lfm2-350m",
    }
    assert not is_toy(0), "of a model elsewhere nothing is known"
    assert CATALOG.good is CATALOG["qwen2.5-coder-1.5b-instruct"]
    assert Catalog((CATALOG["llama-3.2-1b-instruct"], CATALOG["gemma-3-270m"])).good is None


def test_gated_models():
    gated = {card.family for card in CATALOG.values() if card.gated}
    assert gated == {"Gemma 3", "Llama 2", "Llama 3.1", "Llama 3.2", "Llama 3.3", "Llama 4"}
    assert all(card.gated for card in CATALOG.values() if card.family in gated)


def test_families_stand_together_and_the_default_is_first():
    families = [card.family for card in CATALOG.values()]
    assert len(list(groupby(families))) == len(set(families))
    assert next(iter(CATALOG)) == "smollm2-135m-instruct"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("smollm2-135-instruct", "smollm2-135m-instruct"),
        ("SmolLM2-135M-Instruct", "smollm2-135m-instruct"),
        ("llama-2-7b-caht", "llama-2-7b-chat"),
    ],
)
def test_unknown_key_suggests_the_nearest(key, nearest):
    with pytest.raises(UnknownModel) as caught:
        CATALOG[key]
    assert caught.value.hint.startswith(f"Did you mean {nearest}")


def test_unknown_key_far_from_all():
    with pytest.raises(UnknownModel, match="Pick one from the list"):
        CATALOG["§"]
    assert "§" not in CATALOG
    assert CATALOG.get("§") is None


GOOD = """
[broken]
title = "T"
family = "F"
kind = "base"
hub_id = "o/n"
licence = "MIT"
context = 2048

[broken.shape]
model_type = "llama"
num_hidden_layers = 1
hidden_size = 8
num_attention_heads = 2
num_key_value_heads = 1
intermediate_size = 16
vocab_size = 32
tie_word_embeddings = true
"""


def load(tmp_path, text):
    path = tmp_path / "catalog.toml"
    path.write_text(text, encoding="utf-8")
    return load_catalog(path)


def test_small_entry_by_hand(tmp_path):
    # embeddings 32*8; attention 8*(2*8 + 2*4); feed-forward 3*8*16; norms 2*8; last norm 8
    assert load(tmp_path, GOOD)["broken"].parameters == 256 + 192 + 384 + 16 + 8


@pytest.mark.parametrize(
    "text",
    [
        'broken = "not a table"',
        GOOD.replace("kind", 'colour = "red"\nkind'),
        GOOD.replace('licence = "MIT"\n', ""),
        GOOD.replace('"base"', '"chat"'),
        GOOD.replace("2048", '"2048"'),
        GOOD.replace("2048", "0"),
        GOOD.replace("num_hidden_layers", "layers"),
        GOOD.replace("num_key_value_heads", "kv_heads"),
        GOOD.replace("llama", "unheard_of"),
        GOOD.replace("[broken.shape]", "shape = 3\n[broken.form]"),
        GOOD.replace("[broken.shape]", "[broken.gguf]"),
        GOOD.replace("kind", 'wheel = { file = "f", bytes = 1, sha256 = "0" }\nkind'),
        GOOD.replace("kind", 'quantized = ["gptq"]\nkind'),
        GOOD.replace("kind", 'languages = ["Chinese"]\nkind'),
    ],
)
def test_malformed_entry_is_named(tmp_path, text):
    with pytest.raises(ValueError, match=r"catalog\.toml: broken"):
        load(tmp_path, text)
