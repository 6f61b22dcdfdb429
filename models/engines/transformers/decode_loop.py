"""The decode loop: a token of each row at a time as a generator, after transformers' own preparation of `generate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...domain.errors import NotFinite
from ...domain.messages import Sampling
from .grammar import Grammar
from .loader import Loaded

PREFILL_CHUNK = 512  # tokens computed between two chances to stop; about a second on two cores for a small model


def prefill(model: Any, ids: Sequence[int], cache: Any, rows: int = 1, left: int = PREFILL_CHUNK) -> Iterator[int]:
    """Compute the prompt into `cache` but for the `left` last tokens, and yield the tokens done after each chunk.

    `rows` sequences of the same prompt, which differ by the adapters that act on them.
    """
    import torch

    yield from _computed(model, torch.tensor([list(ids)] * rows, device=model.device), cache, left)


def _computed(model: Any, ids: Any, cache: Any, left: int) -> Iterator[int]:
    """Compute `ids` [rows, tokens] into `cache` in chunks, until at most `left` of them are to come."""
    import torch

    while (done := cache.get_seq_length()) + left < ids.shape[1]:
        chunk = ids[:, done : min(done + PREFILL_CHUNK, ids.shape[1] - 1)]
        with torch.inference_mode(), _head_reads_contiguous(model):
            model(input_ids=chunk, past_key_values=cache, use_cache=True, logits_to_keep=1)
        yield done + chunk.shape[1]


def tokens(
    loaded: Loaded,
    ids: Sequence[int],
    cache: Any,
    sampling: Sampling,
    limit: int,
    seed: int | None,
    forced: Sequence[list[int]] = ((),),  # type: ignore[assignment]
    grammars: Sequence[Grammar] = (),
) -> Iterator[list[int]]:
    """The id of each row's next token, at most `limit` times, until every row wrote an end-of-sequence one.

    Each row has a list in `forced`, whose first token is taken from it in place of the one that the model chose, and
    none or one of `grammars`, which says what may be chosen.

    Raises NotFinite in place of a token that no number stands behind. Modelled on GenerationMixin._sample
    (transformers 5.23), for one prompt. Each row draws from a generator of its own, so that a seed gives the same
    tokens whatever else the process or another row draws.
    """
    import torch
    from transformers import DynamicCache

    model, length, rows = loaded.model, loaded.length, len(forced)
    draws = [torch.Generator(device=model.device) for _ in range(rows)]
    for generator in draws:
        if seed is not None:
            generator.manual_seed(seed)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def decode(
        model: Any,
        input_ids: Any,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **model_kwargs: Any,
    ) -> Iterator[list[int]]:
        with _head_reads_contiguous(model):
            outputs = model._prefill(input_ids, generation_config, model_kwargs)
        with model._optimize_model_for_decode():
            while True:
                model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
                # A copy: a view would keep the logits of the whole prompt.
                logits = outputs.logits[:, -1].to(copy=True, dtype=torch.float32, device=input_ids.device)
                del outputs
                if not bool(logits.amax(dim=-1).isfinite().all()):  # NaN is larger than any number
                    raise NotFinite(during="while answering")
                for row, grammar in enumerate(grammars):
                    grammar.restrict(logits[row])
                scores = logits_processor(input_ids, logits)
                if generation_config.do_sample:
                    chances = torch.nn.functional.softmax(scores, dim=-1)
                    picks = zip(chances, draws, strict=True)
                    chosen = torch.stack([torch.multinomial(row, num_samples=1, generator=own) for row, own in picks])
                else:
                    chosen = torch.argmax(scores, dim=-1, keepdim=True)
                for row, waiting in enumerate(forced):
                    if waiting:
                        chosen[row, 0] = waiting.pop(0)
                for row, grammar in enumerate(grammars):
                    grammar.took(int(chosen[row, 0]))
                input_ids = torch.cat([input_ids, chosen], dim=-1)
                yield chosen[:, 0].tolist()
                if bool(stopping_criteria(input_ids, None).all()):
                    return
                if length.grow(input_ids.shape[1]):
                    cache.layers = DynamicCache(config=model.config).layers
                    for _ in _computed(model, input_ids, cache, left=1):
                        pass
                inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **model_kwargs)
                outputs = model(**inputs, return_dict=True)

    prompt = torch.tensor([list(ids)] * rows, device=model.device)
    decoded: Iterator[list[int]] = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),  # given, because a prompt may contain the padding token
        past_key_values=cache,
        generation_config=generation_config(sampling, limit, loaded.eos_ids),
        custom_generate=decode,
    )
    return decoded


@contextmanager
def _head_reads_contiguous(model: Any) -> Iterator[None]:
    """Hand the head the last token of each row without the gaps that cutting it out leaves.

    With gaps, which count for torch even between rows of one, it copies the head's weights once a row to multiply:
    48 instead of 3 ms for one row of bf16 and a vocabulary of 49k on two cores, 156 instead of 5 for three.
    """

    def close_gaps(head: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = inputs[0]
        return hidden.reshape(-1, hidden.shape[-1]).contiguous().reshape(hidden.shape), *inputs[1:]

    handle = model.get_output_embeddings().register_forward_pre_hook(close_gaps)
    try:
        yield
    finally:
        handle.remove()


def generation_config(sampling: Sampling, limit: int, eos_ids: Sequence[int]) -> Any:
    """Transformers' settings with every sampling value stated, since unstated ones take defaults like top_k 50."""
    from transformers import GenerationConfig

    ends = {"eos_token_id": list(eos_ids) or None, "pad_token_id": eos_ids[0] if eos_ids else 0}
    common = {"max_new_tokens": limit, "use_cache": True, "repetition_penalty": sampling.repetition_penalty, **ends}
    if sampling.fixed_length:
        common["min_new_tokens"] = limit
    if sampling.greedy:
        return GenerationConfig(do_sample=False, **common)
    return GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p or None,
        **common,
    )
