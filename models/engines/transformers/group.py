"""Several processes as one, over torch.distributed: the first leads, the others do the jobs that it sends them.

All of it happens on the engine thread. What they say to each other goes over gloo, tensors on GPUs over NCCL.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from ...domain.errors import BadProcesses, ProcessLost
from ...system.ranks import Place
from .engine_thread import computed

# Goes to the others pickled, so it is a function of a module with its arguments. It is given what they hold meanwhile.
Job = Callable[[dict[int, Any]], Any]
MET = threading.Event()  # this process has had others
_EVER = timedelta(days=365)  # the app waits for visitors; a process that is gone is noticed by its closed connection
# Of what torch raises when another process is gone, by gloo and by NCCL.
_LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "nccl",
    "remote process exited",
    "socket",
)


def join(place: Place, accelerator: str, wait_s: float, threads: int) -> None:
    """Meet the other processes; raises BadProcesses when one does not come within `wait_s` seconds."""
    computed(lambda: _join(place, accelerator, wait_s), threads, during="while the processes meet")


def _join(place: Place, accelerator: str, wait_s: float) -> None:
    from torch import distributed as dist

    store = dist.PrefixStore("paddock", _store(place, wait_s))
    ranks = [str(rank) for rank in range(place.size)]
    me = f"{accelerator} {socket.gethostname()} {os.getpid()}"
    try:
        if store.compare_set(str(place.rank), "", me).decode() != me:
            raise BadProcesses(
                reason=f"another process came with RANK {place.rank} too", suggestion="Give each a RANK of its own."
            )
        store.wait(ranks, timedelta(seconds=wait_s))
    except dist.DistError:
        raise BadProcesses(
            reason=f"{_missing(store, ranks)} did not come to {place.address}:{place.port} within {wait_s:g} seconds",
            suggestion="Start all of them at the same time, with the same WORLD_SIZE and MASTER_PORT.",
        ) from None
    kinds = [store.get(rank).decode().split()[0] for rank in ranks]
    if len(set(kinds)) > 1:
        reason = "; ".join(f"process {rank} computes on {kind}" for rank, kind in zip(ranks, kinds, strict=True))
        raise BadProcesses(reason=reason, suggestion="Start as many processes as there are GPUs.")
    backend = "cpu:gloo,cuda:nccl" if accelerator == "cuda" else "gloo"
    MET.set()
    dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=_EVER)


def _store(place: Place, wait_s: float) -> Any:
    """Where the processes leave word for each other; a thread connects, since a mute program is waited for for ever."""
    from torch import distributed as dist

    where, came = f"{place.address}:{place.port}", Future[Any]()
    master = place.leads and not place.hosted

    def connect() -> None:
        try:
            wait = timedelta(seconds=wait_s)
            came.set_result(
                dist.TCPStore(
                    place.address, place.port, place.size, is_master=master, timeout=wait, wait_for_workers=False
                )
            )
        except BaseException as error:
            came.set_exception(error)

    threading.Thread(target=connect, daemon=True, name="paddock-meeting").start()
    try:
        return came.result(wait_s + 1)
    except TimeoutError:
        taken = _somebody_listens(place)
    except (dist.DistError, RuntimeError) as error:
        taken = "EADDRINUSE" in str(error) or "address already in use" in str(error).lower()
    if taken:
        raise BadProcesses(
            reason=f"another program listens at {where}", suggestion="Set another MASTER_PORT for all of them."
        )
    raise BadProcesses(
        reason=f"nobody whom process {place.rank} could meet listens at {where}",
        suggestion="Start the process with RANK 0 on that machine at the same time, or correct MASTER_ADDR.",
    )


def _somebody_listens(place: Place) -> bool:
    try:
        socket.create_connection((place.address, place.port), timeout=1).close()
    except OSError:
        return False
    return True


def _missing(store: Any, ranks: list[str]) -> str:
    from torch import distributed as dist

    try:
        lacking = [rank for rank in ranks if not store.check([rank])]
    except dist.DistError:
        return "the process with RANK 0"
    return f"the process{'es' if len(lacking) > 1 else ''} with RANK {', '.join(lacking[:8]) or '0'}"


def size() -> int:
    """How many processes compute together here; 1 for one that is alone."""
    torch = sys.modules.get("torch")
    dist = getattr(torch, "distributed", None)
    return int(dist.get_world_size()) if dist is not None and dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is; 0 leads."""
    from torch import distributed as dist

    return int(dist.get_rank()) if size() > 1 else 0


def tell(job: Job) -> None:
    """Have the others do a job, as its first process."""
    _broadcast(job)


def dismiss() -> None:
    """Send the others home."""
    from torch import distributed as dist

    _broadcast(None)
    dist.destroy_process_group()


def follow() -> None:
    """Do what the first process says until it sends the others home; raises ProcessLost when it is gone."""
    from torch import distributed as dist

    held: dict[int, Any] = {}
    with noticing_loss(size()):
        while (job := _broadcast(None)) is not None:
            job(held)
    dist.destroy_process_group()


def agreed(flag: bool) -> bool:
    """Whether any of the processes says so; all of them ask at the same point."""
    import torch
    from torch import distributed as dist

    votes = torch.tensor([int(flag)])
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return bool(votes.item())


def abandon() -> None:
    """Leave the others where they are, who notice it; from then on this process is alone."""
    from torch import distributed as dist

    if size() > 1:
        dist.destroy_process_group()


@contextmanager
def noticing_loss(processes: int) -> Iterator[None]:
    """Raise ProcessLost in place of what torch says when another process is gone."""
    try:
        yield
    except RuntimeError as error:
        if processes > 1 and any(words in str(error).lower() for words in _LOST):
            raise ProcessLost(processes=processes) from error
        raise


def _broadcast(job: Job | None) -> Job | None:
    import torch
    from torch import distributed as dist

    box = [job]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]
