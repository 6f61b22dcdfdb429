"""Trainings for programs: begun, looked at, stopped; for who runs the server, so neither listed nor tools for models.

Gradio reads the parameters, their defaults and the outputs from the signatures, so annotations here are evaluated.
"""

from typing import Any

import gradio as gr

from models.domain.variant import Variant
from models.training.runs import told
from models.training.runs.asked import ask
from models.training.runs.trainings import Trainings

from ..shared.endpoints import documented, in_sentences
from ..shared.operator import require


def build_endpoints(trainings: Trainings) -> None:
    """Register /train, /trainings and /training on the Blocks being built."""
    settings = trainings.settings

    def train(
        request: gr.Request,
        variant: str,
        data: str,
        name: str,
        settings: dict[str, Any] = {},  # noqa: B006
        columns: dict[str, str] = {},  # noqa: B006
        key: str = "",
    ) -> dict[str, Any]:
        """Begin to train an adapter, which goes on by itself; what /training returns."""
        with in_sentences():
            require(trainings.settings, request, key)
            trainings.begin(ask(name, Variant.parse(variant), data, settings or {}, columns or {}))
            return told.whole(trainings.one(str(name).strip()))

    def all_trainings(request: gr.Request, key: str = "") -> list[dict[str, Any]]:
        """The trainings of this server, the newest first: where each is, its losses, the time that is left."""
        with in_sentences():
            require(settings, request, key)
            return [told.brief(each) for each in trainings.all()]

    def training(request: gr.Request, name: str, act: str = "", key: str = "") -> dict[str, Any]:
        """One training with its curves and samples, after `act` if there is one: stop, finish, go-on or remove."""
        with in_sentences():
            require(settings, request, key)
            found = trainings.one(str(name))
            if act:
                trainings.act(act, found.asked.name)
            return told.whole(found if act == "remove" else trainings.one(found.asked.name))

    for name, endpoint in (("train", train), ("trainings", all_trainings), ("training", training)):
        gr.api(documented(endpoint), api_name=name, queue=False, api_visibility="undocumented")
