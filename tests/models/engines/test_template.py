"""Templates render as transformers renders them, and a hostile one ends with an error in time."""

import time

import pytest

from models.domain.errors import TemplateFailed
from models.engines.template import render, render_untrusted
from models.engines.transformers.engine_thread import engine_thread

SMOLLM2 = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
FEATURES = (
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}"
    "{% set ns.n = ns.n + 1 %}{{ m | tojson }}{% generation %}{{ dict(a=1) | tojson }}{% endgeneration %}\n"
    "  {% if m.role == 'user' %}\n  u\n  {% endif %}\n{% endfor %}{{ ns.n }}{{ messages | length }}"
)
# Templates ask whether they were given tools and documents, and name whatever special token there is.
GIVEN = (
    "{% if tools is not none %}[TOOLS]{{ tools | length }}{% endif %}{% if documents is not none %}[DOCS]{% endif %}"
    "{{ pad_token }}{{ unk_token }}{{ image_token }}{{ sep_token is defined }}{{ tools is defined }}"
    "{{ messages[0].content }}"
)
TURNS = [
    {"role": "system", "content": "Be brief. <b>&é</b>"},
    {"role": "user", "content": "  Hi 😀 "},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye\n"},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>", "image_token": "<i>"}


def by_transformers(template, turns):
    """As apply_chat_template renders it for a tokenizer with these special tokens."""

    def work():
        from tokenizers import Tokenizer, models
        from transformers import PreTrainedTokenizerFast

        named = {"image_token": SPECIAL["image_token"]}
        others = {name: token for name, token in SPECIAL.items() if name not in named}
        blank = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=blank, extra_special_tokens=named, **others)
        return tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)

    return engine_thread().run(work)


@pytest.mark.parametrize("turns", [TURNS, TURNS[1:], TURNS[1:2]], ids=["system", "chat", "single"])
@pytest.mark.parametrize(
    "template", [SMOLLM2, LLAMA2, LLAMA3, FEATURES, GIVEN], ids=["smollm2", "llama2", "llama3", "all", "given"]
)
def test_as_transformers_does(template, turns):
    assert render(template, turns, SPECIAL) == by_transformers(template, turns)


def test_apart_gives_the_same():
    for template in (LLAMA3, GIVEN):
        assert render_untrusted(template, TURNS, SPECIAL) == render(template, TURNS, SPECIAL)


@pytest.mark.parametrize("renderer", [render, render_untrusted])
def test_the_templates_own_words_are_the_reason(renderer):
    with pytest.raises(TemplateFailed, match="roles must alternate"):
        renderer(LLAMA2, [TURNS[1], TURNS[1]], SPECIAL)
    with pytest.raises(TemplateFailed):
        renderer("{% if %}", TURNS, {})


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 10**7 }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{{ 9 ** (9 ** 9) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.environ }}",
        "{% set ns = namespace(__class__=1) %}",
        "{% include '/etc/passwd' %}",
        "{{ messages.append(1) }}",
    ],
)
def test_a_hostile_template_ends_in_time(hostile):
    started = time.perf_counter()
    with pytest.raises(TemplateFailed):
        render_untrusted(hostile, TURNS, {})
    assert time.perf_counter() - started < 12
