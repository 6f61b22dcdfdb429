"""What a request at /v1 brings along for ZeroGPU: its visitor, and the app whose sockets a worker has to close."""

from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from gradio.context import LocalContext
from starlette.testclient import TestClient

from models.domain.messages import Delta, Usage
from models.domain.settings import Settings
from ui.openai.routes import build_routes

BLOCKS = SimpleNamespace(server=None)


class Listening:
    """Stands for the Runtime, and keeps what it is asked in."""

    settings = Settings()

    def __init__(self):
        self.seen = []

    def check(self, request):
        pass

    def require(self, variant, token):
        pass

    async def streaming(self, request, stop=None, token=None):
        self.seen.append((LocalContext.blocks.get(None), LocalContext.request.get(None).headers["x-ip-token"]))
        yield Delta("Hi", Usage(new_tokens=1, finish="stop"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_worker_is_told_which_app_it_was_forked_from(stream):
    runtime = Listening()
    app = FastAPI(routes=build_routes(runtime))
    app.blocks = BLOCKS  # as Gradio's App has them
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    answer = TestClient(app).post("/v1/chat/completions", json=body, headers={"x-ip-token": "a visitor"})
    assert answer.status_code == 200, answer.text
    assert runtime.seen == [(BLOCKS, "a visitor")]
