"""A tiny Llama as GGUF, in one file or in several, complete or not."""

from __future__ import annotations

from pathlib import Path

HIDDEN, INNER, LAYERS, HEADS = 64, 128, 2, 4


def tokens() -> tuple[list[str], list[str]]:
    """A byte-level vocabulary and its merges."""
    from tokenizers import pre_tokenizers

    merges = ["h e", "l l", "he ll", "hell o"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*alphabet, *(merge.replace(" ", "") for merge in merges), "<|end|>"], merges


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of the model, untied."""
    rows = len(tokens()[0])
    found: dict[str, tuple[int, ...]] = {"token_embd.weight": (rows, HIDDEN)}
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            found[f"blk.{layer}.{name}.weight"] = (HIDDEN, HIDDEN)
        for name in ("ffn_gate", "ffn_up"):
            found[f"blk.{layer}.{name}.weight"] = (INNER, HIDDEN)
        found[f"blk.{layer}.ffn_down.weight"] = (HIDDEN, INNER)
        for name in ("attn_norm", "ffn_norm"):
            found[f"blk.{layer}.{name}.weight"] = (HIDDEN,)
    return found | {"output_norm.weight": (HIDDEN,), "output.weight": (rows, HIDDEN)}


def write(
    path: Path, seed: int = 1, without: tuple[str, ...] = (), part: tuple[int, int] = (0, 1), **sizes: tuple[int, ...]
) -> Path:
    """The model, or of `part` = (number, count) every count-th tensor of it; `sizes` are others than usual."""
    import gguf
    import numpy

    writer = gguf.GGUFWriter(path, "llama")
    number, count = part
    if count > 1:
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
    if number == 0:
        _add_values(writer)
    random = numpy.random.default_rng(seed)
    values = {name: random.random(sizes.get(name, shape), numpy.float32) for name, shape in shapes().items()}
    for at, (name, tensor) in enumerate(values.items()):
        if at % count == number and name not in without:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_parts(folder: Path, count: int, name: str = "tiny") -> Path:
    """The model in several files; returns the first."""
    files = [folder / f"{name}-{number + 1:05}-of-{count:05}.gguf" for number in range(count)]
    for number, file in enumerate(files):
        write(file, part=(number, count))
    return files[0]


def _add_values(writer) -> None:
    vocabulary, merges = tokens()
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([1] * (len(vocabulary) - 1) + [3])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(len(vocabulary) - 1)
