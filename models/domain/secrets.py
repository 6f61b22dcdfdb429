"""What of the environment is nobody's business but this process's: tokens, and what would print them."""

from __future__ import annotations

import os
from collections.abc import Mapping

NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "HF_DEBUG")  # HF_DEBUG prints requests


def without_secrets(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child process."""
    return {name: value for name, value in env.items() if name not in NAMES}
