"""May the Hub be asked, with whose token, and who may use what a token has fetched?"""

from __future__ import annotations

import threading
import time

from ...domain.settings import Settings
from ...system.files import read_json
from ..sharing import shared_table

REMEMBERED_S = 60.0  # whether the Hub answered
_answers: dict[str, tuple[float, bool]] = {}
_lock = threading.Lock()


def token_for(repo: str, settings: Settings, token: str | None) -> str | None:
    """The token for one repository: the visitor's own, or the operator's where the operator lists it, or none.

    The operator's is not used for anything else, so that nobody reaches private or gated models by naming them.
    """
    if token:
        return token
    if settings.shares(repo):
        from huggingface_hub import get_token

        return get_token()
    return None


def restrict(settings: Settings, repo: str) -> None:
    """Note that a closed repository is here by somebody's token: others have to show that they may read it too."""
    with shared_table(settings, "restricted") as table:
        table[repo] = True


def is_restricted(settings: Settings, repo: str, gated: bool = False) -> bool:
    """Whether the files of a repository may only be used by who has access to it on the Hub."""
    return not settings.shares(repo) and (gated or repo in read_json(settings.cache / "restricted.json"))


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
    """Ask again next time whether the Hub answers."""
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
