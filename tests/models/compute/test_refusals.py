"""What `spaces` raises, as the visitor reads it."""

import pytest

from models.compute.refusals import refusal
from models.domain.errors import GpuBusy, GpuQuotaUsed, GpuTaken


class Refused(Exception):
    """As Gradio's error: a title, and a message that shows its text."""

    def __init__(self, title, message):
        self.title, self.message = title, message


QUEUED = "No GPU was available after 60s"
LINK = "[Create a free account](https://huggingface.co/join) to get a higher priority in ZeroGPU queues."


@pytest.mark.parametrize(
    ("title", "message", "kind", "words"),
    [
        (
            "ZeroGPU queue timeout",
            f"{QUEUED} {LINK}",
            GpuBusy,
            f"{QUEUED}. Create a free account to get a higher priority in ZeroGPU queues",
        ),
        ("ZeroGPU queue timeout", f"{QUEUED}. Retry later", GpuBusy, f"{QUEUED}. Retry later"),
        ("ZeroGPU quota exceeded", "You have [3s left] (of 60s).", GpuQuotaUsed, "You have [3s left] (of 60s)"),
        ("ZeroGPU worker error", "GPU task aborted", GpuTaken, "GPU task aborted"),
    ],
)
def test_the_words_are_kept_without_a_links_markdown(title, message, kind, words):
    error = refusal(Refused(title, message), 30, 2.0)
    assert type(error) is kind
    assert error.facts["words"] == words
