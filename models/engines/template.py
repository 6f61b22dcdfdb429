"""Chat templates, rendered as transformers renders them but without importing it.

A template of a listed model runs in this process. Any other runs in a short-lived process with limits on time,
memory and output, since a sandboxed template can still loop or grow without end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from ..domain.errors import TemplateFailed
from ..system.processes import ROOT, Child

CPU_SECONDS = 2
WALL_SECONDS = 10  # the process has to start within it too
MEMORY_BYTES = 512 * 2**20
OUTPUT_BYTES = 4 * 2**20
TOO_MUCH = "it took too much time or memory"
Turn = Mapping[str, str]  # a role and its content


def render(template: str, turns: Sequence[Turn], special_tokens: Mapping[str, Any]) -> str:
    """The prompt, ending where the assistant starts to speak; raises TemplateFailed.

    A template sees what transformers' apply_chat_template shows it when nothing more is asked for.
    """
    values = {**special_tokens, "messages": turns, "tools": None, "documents": None, "add_generation_prompt": True}
    try:
        return _compiled(template).render(values)
    except MemoryError:
        raise TemplateFailed(reason=TOO_MUCH) from None
    except Exception as error:  # a template can raise anything that Python can
        raise TemplateFailed(reason=_reason(error)) from None


def render_untrusted(template: str, turns: Sequence[Turn], special_tokens: Mapping[str, Any]) -> str:
    """The same in a process of its own, ended when it takes more than the limits above; raises TemplateFailed."""
    started = time.monotonic()

    def tick() -> None:
        if time.monotonic() - started > WALL_SECONDS:
            raise TemplateFailed(reason=TOO_MUCH)

    with Child("-I", "-c", _CHILD.format(root=str(ROOT)), str(CPU_SECONDS), str(MEMORY_BYTES), env={}) as child:
        child.send([template, turns, dict(special_tokens)])
        answer = next(child.watch(tick), None)
    if answer is None:
        raise TemplateFailed(reason=TOO_MUCH)
    if "text" not in answer:
        raise TemplateFailed(reason=answer["reason"])
    return str(answer["text"])


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split())[:200] or type(error).__name__).rstrip(".")


@lru_cache(maxsize=32)
def _compiled(template: str) -> Any:
    """The environment of transformers.utils.chat_template_utils (5.23): sandboxed, with its filters and globals."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """`{% generation %}` marks what an assistant wrote, for training; it changes nothing here."""

        tags = {"generation"}  # noqa: RUF012  (as the base class declares it)

        def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    class PlainNamespace(jinja2.utils.Namespace):
        """Takes no underscored names, which lead to Python's internals."""

        def __init__(*args: Any, **kwargs: Any) -> None:
            for name in dict(*args[1:], **kwargs):
                PlainNamespace._check(name)
            jinja2.utils.Namespace.__init__(*args, **kwargs)

        def __setitem__(self, name: str, value: Any) -> None:
            PlainNamespace._check(name)
            super().__setitem__(name, value)

        @staticmethod
        def _check(name: Any) -> None:
            if isinstance(name, str) and name.startswith("_"):
                raise jinja2.exceptions.SecurityError(f"a namespace cannot have {name!r}")

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "namespace": PlainNamespace,
    }
    return environment.from_string(template)


# The path is set by hand: -I keeps the environment and the working folder out of what the process can import.
_CHILD = "import sys; sys.path.insert(0, {root!r}); from models.engines.template import child; child()"


def child() -> None:
    """Render one job from standard input under limits; the main function of the other process."""
    import jinja2.ext
    import jinja2.sandbox  # noqa: F401

    job = json.loads(sys.stdin.buffer.readline())
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    try:
        text = render(*job)
        answer = {"text": text} if len(text) <= OUTPUT_BYTES else {"reason": "it wrote too much text"}
    except TemplateFailed as error:
        answer = {"reason": str(error.facts["reason"])}
    sys.stdout.buffer.write(json.dumps(answer).encode())


def _limit(cpu_seconds: int, memory_bytes: int) -> None:
    """Set this process's limits; on Windows there are none but the time after which the parent ends it."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds + spent, cpu_seconds + spent))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for no_more in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        resource.setrlimit(no_more, (0, 0))
