"""Tokenizers of the two great kinds, made here: bytes spelled as letters, and SentencePiece's with byte fallback."""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TALE = "once upon a time there was a fox and crow hello paris is the capital of france Once Upon The Hello"


def corpus() -> list[str]:
    choose = random.Random(0)
    return [" ".join(choose.choices(TALE.split(), k=10)) for _ in range(300)]


def byte_level(specials: tuple[str, ...] = ("<s>", "</s>", "<|user|>")) -> Tokenizer:
    """As GPT-2's and Llama 3's; `specials` have the first ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    sizes = {"vocab_size": 400, "initial_alphabet": alphabet, "show_progress": False}
    trainer = trainers.BpeTrainer(special_tokens=list(specials), **sizes)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def sentence_piece() -> Tokenizer:
    """As Llama 2's: a blank is put in front, ▁ is a blank, what is unknown becomes bytes, <s> comes first."""
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(["▁" + line.replace(" ", " ▁") for line in corpus()], trainer)
    plan = json.loads(tokenizer.to_str())
    plan["pre_tokenizer"] = None
    blank = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    plan["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, blank]}
    back = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    plan["decoder"] = {
        "type": "Sequence",
        "decoders": [*back, {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
    }
    plan["added_tokens"] = [token for token in plan["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(plan))
    return starting(tokenizer)


def starting(tokenizer: Tokenizer, closing: bool = False) -> Tokenizer:
    """With a post-processor that puts <s> before a text, and perhaps </s> after it."""
    form = "<s> $A </s>" if closing else "<s> $A"
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single=form, special_tokens=ids)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, **options):
    """As the files of a transformers tokenizer."""
    from transformers import PreTrainedTokenizerFast

    special = {"bos_token": "<s>", "eos_token": "</s>"} | options
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.save_pretrained(folder)
    return fast


def forced(folder: Path, vocabulary: int, chain: dict[int, int], default: int) -> None:
    """A model that writes chain[a] after token a, else `default`, by its embeddings and head alone."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden = 8 * (vocabulary // 8 + 1)
    sizes = {"hidden_size": hidden, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": vocabulary}
    heads = {"num_attention_heads": hidden // 8, "num_key_value_heads": hidden // 8, "head_dim": 8}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        model.model.embed_tokens.weight[:, :vocabulary] = torch.eye(vocabulary)
        for token in range(vocabulary):
            model.lm_head.weight[chain.get(token, default), token] = 1.0
    model.save_pretrained(folder)
