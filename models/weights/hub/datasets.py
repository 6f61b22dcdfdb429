"""One file of a data set on the Hub, in the ordinary Hub cache."""

from __future__ import annotations

from pathlib import Path

from ...domain.errors import HubUnreachable
from ...domain.settings import Settings
from .. import fetch_errors
from . import access


def data_file(repo: str, file: str, settings: Settings) -> Path:
    """The file, downloaded if need be; raises HubUnreachable, NotOnHub, DownloadFailed, DiskFull."""
    with fetch_errors.translated(repo, settings.cache):
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

        if isinstance(found := try_to_load_from_cache(repo, file, repo_type="dataset"), str):
            return Path(found)
        if not access.hub_reachable(settings):
            raise HubUnreachable(model=repo)
        return Path(hf_hub_download(repo, file, repo_type="dataset", token=False))
