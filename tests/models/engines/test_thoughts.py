"""What chat templates say of thinking, on excerpts of real ones, and a stream split into thought and answer."""

import random

import pytest

from models.domain.messages import Message
from models.domain.thinking import SWITCHES, Thinking, Thoughts
from models.engines.chat_template import NO_LEVELS, NO_THINKING, NOT_OFF, ChatTemplate
from models.engines.thoughts import MARKS, Split, Splitter, read_template, special_tokens

THINK, HARMONY, GEMMA = MARKS["</think>"], MARKS["<|channel|>analysis"], MARKS["<channel|>"]
GRANITE = MARKS["</response>"]
TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
# The ends of real templates, as https://github.com/ggml-org/llama.cpp/tree/master/models/templates has them, and
# where it does not the model's own tokenizer_config.json; tools, images and earlier thoughts are left out.
QWEN3 = (  # Qwen/Qwen3-0.6B
    TURNS
    + """{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
)
QWEN35 = QWEN3.replace(  # Qwen/Qwen3.5-4B: it begins the thought itself
    "    {%- endif %}\n{%- endif %}", "    {%- else %}\n        {{- '<think>\\n' }}\n    {%- endif %}\n{%- endif %}"
)
SMOLLM3 = (  # HuggingFaceTB/SmolLM3-3B
    """{%- if enable_thinking is not defined -%}
{%- set enable_thinking = true -%}
{%- endif -%}
{%- if enable_thinking -%}
  {%- set reasoning_mode = "/think" -%}
{%- else -%}
  {%- set reasoning_mode = "/no_think" -%}
{%- endif -%}
{{- "Reasoning Mode: " + reasoning_mode + "\\n\\n" -}}
{{- "thoroughly exploring questions through a systematic thinking process" -}}"""
    + TURNS
    + """{%- if reasoning_mode == "/think" -%}
    {{ "<|im_start|>assistant\\n" }}
{%- else -%}
    {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n"  }}
{%- endif -%}"""
)
GPT_OSS = """{%- if reasoning_effort is not defined %}
    {%- set reasoning_effort = "medium" %}
{%- endif %}
{{- "Reasoning: " + reasoning_effort + "\\n\\n" }}
{%- for message in messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if "thinking" in message %}
            {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}
        {%- endif %}
        {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
    {%- elif message.role == 'user' -%}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}"""  # openai/gpt-oss-20b
DISTILL = """{%- set ns = namespace(is_tool=false) -%}{{ messages[-1].content }}
{%- if '</think>' in content -%}{%- endif -%}
{%- if add_generation_prompt and not ns.is_tool -%}{{'<｜Assistant｜><think>\\n'}}
{%- endif %}"""  # deepseek-ai/DeepSeek-R1-Distill-Qwen-32B
GLM = """{% for m in messages %}{{ m.content }}
{{- '/nothink' if (enable_thinking is defined and not enable_thinking) else '' -}}{% endfor %}
{%- if add_generation_prompt -%}
    <|assistant|>{{- '\\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' -}}
{%- endif -%}"""  # zai-org/GLM-4.5
DEEPSEEK = """{%- if not thinking is defined -%}
  {%- if enable_thinking is defined -%}
    {%- set thinking = enable_thinking -%}
    {%- else -%}
    {%- set thinking = false -%}
  {%- endif -%}
{%- endif -%}
{{ messages[-1].content }}{{'<｜Assistant｜>'}}
  {%- if not thinking -%}{{'</think>'}}
    {%- else -%}{{'<think>'}}
  {%- endif -%}"""  # deepseek-ai/DeepSeek-V3.1
GEMMA4 = """{%- if enable_thinking is defined and enable_thinking -%}{{- '<|think|>' -}}{%- endif -%}
{{ messages[-1].content }}{{- '<|turn>model\\n' -}}
    {%- if not enable_thinking | default(false) -%}
        {{- '<|channel>thought\\n<channel|>' -}}
    {%- endif -%}"""  # google/gemma-4-31B-it
LFM25 = """{%- if "</think>" in content -%}{%- endif -%}{{ messages[-1].content }}
    {{- "<|im_start|>assistant\\n" -}}"""  # LiquidAI/LFM2.5-8B-A1B
GRANITE33 = """{%- if thinking %}
{{- "Write your thoughts between <think></think> and write your response between <response></response>" }}
{%- endif %}{{ messages[-1].content }}<|start_of_role|>assistant<|end_of_role|>"""  # ibm-granite/granite-3.3-2b
WORDS = """{% set on = true %}{% if '/no_think' in messages[0].content %}{% set on = false %}{% endif %}
{{ messages[-1].content }}{{ '<think>\\n' if on else '<think></think>' }}"""  # as NVIDIA-Nemotron-Nano-v2 does
PLAIN = TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"  # HuggingFaceTB/SmolLM2
ON_OFF, LEVELS = ("auto", "on", "off"), ("auto", "low", "medium", "high")
HI = (Message("user", "Hi"),)


@pytest.mark.parametrize(
    ("source", "marks", "switches"),
    [
        (QWEN3, THINK, ON_OFF),
        (QWEN35, THINK, ON_OFF),
        (SMOLLM3, THINK, ON_OFF),
        (GPT_OSS, HARMONY, LEVELS),
        (DISTILL, THINK, ()),
        (GLM, THINK, ON_OFF),
        (DEEPSEEK, THINK, ON_OFF),
        (GEMMA4, GEMMA, ON_OFF),
        (LFM25, THINK, ()),
        (GRANITE33, GRANITE, ON_OFF),
        (WORDS, THINK, ON_OFF),
        (PLAIN, None, ()),
        ("{% if reasoning_effort in ['high', 'low', 'no_think'] %}{% endif %}", None, ("auto", "off", "low", "high")),
        ("{# enable_thinking #}{{ 'the thinking of ' + message.thinking }}", None, ()),
        ("{% set thinking = message.reasoning %}{% if thinking %}{{ thinking }}{% endif %}", None, ()),
        ("{{ 'a' * 10**12 }}{% if", None, ()),
    ],
)
def test_a_template_says_what_it_knows_of_thinking(source, marks, switches):
    known = read_template(source)
    assert (known.marks, known.switches) == (marks, switches)


@pytest.mark.parametrize(
    ("source", "switch", "end", "opened"),
    [
        (QWEN3, "auto", "<|im_start|>assistant\n", False),
        (QWEN3, "on", "<|im_start|>assistant\n", False),
        (QWEN3, "off", "<think>\n\n</think>\n\n", False),
        (QWEN35, "auto", "<|im_start|>assistant\n<think>\n", True),
        (QWEN35, "off", "<think>\n\n</think>\n\n", False),
        (SMOLLM3, "off", "<think>\n\n</think>\n", False),
        (DISTILL, "auto", "<think>\n", True),
        (GLM, "off", "Hi/nothink<|assistant|>\n<think></think>", False),
        (DEEPSEEK, "auto", "</think>", False),
        (DEEPSEEK, "on", "<think>", True),
        (GEMMA4, "auto", "<|channel>thought\n<channel|>", False),
        (GEMMA4, "on", "<|think|>Hi<|turn>model\n", False),
        (GPT_OSS, "auto", "Reasoning: medium\n\n<|start|>user<|message|>Hi<|end|><|start|>assistant", False),
        (GPT_OSS, "high", "Reasoning: high\n\n<|start|>user<|message|>Hi<|end|><|start|>assistant", False),
        (GRANITE33, "off", "Hi<|start_of_role|>assistant<|end_of_role|>", False),
        (WORDS, "auto", "Hi<think>\n", True),
        (WORDS, "off", "Hi<think></think>", False),
    ],
)
def test_a_switch_reaches_the_template(source, switch, end, opened):
    prompt = ChatTemplate(source, trusted=True).write(HI, Thinking(switch, 40))
    assert prompt.text.endswith(end)
    assert (prompt.thoughts.opened, prompt.thoughts.budget, prompt.notes) == (opened, 40, ())


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_a_template_cannot_do_is_said(switch):
    def notes(source):
        return ChatTemplate(source, trusted=True).write(HI, Thinking(switch)).notes

    level = switch in ("low", "medium", "high")
    assert notes(PLAIN) == ((NO_THINKING,) if level or switch == "on" else ())
    assert notes(DISTILL) == ((NO_LEVELS,) if level else (NOT_OFF,) if switch == "off" else ())
    assert notes(QWEN3) == ((NO_LEVELS,) if level else ())
    assert notes(GPT_OSS) == ((NOT_OFF,) if switch == "off" else ())


def test_a_level_of_a_template_that_has_none_is_thinking_that_is_on():
    template = ChatTemplate(DEEPSEEK, trusted=True)
    assert template.write(HI, Thinking("high")).text == template.write(HI, Thinking("on")).text


def test_a_template_that_is_not_trusted_gets_the_same():
    apart = ChatTemplate(QWEN3, trusted=False).write(HI, Thinking("off"))
    assert apart == ChatTemplate(QWEN3, trusted=True).write(HI, Thinking("off"))


# --- a stream -----------------------------------------------------------------------------------------------

CODE = "Write it so: `<think>x</think>`, then <|channel|>."
STREAMS = [
    (THINK, False, "<think>\nSo.  \n\n Yes.\n</think>\n\nHi.\n", "So.  \n\n Yes.", "Hi.\n"),
    (THINK, False, "\n<think>So.</think>Hi.", "So.", "Hi."),
    (THINK, False, " Hi.", "", " Hi."),
    (THINK, False, CODE, "", CODE),
    (THINK, False, "<think>a < b</thin></think>" + CODE, "a < b</thin>", CODE),
    (THINK, False, "<think>\n\n</think>\n\nHi.", "", "Hi."),
    (THINK, False, "<think>So.\n", "So.", ""),
    (THINK, False, "<think>So.</thi", "So.</thi", ""),
    (THINK, False, "<thin", "", "<thin"),
    (THINK, False, "<thinking>", "", "<thinking>"),
    (THINK, False, "\n\n", "", "\n\n"),
    (THINK, True, "So.\n</think>\nHi.", "So.", "Hi."),
    (THINK, True, "\n<think>\nSo.\n</think>\nHi.", "So.", "Hi."),
    (THINK, True, "<b> is bold", "<b> is bold", ""),
    (GEMMA, False, "<|channel>thought\nSo.\n<channel|>Hi.", "So.", "Hi."),
    (GRANITE, False, "<think>So.</think>\n<resp Hi.", "So.", "<resp Hi."),
    (GRANITE, False, "<think>So.</think>\n<response>\nHi </res", "So.", "Hi </res"),
    (GRANITE, False, "Hi </response>", "", "Hi </response>"),
    (
        HARMONY,
        False,
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|> Hi.",
        "So.",
        " Hi.",
    ),
    (HARMONY, False, "<|channel|>final<|message|>Hi.", "", "Hi."),
    (HARMONY, False, "<|channel|>analysis<|message|>So", "So", ""),
    (
        HARMONY,
        False,
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>commentary<|message|>Now.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hi.",
        "So.\n\nNow.",
        "Hi.",
    ),
]


def split(thoughts, pieces):
    splitter = Splitter(thoughts)
    splits = [splitter.push(piece) for piece in pieces] + [splitter.finish()]
    return Split(*map("".join, zip(*splits, strict=True))), splitter


@pytest.mark.parametrize(("marks", "opened", "text", "thought", "answer"), STREAMS)
def test_a_stream_is_split_wherever_its_pieces_end(marks, opened, text, thought, answer):
    choose, thoughts = random.Random(1), Thoughts(marks, opened)
    for size in (1, 2, 3, 7, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        found, _ = split(thoughts, pieces)
        assert (found.thought, found.answer, found.written + found.answer) == (thought, answer, text)
    for _ in range(20):
        cuts = sorted(choose.choices(range(len(text)), k=5))
        found, _ = split(thoughts, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)])
        assert (found.thought, found.answer, found.written + found.answer) == (thought, answer, text)


@pytest.mark.parametrize("marks", MARKS.values())
def test_the_closing_text_closes_a_thought(marks):
    found, splitter = split(Thoughts(marks), [marks.opens[0], "So", marks.closing, "Hi"])
    assert (found.thought, found.answer, splitter.in_thought) == ("So", "Hi", False)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>So.</think><response>Hi.</response>", "So.", "Hi."),
        ("<think>So.\n</think>\n\n<response>\nHi <b></response>\n", "So.", "Hi <b>\n"),
        ("<response> Hi. </response>", "", "Hi. "),
    ],
)
def test_the_marks_around_an_answer_are_none_of_it(text, thought, answer):
    for size in (1, 2, 3, 7, len(text)):
        found, splitter = split(Thoughts(GRANITE), [text[at : at + size] for at in range(0, len(text), size)])
        assert (found.thought, found.answer) == (thought, answer)
        assert splitter.end == ("closed" if thought else "")


def test_a_thought_streams_as_it_comes():
    splitter = Splitter(Thoughts(THINK, opened=True))
    assert splitter.push("One two ") == Split("One two", "One two")
    assert splitter.push("three </").thought == " three"
    assert (splitter.in_thought, splitter.end) == (True, "open")
    assert splitter.push("think>\n").thought == ""
    assert (splitter.in_thought, splitter.end) == (True, "closed")
    assert splitter.push("Hi").answer == "Hi"
    assert not splitter.in_thought


def test_without_thoughts_all_is_answer():
    assert split(None, ["<think>a", "</think>b"])[0] == Split(answer="<think>a</think>b")


def test_the_tokens_that_marks_are_written_with():
    assert special_tokens(THINK) == ["<think>", "</think>"]
    assert special_tokens(HARMONY) == ["<|channel|>", "<|message|>", "<|end|>", "<|start|>"]
    assert special_tokens(GEMMA) == ["<|channel>", "<channel|>"]
