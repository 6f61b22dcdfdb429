"""Values as HTML: figures people can read, and nothing from outside that becomes markup."""

import string
import time
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from models.spec import errors
from models.spec.errors import PaddockError
from models.spec.messages import Progress, Usage
from ui import render

EVIL = "x\"'><img src=x onerror=alert(1)><script>alert(1)</script>&amp;"
MODEL = {
    "key": "m",
    "title": "Model",
    "kind": "instruct",
    "hub_id": "owner/name",
    "parameters": 135_000_000,
    "context": 2048,
    "context_here": 2048,
    "licence": "MIT",
    "licence_url": "https://example.org/licence",
    "gated": False,
    "without_hub": False,
    "on_this_machine": [],
}
USAGE = Usage("m@gguf", "llama.cpp", 1234, 1200, 56, 4096, 0.5, 300, 21.04, 3, 0.05, 532_000_000, None, "stop")


class Markup(HTMLParser):
    """Tags and attributes of some HTML, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data

    def links(self):
        return [value for name, value in self.attributes if name == "href"]


def is_harmless(html):
    markup = Markup(html)
    handlers = [name for name, _ in markup.attributes if name.startswith("on") or name == "src"]
    return not (markup.tags & {"script", "img", "iframe", "style", "svg"} or handlers)


def every_error(kind=PaddockError):
    return [kind, *(error for child in kind.__subclasses__() for error in every_error(child))]


def with_facts(kind, text):
    """An error whose facts are all this text, or a number where one is wanted."""
    parts = [*string.Formatter().parse(kind.sentence), *string.Formatter().parse(kind.next_step)]
    return kind(**{name: 1234 if spec else text for _, name, spec, _ in parts if name})


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_errors_are_escaped_and_readable(kind):
    html = render.error(with_facts(kind, EVIL))
    assert is_harmless(html)
    assert all(link.startswith("https://huggingface.co/") for link in Markup(html).links())
    calm = with_facts(kind, "something")
    words = " ".join(Markup(render.error(calm)).text.split())
    assert calm.message in words
    assert calm.hint in words


def test_only_links_to_the_hub_become_links():
    html = render.error(errors.GatedModel(model="google/gemma-3-270m"))
    assert Markup(html).links() == ["https://huggingface.co/google/gemma-3-270m"]
    for address in ("https://evil.example/", "javascript:alert(1)", "https://huggingface.co.evil.example/x"):
        assert Markup(render.error(errors.UnknownModel(model="m", suggestion=f"See {address} now."))).links() == []


@pytest.mark.parametrize("field", ["title", "hub_id", "licence", "licence_url", "key"])
def test_cards_are_escaped(field):
    assert is_harmless(render.card(MODEL | {field: EVIL}, "nf4", "m@nf4"))
    assert is_harmless(render.card(MODEL | {field: f"https://example.org/{EVIL}"}, EVIL, EVIL))


@pytest.mark.parametrize(
    ("address", "links"),
    [
        ("https://example.org/licence", 2),
        ("javascript:alert(1)", 1),
        ("JavaScript:alert(1)", 1),
        ("data:text/html,x", 1),
        ("http://example.org", 1),
        ("//example.org", 1),
        (" https://example.org", 1),
        ("", 1),
    ],
)
def test_a_licence_is_a_link_only_to_https(address, links):
    markup = Markup(render.card(MODEL | {"licence_url": address}, "nf4", "m@nf4"))
    assert len(markup.links()) == links
    assert all(link.startswith("https://") for link in markup.links())
    assert "MIT" in markup.text


def test_progress_and_memory_are_escaped():
    assert is_harmless(render.progress(Progress("download", 1, 2, "bytes", EVIL)))
    line = SimpleNamespace(name=EVIL, bytes=1, users=0, last_used=0)
    assert is_harmless(render.held([line]))
    assert EVIL in Markup(render.held([line])).text


@pytest.mark.parametrize(
    ("step", "words", "width"),
    [
        (Progress("download", 5e8, 2e9, "bytes", "m"), ["Downloading m", "500 MB of 2.0 GB"], "25.0%"),
        (Progress("convert", 3, 4, "tensors"), ["Converting", "3 of 4"], "75.0%"),
        (Progress("load"), ["Loading"], "0.0%"),
        (Progress("download", 3, 2), ["3 of 2"], "100.0%"),
    ],
)
def test_progress(step, words, width):
    html = render.progress(step)
    assert all(word in Markup(html).text for word in words)
    assert f"width:{width}" in html
    assert ("busy" in html) == (step.total == 0)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_999, "1 MB"),
        (98_362_432, "98 MB"),
        (1_500_000_000, "1.5 GB"),
        (140e9, "140.0 GB"),
        (2.5e12, "2500.0 GB"),
    ],
)
def test_sizes(count, text):
    assert render.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(134_515_008, "135M"), (1_235_814_400, "1.2B"), (70_000_000_000, "70B"), (68_976_648_192, "69B")],
)
def test_parameters(count, text):
    assert render.parameters(count) == text


def test_figures():
    assert render.figures(USAGE) == "56 tokens · 21.0 tok/s · TTFT 0.50 s · m@gguf"
    table = render.figures_table(USAGE)
    for words in ("`m@gguf`", "1,234 tokens, 1,200", "532 MB", "was in memory", "ended its answer"):
        assert words in table
    assert all(line.count("|") == 3 for line in table.splitlines())
    assert "| Seed | 7 |" in render.figures_table(Usage(seed=7))


@pytest.mark.parametrize(
    ("finish", "words"), [("length", "cut at the limit"), ("cancelled", "stopped"), ("time_limit", "time_limit")]
)
def test_an_unusual_end_is_named(finish, words):
    assert words in render.figures(Usage(finish=finish))
    assert "unknown" not in render.figures_table(Usage(finish=finish)).split("Ended because")[1]


def test_gauge():
    assert render.gauge(Usage()) == ""
    assert "context 1,290 of 4,096 tokens" in Markup(render.gauge(USAGE)).text
    assert "width:100.0%" in render.gauge(Usage(prompt_tokens=99, context=64))
    assert "tok/s" not in render.gauge(USAGE), "the answer is over"
    assert "21 tok/s" in render.gauge(Usage(new_tokens=5, context=64, decode_tokens_per_s=21))


def test_choice_names_what_stands_in_the_way():
    assert render.choice(MODEL) == "Model · chat · 135M · MIT"
    assert render.choice(MODEL | {"kind": "base", "gated": True}) == "Model · base · 135M · MIT · gated"
    assert render.choice(MODEL | {"without_hub": True}).endswith("works without the Hub")
    here = MODEL | {"gated": True, "without_hub": True, "on_this_machine": ["gguf"]}
    assert render.choice(here) == "Model · chat · 135M · MIT · on this machine"


@pytest.mark.parametrize(
    ("change", "mode", "words"),
    [
        ({"on_this_machine": ["gguf"]}, "gguf", "on this machine"),
        ({"on_this_machine": ["gguf"]}, "nf4", "from the Hub"),
        ({"gated": True}, "nf4", "after you accept the licence"),
        ({"without_hub": True}, "gguf", "package index"),
        ({"without_hub": True}, "nf4", "converted to safetensors"),
    ],
)
def test_where_files_come_from(change, mode, words):
    assert words in Markup(render.card(MODEL | change, mode, "m")).text.split("Files")[1]


def test_context_says_when_the_operator_gives_less():
    assert "2,048 tokens" in render.card(MODEL, "nf4", "m")
    assert "512 of its 2,048 tokens" in render.card(MODEL | {"context_here": 512}, "nf4", "m")


def test_memory():
    assert "Nothing yet" in render.held([])
    lines = [SimpleNamespace(name=n, bytes=5e8, users=u, last_used=time.time() - ago) for n, u, ago in LINES]
    text = Markup(render.held(lines)).text
    assert text == "a500 MBin useb500 MBjust nowc500 MB3 min ago"


LINES = [("a", 1, 500), ("b", 0, 5), ("c", 0, 180)]
