"""What is changed on the Hub is changed with the operator's own token, and what goes wrong is said without it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...domain.errors import NoHubToken, NoWriteAccess, PaddockError, UploadBroken
from ..fetch_errors import without_addresses

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

Refused = Callable[[str, str], PaddockError]  # for what else the Hub refuses: a repository, and the Hub's reason


def writing_api() -> HfApi:
    """The Hub with the token of this machine; raises NoHubToken."""
    from huggingface_hub import HfApi, constants, get_token

    if not (token := get_token()):
        raise NoHubToken
    # Plain HTTP resumes by whole files, and the errors of the server come through.
    constants.HF_HUB_DISABLE_XET = True
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return HfApi(endpoint=constants.ENDPOINT, token=token)


@contextmanager
def told(repo: str, refused: Refused) -> Iterator[None]:
    """Let nothing out but our errors, without addresses or tokens."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except PaddockError:
        raise
    except RepositoryNotFoundError as error:  # also what a token without access gets
        raise NoWriteAccess(space=repo, owner=repo.partition("/")[0], reason=_said(error)) from error
    except HfHubHTTPError as error:
        raise _from_status(error, repo, refused) from error
    except Exception as error:
        cause = error.__cause__ or error  # of an upload: which file it was
        if isinstance(cause, PaddockError):
            raise cause from None
        if isinstance(cause, HfHubHTTPError):
            raise _from_status(cause, repo, refused) from error
        raise UploadBroken(space=repo, reason=_plain(cause)) from error


def _from_status(error: HfHubHTTPError, repo: str, refused: Refused) -> PaddockError:
    status, reason = error.response.status_code, _said(error)
    if status in (401, 403):
        return NoWriteAccess(space=repo, owner=repo.partition("/")[0], reason=reason)
    if status >= 500:
        return UploadBroken(space=repo, reason=reason)
    return refused(repo, reason)


def _said(error: HfHubHTTPError) -> str:
    """The Hub's own sentence, or its status."""
    said = (error.server_message or "").strip().splitlines()
    return without_addresses(said[0]).rstrip(".")[:300] if said else f"status {error.response.status_code}"


def _plain(error: BaseException) -> str:
    return without_addresses(" ".join(str(error).split()))[:200].rstrip(".") or type(error).__name__
