"""The proxies of the environment: never for this machine itself, and never one that the HTTP client cannot use."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from importlib.util import find_spec

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def exempt_loopback(env: MutableMapping[str, str] = os.environ) -> None:
    """Have this process and its children reach this machine directly; the operator's own exceptions stay.

    Without proxies nothing is set: some systems keep theirs elsewhere, and would forget them.
    """
    if not any(value for name, value in env.items() if name.lower() in _PROXIES):
        return
    own = (*LOOPBACK, *filter(None, [env.get("GRADIO_SERVER_NAME")]))
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        listed = [entry.strip() for entry in (env.get(name) or env.get(other) or "").split(",") if entry.strip()]
        if "*" not in listed:
            env[name] = ",".join([*listed, *(host for host in own if host not in listed)])


def unusable(env: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """The proxies that an HTTP client would fail on as soon as it is made, whomever it asks."""
    return {name: value for name, value in env.items() if name.lower() in _PROXIES and not _usable(value)}


def set_aside(env: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """Take the unusable proxies out of the environment and return them, to be put back.

    They come back before anybody asks the Hub, which then fails: to go round an operator's proxy would be worse.
    """
    found = unusable(env)
    for name in found:
        del env[name]
    return found


def why(found: dict[str, str]) -> str:
    """What an operator can do about unusable proxies."""
    socks = any(_scheme(value).startswith("socks5") for value in found.values())
    cure = "needs the Python package socksio (pip install socksio)" if socks else "is of a kind that cannot be used"
    return f"The proxy in {', '.join(sorted(found))} {cure}; until then the Hub cannot be asked."


def _usable(proxy: str) -> bool:
    scheme = _scheme(proxy)
    return scheme in ("", "http", "https") or (scheme in ("socks5", "socks5h") and find_spec("socksio") is not None)


def _scheme(proxy: str) -> str:
    return proxy.partition("://")[0].lower() if "://" in proxy else ""
