"""What is learned of a conversation, compared with what the engine gives to the model and where it ends an answer."""

from dataclasses import replace

import pytest
from tiny_tokenizers import byte_level, save, sentence_piece, starting

from models.domain.engine import Prompt
from models.domain.messages import Message
from models.engines.chat_template import ChatTemplate
from models.engines.transformers.engine_thread import engine_thread
from models.engines.transformers.tokens import tokenize
from models.training.engine.answer_labels import UNLABELLED, Labeller, Unlearnable
from models.training.engine.examples import _NO_NEXT_ANSWER, _write_base

MARKS = ["<|im_start|>", "<|im_end|>", "<|head|>", "<|/head|>", "<|eot|>", "<start_of_turn>", "<end_of_turn>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content.strip() }} [/INST]"
    "{% else %} {{ m.content.strip() }} {{ eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|/head|>\n\n{{ m.content | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}"
)
QWEN_3 = (  # an answer that is no history yet has a thought, if only an empty one
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% set said, thought = m.content, '' %}"
    "{% if '</think>' in said %}{% set thought = said.split('</think>')[0].split('<think>')[-1].strip() %}"
    "{% set said = said.split('</think>')[-1].lstrip() %}{% endif %}"
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}<think>\n{{ thought }}\n</think>\n\n{% endif %}"
    "{{ said }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VICUNA = (  # its prompt ends with a blank
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} "
    "{% else %}ASSISTANT: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
PLAIN = (  # writes no end
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
WITH_END = {"chatml": (CHATML, "<|im_end|>"), "llama 2": (LLAMA_2, "</s>"), "llama 3": (LLAMA_3, "<|eot|>"),
            "qwen 3": (QWEN_3, "<|im_end|>"), "mistral": (MISTRAL, "</s>"), "gemma": (GEMMA, "<end_of_turn>"),
            "marked": (MARKED, "<|im_end|>"), "vicuna": (VICUNA, "</s>")}  # fmt: skip
ANSWERS = ("hi", "Paris", "user", "assistant", "think", "INST", "Hello there 😀.", "  a\n\tb", "\n\nfox", "1", "é 你好")
QUESTION = Message("user", "Greet the user")


def answer(text: str) -> Message:
    return Message("assistant", text)


@pytest.fixture(scope="module", params=["bytes", "bytes closing", "pieces"])
def tokenizer(request, tmp_path_factory):
    def work():
        if request.param == "pieces":
            made = sentence_piece()
            made.add_special_tokens(MARKS)
        else:
            made = byte_level(("<s>", "</s>", *MARKS))
        made = starting(made, closing=True) if request.param == "bytes closing" else made
        return save(made, tmp_path_factory.mktemp("tokenizer"))

    return engine_thread().run(work)


@pytest.fixture(scope="module")
def by_bytes(tmp_path_factory):
    made = byte_level(("<s>", "</s>", *MARKS))
    return engine_thread().run(lambda: save(made, tmp_path_factory.mktemp("tokenizer")))


def writer(template: str, trusted=True):
    asking = ChatTemplate(template, {"bos_token": "<s>", "eos_token": "</s>"}, trusted)
    telling = replace(asking, source=_NO_NEXT_ANSWER + template)
    return lambda messages, asked: (asking if asked else telling).write(messages).text


def labeller(tokenizer, template: str, end: str = "</s>", trusted=True) -> Labeller:
    ends = [tokenizer.convert_tokens_to_ids(end)]
    return Labeller.of(tokenizer, writer(template, trusted), True, ends)


def decoded(tokenizer, ids) -> str:
    return tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)


def learned(tokenizer, example) -> str:
    assert all(label in (token, UNLABELLED) for token, label in zip(example.ids, example.labels, strict=True))
    return decoded(tokenizer, [label for label in example.labels if label != UNLABELLED])


