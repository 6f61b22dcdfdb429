"""Links that fix what a page asks for: which of their parameters are fixed, and the operator's signature under them.

The parameters are signed as they stand, so that a link holds whatever a later version has as its defaults.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from .errors import BadLock
from .messages import BOUNDS

KINDS = ("1", "answer", "compare")  # of an embedded page
SHORTEST_KEY = 16  # characters: a shorter one could be guessed from one link
MOST_PARAMETERS = 100
# A prompt is the visitor's own to write, and so is the conversation; the rest of an address asks for nothing.
FIXED = (
    "lock",
    "embed",
    *("variant", "variants", "reference"),
    *BOUNDS,
    *("seed", "stop"),
    *("thinking", "thinking_budget"),
    *("system", "system_z"),
    *("instruction", "instruction_z", "question", "answer"),
    *("options", "text", "text_z", "distance"),
)
SIGNATURE = "signature"


def is_locked(query: Mapping[str, str]) -> bool:
    """Whether a link says that it fixes what is asked, rightly or not."""
    return query.get("lock", "") not in ("", "0") or SIGNATURE in query


def signature(key: str, query: Mapping[str, str]) -> str:
    """HMAC-SHA256 of the fixed parameters, as they stand in a query string."""
    fixed = {name: query[name] for name in FIXED if name in query}
    signed = b"paddock link 1\n" + json.dumps(fixed, sort_keys=True).encode()
    return base64.urlsafe_b64encode(hmac.digest(key.encode(), signed, hashlib.sha256)).decode().rstrip("=")


def require_signed(key: str, query: Mapping[str, str]) -> None:
    """Raises BadLock unless the operator with this key has signed what the link fixes."""
    if not key:
        raise BadLock(reason="this server has no key to know its own links by")
    given = query.get(SIGNATURE, "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, signature(key, query).encode()):
        raise BadLock(reason="its signature does not belong to it: it was altered, or signed with another key")
    if query.get("lock") != "1" or query.get("embed") not in KINDS:
        raise BadLock(reason=f"it says neither lock=1 nor embed={', '.join(KINDS)}")


def locked(key: str, address: str, kind: str = "") -> str:
    """The address with `lock=1` and a signature, embedded as `kind`, as it says, or as a chat; raises BadLock."""
    parts = urlsplit(address)
    query = parse_query(parts.query)
    for own in ("tab", "conversation", "run", SIGNATURE):
        query.pop(own, None)
    kind = kind or query.get("embed") or "1"
    if kind not in KINDS:
        raise BadLock(reason=f"embed is {kind[:20]}, and not one of {', '.join(KINDS)}")
    if kind == "compare" and not query.get("variants"):
        raise BadLock(reason="it names no variants to compare")
    query |= {"embed": kind, "lock": "1"}
    query[SIGNATURE] = signature(key, query)
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))


def parse_query(text: str) -> dict[str, str]:
    """A query string as a server reads it: of a parameter that stands twice, the last; raises BadLock."""
    try:
        return dict(parse_qsl(text.removeprefix("?"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS))
    except ValueError:
        raise BadLock(reason=f"it has more than {MOST_PARAMETERS} parameters") from None
