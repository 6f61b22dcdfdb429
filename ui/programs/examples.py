"""The same call in Python, JavaScript, curl and for OpenAI's client: one function, for the panel and docs/code.md."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.domain.elsewhere import Recipe

from .calls import Call

STREAMED = ("/chat", "/complete", "/compare")
OF_OPENAI = ("temperature", "top_p", "seed", "stop")  # the rest of a sampling is an extension of ours
SWITCHES = {"off": "none"}  # our names of `thinking` that OpenAI's `reasoning_effort` spells otherwise
SHORT = 80  # characters of a call on one line
ANSWER = ("text, usage", 'print(text)\nprint(usage["variant"], usage["finish"])')
RESULTS = {"/compare": ("rows", 'for row in rows:\n    print(row["variant"], row["error"] or row["text"])')}


@dataclass(frozen=True)
class Place:
    """The server that is called: its address, its name on the Hub where it is a Space, and whether it has /v1.

    `longest` is how many tokens an answer has without a word about it.
    """

    url: str
    space: str = ""
    openai: bool = False
    keyed: bool = False
    longest: int = 256


def examples(call: Call, place: Place) -> list[Recipe]:
    """Programs that make the call and print what comes back, each complete."""
    found = [python(call, place), javascript(call, place), curl(call, place)]
    if place.openai and call.endpoint in ("/chat", "/complete"):
        found.append(openai(call, place))
    return found


def python(call: Call, place: Place) -> Recipe:
    """With `gradio_client`."""
    given = [f"{name}={literal(value)}" for name, value in call.arguments.items()]
    given.append(f"api_name={literal(call.endpoint)}")
    if call.endpoint in STREAMED:
        result, ending = RESULTS.get(call.endpoint, ANSWER)
        loop = f"for {result} in {_called('paddock.submit', given)}:"
        body = f"{loop}\n    pass  # as far as it is, again and again\n{ending}"
    else:
        body = f"answer = {_called('paddock.predict', given)}\nprint(answer)"
    start = f"from gradio_client import Client\n\npaddock = Client({literal(place.space or place.url)})"
    return Recipe("Python (gradio_client)", "python", f"{start}\n{body}")


def javascript(call: Call, place: Place) -> Recipe:
    """With `@gradio/client`, as a module."""
    where = literal(place.space or place.url)
    given = json.dumps(dict(call.arguments), ensure_ascii=False, indent=2) if call.arguments else "{}"
    lines = ['import { Client } from "@gradio/client";', "", f"const paddock = await Client.connect({where});"]
    if call.endpoint in STREAMED:
        what = RESULTS.get(call.endpoint, ANSWER)[0]
        lines += [
            f"let {what};",
            f'for await (const event of paddock.submit("{call.endpoint}", {given})) {{',
            f'  if (event.type === "data") [{what}] = event.data;  // as far as it is',
            "}",
            f"console.log({what});",
        ]
    else:
        lines += [f'const {{ data }} = await paddock.predict("{call.endpoint}", {given});', "console.log(data[0]);"]
    note = "In Node, end with process.exit(): the client keeps its connection open."
    return Recipe("JavaScript (@gradio/client)", "javascript", "\n".join(lines), note)


def curl(call: Call, place: Place) -> Recipe:
    """Two requests: one that asks and gets a number, one that reads the answer as server-sent events."""
    url = shlex.quote(f"{place.url}/gradio_api/call/v2{call.endpoint}")
    data = shlex.quote(json.dumps(dict(call.arguments), ensure_ascii=False, indent=2))
    asked = f"ID=$(curl -s {url} -H 'Content-Type: application/json' -d {data} | cut -d '\"' -f 4)"
    return Recipe("curl", "bash", f'{asked}\ncurl -sN {url}/"$ID"')


def openai(call: Call, place: Place) -> Recipe:
    """With OpenAI's client; what its API does not know goes into `extra_body`."""
    given = dict(call.arguments)
    asked: dict[str, Any] = {"model": given.pop("variant")}
    if chat := call.endpoint == "/chat":
        system = [{"role": "system", "content": given.pop("system")}] if "system" in given else []
        asked["messages"] = [*system, {"role": "user", "content": given.pop("message")}]
    else:
        asked["prompt"] = given.pop("prompt")
    asked["max_tokens"] = given.pop("max_new_tokens", place.longest)
    asked |= {name: given.pop(name) for name in OF_OPENAI if name in given}
    if "thinking" in given:
        given["reasoning_effort"] = SWITCHES.get(switch := given.pop("thinking"), switch)
    if given:
        asked["extra_body"] = given
    lines = [f"{name}={literal(value)}" for name, value in asked.items()]
    where = f"base_url={literal(place.url + '/v1')}, api_key={literal('YOUR KEY' if place.keyed else 'none')}"
    path, said = ("chat.completions", "message.content") if chat else ("completions", "text")
    body = f"answer = {_called(f'client.{path}.create', lines)}\nprint(answer.choices[0].{said})"
    text = f"from openai import OpenAI\n\nclient = OpenAI({where})\n{body}"
    return Recipe("OpenAI (Python)", "python", text)


def _called(name: str, given: Sequence[str]) -> str:
    """A call in Python, on one line where it is short."""
    flat = f"{name}({', '.join(given)})"
    return flat if len(flat) <= SHORT else "\n".join([f"{name}(", *(f"    {one}," for one in given), ")"])


def literal(value: Any) -> str:
    """A value as Python writes it, with double quotes; the escapes of a JSON string are Python's too."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            return "{" + ", ".join(f"{literal(key)}: {literal(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)
