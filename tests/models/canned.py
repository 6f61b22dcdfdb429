"""A canned stream of events, for tests of what carries one."""

from models.domain.errors import ContextExceeded
from models.domain.messages import Delta, Progress, Rendered, Usage

STEPS = [Progress("read", 1, 2), Rendered("x"), Delta("a", Usage(new_tokens=1)), Delta("b", Usage(finish="stop"))]
TOO_LONG = ContextExceeded(prompt_tokens=900, context=64)


def stream(*items):
    """A stream of the items; an exception is raised in its place."""
    for item in items:
        if isinstance(item, BaseException):
            raise item
        yield item
