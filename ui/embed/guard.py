"""What a signed link fixes, held against everything that is asked with it, over whatever door it comes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gradio.context import LocalContext

from models.domain.engine import Prompt
from models.domain.errors import AgainstLock, BadLock, OnlyLocked, PaddockError
from models.domain.locks import is_locked, parse_query, require_signed
from models.domain.messages import Message, Sampling
from models.domain.request import BasePrompt, ChatRequest, CompareRequest, CompletionRequest
from models.domain.results.contenders import acts_as
from models.domain.thinking import BUDGET, Thinking
from models.domain.variant import Variant

from ..shared import url
from ..shared.sampling import within

if TYPE_CHECKING:
    from models.runtime import Runtime

HEADER = "x-paddock-link"  # the query string of a signed link, from programs that cannot add one to an address
MOST_SESSIONS = 10_000
Asked = ChatRequest | CompletionRequest | CompareRequest | Prompt


@dataclass(frozen=True)
class Lock:
    """What a link fixes, with nothing left open."""

    kind: str
    variants: tuple[Variant, ...]
    sampling: Sampling
    thinking: Thinking
    system: str
    base_prompt: BasePrompt
    text: str = ""  # that a comparison scores


class Guard:
    """Knows the links of each request, and refuses what differs from what they fix.

    A page that was opened with a lock is also known by its session: a request of it that leaves the lock out is held to
    it all the same.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._sessions: OrderedDict[str, Lock] = OrderedDict()
        self._changing = threading.Lock()

    def __call__(self, asked: Asked) -> None:
        """Raises BadLock, AgainstLock, and OnlyLocked where nothing else is answered and there is no lock."""
        locks = self.locks()
        if not locks and self._runtime.settings.locked_only:
            raise OnlyLocked
        for lock in locks:
            hold(self._runtime, lock, asked)

    def opened(self) -> bool:
        """Whether the page that opens now has a lock, which its session has from now on; raises BadLock."""
        request, locks = LocalContext.request.get(None), self.locks()
        session = str(getattr(request, "session_hash", None) or "")
        with self._changing:
            if session and locks:
                self._sessions[session] = locks[0]
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return bool(locks)

    def locks(self) -> list[Lock]:
        """Those of the request that is answered now: in its address, in its header, and of its session."""
        request = LocalContext.request.get(None)
        if request is None:
            return []
        queries = (dict(request.query_params), parse_query(request.headers.get(HEADER) or ""))
        found = [read_lock(self._runtime, query) for query in queries if is_locked(query)]
        with self._changing:
            own = self._sessions.get(str(getattr(request, "session_hash", None) or ""))
        return [*found, own] if own else found


def read_lock(runtime: Runtime, query: Mapping[str, str]) -> Lock:
    """What a signed link fixes; raises BadLock."""
    require_signed(runtime.settings.link_key, query)
    state, errors = url.read(query, ("compare",), runtime.catalog)
    longest = runtime.settings.max_new_tokens
    sampling = within(state.sampling or Sampling(), longest, errors)
    if errors:
        raise BadLock(reason=f"of what it fixes, a part cannot be had here ({errors[0].message.rstrip('.')})")
    options = state.options or url.CompareOptions()
    is_comparison = query["embed"] == "compare"
    if is_comparison and options.greedy:
        sampling = replace(sampling, temperature=0)
    thinking = state.thinking or Thinking()
    return Lock(
        query["embed"],
        state.variants if is_comparison else (state.variant or Variant.parse(runtime.settings.default_variant),),
        sampling,
        replace(thinking, budget=min(thinking.budget or int(BUDGET.default), longest)),
        _lines(state.system) if state.system.strip() else "",
        state.base_prompt or BasePrompt(),
        options.text if is_comparison and options.quality else "",
    )


def hold(runtime: Runtime, lock: Lock, asked: Asked) -> None:
    """Raises AgainstLock, which names the first part that differs."""
    if isinstance(asked, Prompt):
        raise AgainstLock(what="what is asked, which is not a score")
    if isinstance(asked, CompletionRequest):
        raise AgainstLock(what="a conversation, and not a text to go on with")
    if isinstance(asked, CompareRequest) != (lock.kind == "compare"):
        raise AgainstLock(what="a comparison" if lock.kind == "compare" else "a chat with one variant")
    compared = isinstance(asked, CompareRequest)
    variants = asked.variants if isinstance(asked, CompareRequest) else (asked.variant,)
    conversations = asked.histories if isinstance(asked, CompareRequest) else (asked.messages,)
    if not {_acts_as(runtime, each) for each in variants} <= {_acts_as(runtime, each) for each in lock.variants}:
        raise AgainstLock(what="the variant" if not compared else "the variants")
    if any(_system(messages) != lock.system for messages in conversations):
        raise AgainstLock(what="the system prompt")
    wanted = lock.sampling
    if compared and wanted.seed is None:  # one is drawn, so that all variants have the same
        wanted = replace(wanted, seed=asked.sampling.seed)
    if asked.sampling != wanted:
        raise AgainstLock(what="the sampling")
    if asked.thinking not in (lock.thinking, _left_open(lock.thinking)):
        raise AgainstLock(what="thinking")
    if asked.base_prompt != lock.base_prompt:
        raise AgainstLock(what="the parts of a base model's prompt")
    if isinstance(asked, CompareRequest) and asked.text not in ("", lock.text):
        raise AgainstLock(what="the text that is scored")


def _left_open(thinking: Thinking) -> Thinking:
    """As programs ask that say nothing of a budget; it is the same as what the page shows at first."""
    return replace(thinking, budget=None) if thinking.budget == BUDGET.default else thinking


def _system(messages: Sequence[Message]) -> str:
    return _lines("\n\n".join(message.content for message in messages if message.role == "system"))


def _lines(text: str) -> str:
    """With line ends as a browser posts them from a box."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _acts_as(runtime: Runtime, variant: Variant) -> object:
    """What a variant means here, however it is spelled."""
    try:
        return acts_as(runtime.resolve(variant, runtime.card(variant))[0])
    except PaddockError:  # whoever answers says why
        return acts_as(variant)
