"""The signed link of Meta's mail: a secret, which no log, error, file or process title gets to see."""

from __future__ import annotations

import base64
import json
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from ..domain.errors import MetaLinkExpired, MetaLinkRefused, MetaLinkUnusable, MetaWrongModel
from .meta_models import MetaModel

WILDCARD = "*"  # in the link, where the path of a file belongs
META = ".llamameta.net"
LONGEST = 10_000  # characters
TIMEOUT_S = 30.0
AGENT = "paddock"
BROKEN = (OSError, HTTPException)  # what a connection that breaks raises, time-outs included


class NotSent(Exception):
    """The server answered a request with this status; its own message is dropped, as it may repeat the link."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"status {status}")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nobody: the signature would go with it."""


class Link:
    """A link that was read; it never shows."""

    def __init__(self, text: str) -> None:
        """Raises MetaLinkUnusable."""
        self._text = text.strip().strip("'\"")
        try:
            parts = urlsplit(self._text)
            self.host, query = parts.hostname or "", parse_qs(parts.query)
        except ValueError:
            raise MetaLinkUnusable(reason="it is not an address") from None
        if not self._text or len(self._text) > LONGEST or any(mark.isspace() for mark in self._text):
            raise MetaLinkUnusable(reason="it is not one line of text")
        if parts.scheme != "https" and not (parts.scheme == "http" and self.host in ("127.0.0.1", "localhost")):
            raise MetaLinkUnusable(reason="it does not begin with https://")
        if WILDCARD not in parts.path or self._text.count(WILDCARD) != 1:
            raise MetaLinkUnusable(reason="it has no * where the name of a file belongs")
        if lacking := [name for name in ("Policy", "Signature", "Key-Pair-Id") if name not in query]:
            raise MetaLinkUnusable(reason=f"it was cut off: it has no {lacking[0]}")
        self.until = _until(query["Policy"][0])

    def __repr__(self) -> str:
        return "Link(...)"

    def check(self, model: MetaModel) -> None:
        """Raise MetaLinkExpired or MetaWrongModel where the link itself tells, before anybody is asked."""
        if self.until is not None and self.until <= time.time():
            raise MetaLinkExpired(until=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.until)))
        if self.host.endswith(META) and self.host != model.host:
            raise MetaWrongModel(model=model.key)

    def get(self, path: str, first: int | None = None, last: int | None = None) -> Any:
        """The open answer for a file, or for its bytes from `first` to `last` (inclusive).

        Raises NotSent, and what BROKEN names; none of them holds the link.
        """
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        if first is not None:
            headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        try:
            return _opener().open(Request(self._text.replace(WILDCARD, path), headers=headers), timeout=TIMEOUT_S)
        except HTTPError as error:
            error.close()
            raise NotSent(error.code) from None
        except URLError as error:
            raise ConnectionError(type(error.reason).__name__) from None

    def refusal(self, model: MetaModel, path: str) -> MetaLinkRefused:
        """Why a file was refused with 403: the link as a whole, or this model."""
        self.check(model)
        for probe in model.outside[:1] if path not in model.outside else ():
            try:
                with self.get(probe, 0, 0):
                    return MetaWrongModel(model=model.key)
            except (NotSent, *BROKEN):
                continue
        return MetaLinkRefused(model=model.key)


def _until(policy: str) -> float | None:
    """When a policy of CloudFront ends, in seconds since 1970; None where it does not say."""
    plain = policy.translate(str.maketrans("-_~", "+=/"))
    try:
        condition = json.loads(base64.b64decode(plain))["Statement"][0]["Condition"]
        return float(condition["DateLessThan"]["AWS:EpochTime"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _opener() -> OpenerDirector:
    return build_opener(_NoRedirect)
