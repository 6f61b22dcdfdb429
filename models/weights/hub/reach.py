"""Can the Hub be reached? Answered within seconds, and remembered for a minute."""

from __future__ import annotations

import threading
import time

from ...domain.settings import Settings

REMEMBERED_S = 60.0
_answers: dict[str, tuple[float, bool]] = {}
_lock = threading.Lock()


def hub_reachable(settings: Settings) -> bool:
    """Whether the Hub answers within `settings.hub_timeout_s`; False at once in offline mode."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return False
    with _lock:  # visitors who come together wait for one probe
        at, answer = _answers.get(constants.ENDPOINT, (float("-inf"), False))
        if time.monotonic() - at > REMEMBERED_S:
            answer = _probe(constants.ENDPOINT, settings.hub_timeout_s)
            _answers[constants.ENDPOINT] = (time.monotonic(), answer)
    return answer


def known_unreachable() -> bool:
    """Whether a probe of the last minute failed, or offline mode is on; asks nobody."""
    from huggingface_hub import constants

    at, answer = _answers.get(constants.ENDPOINT, (float("-inf"), True))
    return constants.is_offline_mode() or (not answer and time.monotonic() - at <= REMEMBERED_S)


def forget() -> None:
    """Ask again next time."""
    _answers.clear()


def _probe(endpoint: str, timeout_s: float) -> bool:
    from huggingface_hub import get_session

    status: list[int] = []

    def ask() -> None:
        try:
            response = get_session().head(f"{endpoint}/api/models", timeout=timeout_s, follow_redirects=False)
            status.append(response.status_code)
        except Exception:  # a refusal, a time-out, a proxy that says no: all mean that there is no Hub
            return

    # In a thread, because no time-out of an HTTP client covers looking the name up.
    thread = threading.Thread(target=ask, name="hub-probe", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return bool(status) and status[0] < 500
