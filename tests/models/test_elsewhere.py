"""The recipes for other programs are run: they give the same greedy text as Paddock."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request

import pytest

from models.domain.messages import Delta, Message, Sampling
from models.domain.request import ChatRequest
from models.domain.variant import Variant
from tests.conftest import ROOT, SMOLLM2

ASKED = (Message("system", "Be brief."), Message("user", "Name three animals."))
GREEDY = Sampling(temperature=0, max_new_tokens=24)


def asked(variant: str) -> ChatRequest:
    return ChatRequest(Variant.parse(variant), ASKED, GREEDY)


def answered(runtime, request: ChatRequest) -> str:
    return "".join(event.text for event in runtime.answer(request) if isinstance(event, Delta))


@pytest.mark.parametrize(
    "end", ["@fp32+pirate:0.5+json", *(pytest.param(end, marks=pytest.mark.slow) for end in ("@bf16", "@nf4"))]
)
def test_transformers_and_peft(runtime, smollm2_folder, end):
    request = asked(SMOLLM2 + end)
    (recipe,) = (one for one in runtime.elsewhere(request) if one.program == "transformers")
    local = re.sub(r', revision="\w+"', "", recipe.text).replace(
        repr(runtime.catalog[SMOLLM2].hub_id), repr(str(smollm2_folder))
    )
    done = subprocess.run([sys.executable, "-c", local], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == answered(runtime, request).strip()


def test_llama_cpp(runtime, smollm2_gguf):
    request = asked(f"{SMOLLM2}@gguf")
    recipe = next(one for one in runtime.elsewhere(request) if one.program == "llama.cpp")
    words = shlex.split(recipe.text.partition("\n\n")[2])
    path, body = re.sub(r"^http://[^/]+", "", words[1]), json.loads(words[-1])
    command = [sys.executable, "tests/bench/bare.py", "server", str(smollm2_gguf), "2", "512", "4096"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = json.loads(next(line for line in server.stdout if line.startswith("{")))["url"]
        headers = {"Content-Type": "application/json"}
        reply = urllib.request.urlopen(urllib.request.Request(url + path, json.dumps(body).encode(), headers))
        text = json.load(reply)["choices"][0]["message"]["content"]
        server.kill()
    assert text.strip() == answered(runtime, request).strip()