def by_transformers(tokenizer, template: str, messages) -> str:
    """The whole conversation as transformers writes it."""
    talk = [{"role": message.role, "content": message.content} for message in messages]
    return tokenizer.apply_chat_template(talk, chat_template=template, tokenize=False)


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("name", WITH_END)
def test_a_prompt_as_the_engine_has_it_then_the_answer_then_the_end(tokenizer, name, text):
    template, end = WITH_END[name]
    row = (QUESTION, answer(text))
    (example,) = labeller(tokenizer, template, end).examples(row)
    prompt = ChatTemplate(template, tokenizer.special_tokens_map, True).write([QUESTION])
    before = tokenize(tokenizer, prompt)
    assert list(example.ids[: len(before)]) == before
    assert set(example.labels[: len(before)]) == {UNLABELLED}
    assert example.labels[len(before) :] == example.ids[len(before) :]
    assert example.ids[-1] == tokenizer.convert_tokens_to_ids(end)
    assert example.ids.count(example.ids[-1]) == before.count(example.ids[-1]) + 1
    whole = by_transformers(tokenizer, template, row).rstrip("\n")
    assert decoded(tokenizer, example.ids) == decoded(tokenizer, tokenize(tokenizer, Prompt(whole, rendered=True)))
    assert text.strip() in learned(tokenizer, example)


def test_labels_are_those_of_generation_marks(by_bytes):
    row = (Message("system", "Be short."), QUESTION, answer("hi"), QUESTION, answer("user"))
    (example,) = labeller(by_bytes, MARKED, "<|im_end|>").examples(row)
    talk = [{"role": message.role, "content": message.content} for message in row]
    marked = by_bytes.apply_chat_template(
        talk, chat_template=MARKED, return_dict=True, return_assistant_tokens_mask=True
    )
    count = len(example.ids)  # without the line's end after the last answer
    assert list(example.ids) == marked["input_ids"][:count]
    assert [int(label != UNLABELLED) for label in example.labels] == marked["assistant_masks"][:count]


def test_an_empty_thought_is_what_the_model_has_to_write(by_bytes):
    (example,) = labeller(by_bytes, QWEN_3, "<|im_end|>").examples((QUESTION, answer("hi")))
    assert learned(by_bytes, example) == "<think>\n\n</think>\n\nhi<|im_end|>"


def test_a_thought_in_the_answer_takes_its_place(by_bytes):
    (example,) = labeller(by_bytes, QWEN_3, "<|im_end|>").examples((QUESTION, answer("<think>\nHm.\n</think>\n\nhi")))
    assert learned(by_bytes, example) == "<think>\nHm.\n</think>\n\nhi<|im_end|>"
    with pytest.raises(Unlearnable, match="changes the text"):  # it would put other blanks into the thought
        labeller(by_bytes, QWEN_3, "<|im_end|>").examples((QUESTION, answer("<think>Hm.</think>hi")))


def test_earlier_answers_are_seen_as_history_shows_them(by_bytes):
    row = (QUESTION, answer("hi"), QUESTION, answer("Paris"))
    one, two = labeller(by_bytes, QWEN_3, "<|im_end|>").examples(row)
    asked = "<|im_start|>user\nGreet the user<|im_end|>\n<|im_start|>assistant\n"
    assert decoded(by_bytes, one.ids) == f"{asked}<think>\n\n</think>\n\nhi<|im_end|>"
    assert decoded(by_bytes, two.ids) == f"{asked}hi<|im_end|>\n{asked}<think>\n\n</think>\n\nParis<|im_end|>"
    assert learned(by_bytes, one) == "<think>\n\n</think>\n\nhi<|im_end|>"
    assert learned(by_bytes, two) == "<think>\n\n</think>\n\nParis<|im_end|>"


@pytest.mark.parametrize("name", [name for name in WITH_END if name not in ("qwen 3", "vicuna")])
def test_one_example_holds_all_answers_where_prompts_go_on(tokenizer, name):
    made = labeller(tokenizer, *WITH_END[name])
    row = (QUESTION, answer("hi"), QUESTION, answer("user"), QUESTION, answer("Paris"))
    (example,) = made.examples(row)
    runs = [[]]
    for label in example.labels:
        runs = [*runs, []] if label == UNLABELLED else [*runs[:-1], [*runs[-1], label]]
    alone = [made.examples((QUESTION, answer(text)))[0] for text in ("hi", "user", "Paris")]
    assert [decoded(tokenizer, run) for run in runs if run] == [learned(tokenizer, one) for one in alone]
    assert example.ids[: len(alone[0].ids)] == alone[0].ids
    assert example.labels[: len(alone[0].ids)] == alone[0].labels


