"""Which template of a model counts, and what is said where a visitor's words are not where they put them."""

import json
from types import SimpleNamespace

import pytest

from models.domain.errors import NoTemplate, TemplateFailed
from models.domain.messages import Message
from models.engines.chat_template import FOLDED, LEFT_OUT, QUESTION_LEFT_OUT, ChatTemplate, template_of

NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
FIRST = "{{ messages[0].role }}: {{ messages[0].content }} ({{ messages | length }})"
ALL = "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}"
TURNS = [
    Message("system", "Be brief."),
    Message("user", "  Hi 😀 "),
    Message("assistant", "Hello."),
    Message("user", "Bye"),
]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_refused_system_prompt_goes_to_the_first_question_and_is_told(trusted):
    prompt = ChatTemplate(NO_SYSTEM + FIRST, trusted=trusted).write(TURNS)
    assert (prompt.text, prompt.notes) == ("user: Be brief.\n\n  Hi 😀  (3)", (FOLDED,))
    assert prompt.rendered


def test_a_whole_prompt_has_nothing_to_say():
    prompt = ChatTemplate(ALL, trusted=True).write(TURNS)
    assert prompt.text.startswith("system: Be brief.\nuser: Hi 😀\n")
    assert prompt.notes == ()


@pytest.mark.parametrize(
    ("template", "notes"),
    [
        ("{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}", (LEFT_OUT,)),
        ("{{ messages[0].content }}{{ messages[-1].content }}", (QUESTION_LEFT_OUT,)),
        ("nothing", (LEFT_OUT, QUESTION_LEFT_OUT)),
    ],
)
def test_what_a_template_leaves_out_is_told(template, notes):
    assert ChatTemplate(template, trusted=True).write(TURNS).notes == notes


def test_a_template_that_takes_too_much_is_not_tried_twice():
    with pytest.raises(TemplateFailed, match="too much"):
        ChatTemplate("{{ 'a' * 10**9 }}").write(TURNS)


def tokenizer(template):
    return SimpleNamespace(chat_template=template, special_tokens_map={"bos_token": "<s>"})


def test_the_default_of_several_templates_counts(tmp_path):
    found = template_of(tokenizer({"tool_use": "tools", "default": "{{ bos_token }}usual"}), str(tmp_path), True)
    assert found.write(TURNS[1:2]).text == "<s>usual"


def test_several_templates_without_a_default_are_refused_by_their_names(tmp_path):
    with pytest.raises(NoTemplate, match=r"rag, tool_use.*none of them is the default"):
        template_of(tokenizer({"tool_use": "tools", "rag": "documents"}), str(tmp_path), True).write(TURNS)


def test_the_file_of_processors_stands_in_for_a_tokenizers_template(tmp_path):
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "of the processor"}))
    assert template_of(tokenizer(None), str(tmp_path), True).source == "of the processor"
    assert template_of(tokenizer("its own"), str(tmp_path), True).source == "its own"
    for broken in ('{"chat_template": 3}', "[]", "{"):
        (tmp_path / "chat_template.json").write_text(broken)
        with pytest.raises(NoTemplate, match="has no chat template"):
            template_of(tokenizer(None), str(tmp_path), True).write(TURNS)
