"""The one place that turns what huggingface_hub, pip and the disk raise into the errors of domain/errors.py."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..domain.errors import (
    AccessAwaited,
    BadToken,
    CorruptWeights,
    DiskFilled,
    DiskFull,
    DownloadFailed,
    HubUnreachable,
    LicenceNotAccepted,
    NotOnHub,
    NotSignedIn,
    PaddockError,
    TokenWithoutScope,
)
from ..domain.units import size
from . import own_folder

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TRANSPORT = frozenset({"TransportError", "TimeoutException", "OfflineModeIsEnabled"})
_CONNECT = frozenset({"ConnectError", "ConnectTimeout", "ProxyError", "OfflineModeIsEnabled"})


@contextmanager
def translated(model: str, folder: Path) -> Iterator[None]:
    """Let nothing out but PaddockError; `folder` is where files are written."""
    try:
        yield
    except PaddockError:
        raise
    except Exception as error:
        raise translate(error, model, folder) from error


def translate(
    error: BaseException,
    model: str,
    folder: Path,
    downloading: bool = False,
    variable: str = own_folder.VARIABLE,
    signed_in: bool = False,
) -> PaddockError:
    """The error that a visitor is shown for any exception; `variable` names `folder` to the operator.

    `signed_in` says that a token was sent.
    """
    if isinstance(error, PaddockError):
        return error
    if isinstance(error, OSError) and error.errno in _FULL:
        return DiskFilled(file=model, folder=str(folder))
    if isinstance(error, OSError) and own_folder.is_its_fault(error, folder):
        return own_folder.refusal(error, folder, variable)
    if isinstance(error, PermissionError) and error.filename:
        return CorruptWeights(file=Path(str(error.filename)).name, reason="this process may not read it")
    return _from_hub(error, model, folder, downloading, signed_in) or DownloadFailed(what=model, reason=_plain(error))


def require_space(needed: int, file: str, folder: Path) -> None:
    """Raise DiskFull when `needed` bytes do not fit into a folder that is there."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFull(file=file, needed=size(needed), free=size(free), folder=str(folder))


def from_pip(output: str, what: str, folder: Path) -> PaddockError:
    """The reason why pip failed, without addresses: they may hold a password."""
    if "No space left on device" in output:
        return DiskFilled(file=what, folder=str(folder))
    if "No module named pip" in output:
        return DownloadFailed(what=what, reason="pip is not installed beside this app")
    if any(sign in output for sign in ("Retrying (", "NewConnectionError", "ConnectTimeout", "NameResolutionError")):
        return DownloadFailed(what=what, reason="the package index cannot be reached")
    errors = [line for line in output.splitlines() if line.startswith("ERROR:") and "No matching dist" not in line]
    if not errors:
        errors = [line for line in output.splitlines() if line.strip()][-1:] or ["pip said nothing"]
    return DownloadFailed(
        what=what, reason=without_addresses(errors[-1].removeprefix("ERROR:").strip())[:200].rstrip(".")
    )


def without_addresses(text: str) -> str:
    """A message with its addresses and host names taken out."""
    text = re.sub(r"\w+ConnectionPool\([^)]*\)", "the server", text)
    text = re.sub(r"host='[^']*'", "the server", text)
    return re.sub(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+", "an address", text)


def _from_hub(
    error: BaseException, model: str, folder: Path, downloading: bool, signed_in: bool
) -> PaddockError | None:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():  # a kind of RepositoryNotFoundError, so it comes first
            return _refused(403, error.server_message or "", model, signed_in)
        case errors.RevisionNotFoundError():
            return NotOnHub(what=f"such revision of {model}")
        case errors.RemoteEntryNotFoundError():
            return NotOnHub(what=f"such file in {model}")
        case errors.RepositoryNotFoundError() | errors.DisabledRepoError() | errors.HFValidationError():
            return NotOnHub(what=f"model called {model}")
        case errors.HfHubHTTPError():
            return _from_status(error.response.status_code, error.server_message or "", model, signed_in)
        case errors.LocalEntryNotFoundError() if error.__cause__ is not None:
            return translate(error.__cause__, model, folder, downloading, signed_in=signed_in)
        case errors.LocalEntryNotFoundError():
            return HubUnreachable(model=model)
    # By name: the HTTP library under huggingface_hub is its own affair, and has changed before.
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _TRANSPORT:
        if not downloading or names & _CONNECT:
            return HubUnreachable(model=model)
        return DownloadFailed(what=model, reason="the connection broke")
    if "Consistency check failed" in str(error):
        return DownloadFailed(what=model, reason="it arrived incomplete")
    return None


def _refused(status: int, said: str, model: str, signed_in: bool) -> PaddockError:
    """Why a repository may not be read, by what the Hub says beside its 401 or 403."""
    if not signed_in:
        return NotSignedIn(model=model)
    if status == 401:
        return BadToken()
    if "fine-grained" in said or "scope" in said:
        return TokenWithoutScope(model=model)
    return AccessAwaited(model=model) if "awaiting a review" in said else LicenceNotAccepted(model=model)


def _from_status(status: int, said: str, model: str, signed_in: bool) -> PaddockError:
    if status in (401, 403):
        return _refused(status, said, model, signed_in)
    if status == 429:
        return DownloadFailed(what=model, reason="the Hub asks to try again later (429)")
    if status >= 500:
        return HubUnreachable(model=model)
    return DownloadFailed(what=model, reason=f"the Hub answered {status}")


def _plain(error: Any) -> str:
    return without_addresses(f"{type(error).__name__}: {error}".splitlines()[0])[:200]