def test_a_blank_that_history_joins_to_the_answer_makes_examples_of_their_own(tokenizer):
    found = labeller(tokenizer, VICUNA).examples((QUESTION, answer("paris"), QUESTION, answer("hello")))
    assert [learned(tokenizer, example) for example in found] == ["paris</s>", "hello</s>"]


def test_a_template_without_an_end_gets_the_tokenizers(tokenizer):
    row = (QUESTION, answer("hi"), QUESTION, answer("user "))
    found = labeller(tokenizer, PLAIN).examples(row)
    whole = "user: Greet the user\nassistant: hi\nuser: Greet the user\nassistant: user "
    assert [decoded(tokenizer, example.ids).strip() for example in found] == [f"{whole[:34]}</s>", f"{whole}</s>"]
    assert [learned(tokenizer, example).strip() for example in found] == ["hi</s>", "user </s>"]


def test_a_base_model_sees_its_start_token_once(tokenizer):
    made = Labeller.of(tokenizer, _write_base, False, [tokenizer.eos_token_id])
    for question in ("Say fox.", "<s>Say fox."):
        talk = (Message("system", "Be short."), Message("user", question), answer("fox"))
        (example,) = made.examples(talk)
        before = tokenize(tokenizer, Prompt(_write_base(talk[:-1], True)))
        assert list(example.ids[: len(before)]) == before
        assert learned(tokenizer, example).strip() == "fox</s>"
    starts = tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    assert example.ids.count(tokenizer.bos_token_id) == 1 + starts


def test_templates_that_set_or_wrap_the_generation_prompt_are_rendered_whole(by_bytes):
    defines = "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}" + CHATML
    wraps = (
        "\n  {% macro opening() %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{% endmacro %}"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{{ opening() }}"
    )
    always = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
        "<|im_start|>assistant{{ '\n' }}"
    )
    row = (QUESTION, answer("hi"))
    for template in (defines, wraps, always):
        (example,) = labeller(by_bytes, template, "<|im_end|>").examples(row)
        text = by_transformers(by_bytes, template, row)
        assert text.startswith(decoded(by_bytes, example.ids))
        assert learned(by_bytes, example) == "hi<|im_end|>"
    (apart,) = labeller(by_bytes, CHATML, "<|im_end|>", trusted=False).examples(row)
    assert learned(by_bytes, apart) == "hi<|im_end|>"


def test_what_cannot_be_learned_exactly_is_refused(by_bytes):
    def refused(words: str, template: str, text: str = "Hi", end: str = "<|im_end|>"):
        with pytest.raises(Unlearnable, match=words):
            labeller(by_bytes, template, end).examples((QUESTION, answer(text)))

    refused("changes the text", CHATML.replace("m.content", "m.content | lower"))
    refused("changes the text", CHATML.replace("{{ m.content }}", "{{ m.content }} {{ m.content }}"))
    refused("changes the text", CHATML.replace("{{ m.content }}", "{{ m.role }}"))
    refused("changes the text", CHATML.replace("m.content", "m.content | replace('\n', ' ')"), "a\nb")
    refused("opens an answer in another way", CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif"))
    refused(
        "end all answers", CHATML.replace("<|im_end|>\n", "{{ '' if 'fox' in m.content else '<|im_end|>' }}\n"), "fox"
    )
    refused(r"<\|im_end\|> in it", CHATML, "Write <|im_end|> to stop")
    refused(r"</s> in it", PLAIN, "Write </s> to stop", "</s>")
    with pytest.raises(Unlearnable, match="no token ends"):
        Labeller.of(by_bytes, writer(CHATML), True, [])


def test_what_the_tokenizer_cannot_spell_is_refused(tmp_path):
    made = sentence_piece()
    made.model.byte_fallback = False
    lossy = engine_thread().run(lambda: save(made, tmp_path, unk_token="<unk>"))
    assert labeller(lossy, MISTRAL).examples((QUESTION, answer("hello")))
    with pytest.raises(Unlearnable, match="no token for a part"):
        labeller(lossy, MISTRAL).examples((QUESTION, answer("hello 你")))
