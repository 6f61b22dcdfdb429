"""Who leaves while ZeroGPU answers: what was given is given back, and what waits or starts ends."""

import json
from types import SimpleNamespace

import httpx
import pytest
from spaces.zero.api import APIClient

from models.compute.scheduler import LeftQueue, QueuePlace, _Leavable

GIVEN = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "allow-1"}


def asked(place, answer):
    """Ask for a GPU; the tokens that were given back."""
    released = []

    def handle(request):
        if request.url.path == "/release":
            released.append(request.url.params["allowToken"])
            return httpx.Response(200)
        place.leave()  # while the request is under way
        return answer

    made = APIClient(httpx.Client(transport=httpx.MockTransport(handle), base_url="http://device"))
    with pytest.raises(LeftQueue):
        _Leavable(made, place).schedule(cgroup_path="", task_id=1)
    return released


def test_a_gpu_that_was_given_meanwhile_is_given_back():
    assert asked(QueuePlace(), httpx.Response(200, json=GIVEN)) == ["allow-1"]


def test_a_queue_is_left():
    event = f"event: succeeded\ndata: {json.dumps(GIVEN)}\n\n"
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, text=event)
    assert asked(QueuePlace(), answer) == []


@pytest.mark.parametrize("left_first", [True, False])
def test_a_worker_that_starts_is_ended_and_one_that_began_is_not(left_first):
    killed = []
    place, worker = QueuePlace(), SimpleNamespace(kill=lambda: killed.append(True))
    steps = [place.leave, lambda: place.starts(worker)]
    for step in steps if left_first else reversed(steps):
        step()
    assert killed == [True]
    place, killed = QueuePlace(), []
    place.starts(worker)
    place.over()
    place.leave()
    assert not killed
