"""The endpoints as tools for models, by the protocol's own client."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import SMOLLM2, ServedApp
from ui.shared.endpoints import PARAMETERS

TOOLS = {"chat", "complete", "compare", "score", "plan", "models", "adapters"}
VARIANT = f"{SMOLLM2}@gguf"


def with_session(app: ServedApp, use: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    async def connected() -> Any:
        async with (
            streamable_http_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await use(session)

    return asyncio.run(connected())


def test_the_endpoints_are_tools_and_nothing_else_of_the_page_is(app: ServedApp) -> None:
    tools = {tool.name: tool for tool in with_session(app, lambda session: session.list_tools()).tools}
    assert set(tools) == TOOLS
    for tool in tools.values():
        assert len(tool.description or "") > 40
        for name, schema in tool.inputSchema["properties"].items():
            assert schema["description"].startswith(PARAMETERS[name]), (tool.name, name)
    assert tools["compare"].inputSchema["properties"]["variants"]["type"] == "array"


def test_a_model_plans_asks_and_compares_and_reads_what_went_wrong(app: ServedApp) -> None:
    told: list[str | None] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async def use(session: ClientSession) -> tuple[Any, ...]:
        greedy = {"temperature": 0, "max_new_tokens": 8}
        asked = {"message": "What is the capital of France?", "variant": VARIANT, **greedy}
        return (
            await session.call_tool("plan", {"variant": f"{SMOLLM2}@nf4"}),
            await session.call_tool("chat", asked, progress_callback=progress),
            await session.call_tool(
                "compare", {"prompt": "Say hi.", "variants": [VARIANT, f"{SMOLLM2}@bf16"], **greedy}
            ),
            await session.call_tool("chat", asked | {"variant": "smollm2-135m-instrct"}),
            await session.call_tool("chat", asked | {"temperature": 9}),
        )

    plan, chat, compared, unknown, hot = with_session(app, use)
    assert ast.literal_eval(plan.content[0].text)["variant"] == f"{SMOLLM2}@nf4"
    program = Client(app.url, verbose=False, analytics_enabled=False)
    asked = ("What is the capital of France?", [], VARIANT)
    assert chat.content[0].text == program.predict(*asked, temperature=0, max_new_tokens=8, api_name="/chat")[0]
    assert told, "progress was asked for"
    rows = ast.literal_eval(compared.content[0].text)
    assert [row["variant"] for row in rows] == [VARIANT, f"{SMOLLM2}@bf16"]
    assert all(row["text"] and not row["error"] for row in rows)
    assert unknown.isError
    assert "There is no model called “smollm2-135m-instrct” here." in unknown.content[0].text
    assert hot.isError
    assert "temperature" in hot.content[0].text
