"""Proxies of the environment: this machine is asked directly, the operator's exceptions stay, unusable ones wait."""

import os
import subprocess
import sys
import urllib.request

import pytest

from models.system import proxies
from models.system.proxies import exempt_loopback, set_aside, unusable, why

WEB = {"https_proxy": "http://proxy:3128"}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_this_machine_is_asked_directly(name):
    env = {name: "http://proxy:3128"}
    exempt_loopback(env)
    assert env == {name: "http://proxy:3128", **dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1,::1")}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"NO_PROXY": "corp.example, 10.0.0.1"}, "corp.example,10.0.0.1,localhost,127.0.0.1,::1"),
        ({"no_proxy": "localhost,.corp"}, "localhost,.corp,127.0.0.1,::1"),
        ({"NO_PROXY": "", "no_proxy": ".corp"}, ".corp,localhost,127.0.0.1,::1"),
        ({"GRADIO_SERVER_NAME": "10.1.2.3"}, "localhost,127.0.0.1,::1,10.1.2.3"),
        ({"NO_PROXY": "*", "no_proxy": "*"}, "*"),
    ],
)
def test_the_operators_own_exceptions_stay(before, after):
    env = WEB | before
    exempt_loopback(env)
    exempt_loopback(env)
    assert (env["NO_PROXY"], env["no_proxy"]) == (after, after)
    assert env["https_proxy"] == WEB["https_proxy"]


def test_without_proxies_nothing_is_set():
    for env in ({}, {"NO_PROXY": ".corp"}, {"http_proxy": ""}):
        before = dict(env)
        exempt_loopback(env)
        assert env == before, "the system's own proxies would be forgotten"


def test_what_python_and_httpx_make_of_it(monkeypatch):
    from httpx._utils import get_environment_proxies

    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "corp.example")
    monkeypatch.setenv("no_proxy", "corp.example")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    exempt_loopback()
    for host in ("localhost", "127.0.0.1", "127.0.0.1:7860", "corp.example"):
        assert urllib.request.proxy_bypass(host)
    assert not urllib.request.proxy_bypass("huggingface.co")
    mounts = get_environment_proxies()
    assert mounts["http://"] == "http://proxy:3128"
    assert [mounts[f"all://{host}"] for host in ("localhost", "127.0.0.1", "[::1]")] == [None] * 3


@pytest.mark.parametrize(
    ("proxy", "with_socksio", "usable"),
    [
        ("http://proxy:3128", False, True),
        ("proxy:3128", False, True),
        ("socks5://proxy:1080", False, False),
        ("SOCKS5H://proxy:1080", False, False),
        ("socks5://proxy:1080", True, True),
        ("socks4://proxy:1080", True, False),
    ],
)
def test_a_proxy_that_no_client_can_be_made_for_is_set_aside(monkeypatch, proxy, with_socksio, usable):
    monkeypatch.setattr(proxies, "find_spec", lambda name: object() if with_socksio else None)
    env = WEB | {"ALL_PROXY": proxy}
    found = unusable(env)
    assert found == ({} if usable else {"ALL_PROXY": proxy})
    assert set_aside(env) == found
    assert env == (WEB | {"ALL_PROXY": proxy} if usable else WEB)
    if found:
        assert why(found).startswith("The proxy in ALL_PROXY ")
        assert ("pip install socksio" in why(found)) == proxy.lower().startswith("socks5")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks4://127.0.0.1:9"])
def test_gradio_can_be_imported_and_asks_this_machine_behind_a_proxy(proxy):
    """As the app does at its start; the page itself is served in no time after that."""
    code = (
        "import app, httpx, http.server, threading\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "print(httpx.head(f'http://127.0.0.1:{server.server_port}/').status_code)\n"
    )
    env = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy)
    clean = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    done = subprocess.run([sys.executable, "-c", code], env=clean | env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "200", done.stderr
