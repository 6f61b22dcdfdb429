"""Every error is two good sentences, and crosses a process boundary unchanged."""

import copy
import json
import pickle
from string import Formatter

import pytest

from models.domain.errors import EngineFailed, PaddockError, from_dict
from models.domain.messages import from_wire, to_wire


def _subclasses(cls):
    return [cls, *(deeper for child in cls.__subclasses__() for deeper in _subclasses(child))]


CLASSES = [cls for cls in _subclasses(PaddockError) if cls.__module__ == "models.domain.errors"]
SPECIAL = {"suggestion": "Did you mean smollm2-135m?"}  # a sentence of its own


def sample(cls):
    """The error with a value for each fact of its sentences: a number where they format one."""
    fields = [f for text in (cls.sentence, cls.next_step) for f in Formatter().parse(text)]
    return cls(
        **{name: SPECIAL.get(name, 12345 if spec else f"<{name}>") for _, name, spec, _ in fields if name is not None}
    )


@pytest.mark.parametrize("cls", CLASSES)
def test_sentences(cls):
    error = sample(cls)
    for text in (error.message, error.hint):
        assert text[0].isupper() or text[0] in "“<1"  # or starts with a fact
        assert text.endswith((".", "?")) or cls.sentence.endswith("{detail}")
        assert "  " not in text
        assert ".." not in text
    for value in error.facts.values():
        assert str(value) in str(error).replace(",", "")


@pytest.mark.parametrize("cls", CLASSES)
def test_own_code(cls):
    assert "code" in vars(cls)
    assert [other for other in CLASSES if other.code == cls.code] == [cls]
    assert cls.__doc__ or cls.sentence != PaddockError.sentence


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "through",
    [
        lambda error: from_dict(json.loads(json.dumps(error.to_dict()))),
        lambda error: pickle.loads(pickle.dumps(error)),
        copy.copy,
    ],
    ids=["json", "pickle", "copy"],
)
def test_comes_back(cls, through):
    error = sample(cls)
    back = through(error)
    assert type(back) is cls
    assert (back.facts, back.message, back.hint, str(back)) == (error.facts, error.message, error.hint, str(error))


@pytest.mark.parametrize("cls", CLASSES)
def test_is_raised_at_the_other_end_of_the_wire(cls):
    error = sample(cls)
    with pytest.raises(cls) as caught:
        from_wire(json.loads(json.dumps(to_wire(error))))
    assert type(caught.value) is cls
    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ({}, "unknown"),
        ({"code": "from_the_future", "facts": {"x": 1}, "message": "New."}, "New."),
        ({"code": "context_exceeded", "message": "Too long."}, "Too long."),
        ({"code": "context_exceeded", "facts": None, "message": "Too long."}, "Too long."),
        ({"code": "context_exceeded", "facts": {"prompt_tokens": "many", "context": 1}, "message": "No."}, "No."),
    ],
)
def test_data_that_fits_no_class(data, detail):
    error = from_dict(data)
    assert type(error) is EngineFailed
    assert error.facts == {"detail": detail}


def test_facts_are_never_formatted_again():
    assert EngineFailed(detail="{detail!r} {x}").message == "The model stopped with an error: {detail!r} {x}."
