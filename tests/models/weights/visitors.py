"""A visitor who watches a download and may leave."""

from __future__ import annotations

from models.domain.messages import Progress


class Seen:
    """Collects progress; `cancel_at` bytes of download the visitor leaves."""

    def __init__(self) -> None:
        self.all: list[Progress] = []
        self.cancel_at: float | None = None

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)

    def cancelled(self) -> bool:
        return self.cancel_at is not None and any(p.stage == "download" and p.done >= self.cancel_at for p in self.all)

    def downloads(self) -> list[Progress]:
        return [progress for progress in self.all if progress.stage == "download"]
