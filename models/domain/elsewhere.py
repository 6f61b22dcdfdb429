"""How to run a variant without Paddock: commands and code for llama.cpp, Ollama, vLLM and transformers with PEFT.

Sources: llama.cpp's tools/server/README.md, Ollama's docs/modelfile.md, vLLM's CLI reference, and the documentation of
transformers and PEFT (as of their versions in requirements.txt).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .adapters import ListedAdapter, short_name
from .catalog import ModelCard, gguf_label
from .messages import Message, Sampling
from .quantization import BITS_AND_BYTES, KV_TYPES, Mode, card_for
from .variant import AdapterChoice

DTYPES = {"fp32": "float32", "fp16": "float16"}  # others compute in bfloat16
OF_VLLM = ("fp32", "bf16", "fp16", "nf4", "gptq", "awq")  # its bitsandbytes makes nf4 of a plain checkpoint


@dataclass(frozen=True)
class PlacedAdapter:
    """An adapter as another program finds it: a Hub id or a folder, and its strength."""

    name: str
    place: str
    weight: float = 1.0


def placed_adapter(choice: AdapterChoice, entry: ListedAdapter | None) -> PlacedAdapter:
    """Where another program finds an adapter: one that is in no table and on no Hub is wherever its owner keeps it."""
    name = short_name(choice.name).removesuffix("…").replace("/", "_")
    if entry is not None and entry.folder:
        return PlacedAdapter(name, f"models/finetuned/{entry.folder}", choice.weight)
    hub_id = entry.hub_id if entry else choice.name if "/" in choice.name else ""
    return PlacedAdapter(name, hub_id or f"path/to/{name}", choice.weight)


@dataclass(frozen=True)
class Wanted:
    """The variant and what is asked of it; `messages` end with the question, a base model is given the last's text."""

    card: ModelCard
    mode: Mode
    adapters: Sequence[PlacedAdapter] = ()
    messages: Sequence[Message] = (Message("user", "Hello!"),)
    sampling: Sampling = field(default_factory=Sampling)
    context: int = 4096

    @property
    def system(self) -> str:
        return next((message.content for message in self.messages if message.role == "system"), "")

    @property
    def question(self) -> str:
        return self.messages[-1].content


@dataclass(frozen=True)
class Recipe:
    """What to paste, in which language; `note` says where its answers differ from Paddock's."""

    program: str
    language: str
    text: str
    note: str = ""


def recipes(wanted: Wanted) -> list[Recipe]:
    """One for each program that can run the variant; none where no other program is known to."""
    found = [llama_server(wanted), ollama(wanted), vllm(wanted), transformers(wanted)]
    return [recipe for recipe in found if recipe is not None]


# --- GGUF -----------------------------------------------------------------------------------------------------


def llama_server(wanted: Wanted) -> Recipe | None:
    """llama.cpp's server on the same file, and the same question by curl."""
    if (file := _gguf(wanted)) is None:
        return None
    repo, name = file
    kv = KV_TYPES[wanted.mode.kv][0]
    cache = f" --cache-type-k {kv} --cache-type-v {kv} --flash-attn on" if wanted.mode.kv else ""
    start = (
        f"llama-server --hf-repo {repo} --hf-file {shlex.quote(name)} --ctx-size {wanted.context}{cache} --port 8080"
    )
    body = _chat_body(wanted) | _named(wanted.sampling, {"top_k": "top_k", "min_p": "min_p"})
    body |= _named(wanted.sampling, {"repetition_penalty": "repeat_penalty"})
    path = "/v1/chat/completions"
    if wanted.card.is_base:
        path, body = "/v1/completions", {"prompt": wanted.question} | {k: v for k, v in body.items() if k != "messages"}
    return Recipe("llama.cpp", "bash", f"{start}\n\n{_curl('http://127.0.0.1:8080' + path, body)}")


def ollama(wanted: Wanted) -> Recipe | None:
    """A Modelfile on the same file, and the commands that make and run it."""
    if (file := _gguf(wanted)) is None or wanted.mode.kv:  # its KV type is a setting of the whole server
        return None
    repo, name = file
    label = gguf_label(name)
    if not label:
        return None
    names = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p"}
    names |= {"repetition_penalty": "repeat_penalty", "max_new_tokens": "num_predict", "seed": "seed"}
    lines = [f"FROM hf.co/{repo}:{label}", f"PARAMETER num_ctx {wanted.context}"]
    lines += [f"PARAMETER {key} {_number(value)}" for key, value in _named(wanted.sampling, names).items()]
    lines += [f"PARAMETER stop {json.dumps(text, ensure_ascii=False)}" for text in wanted.sampling.stop]
    quoted = f'SYSTEM """{wanted.system}"""'
    if wanted.system:
        lines.append(f"SYSTEM {json.dumps(wanted.system, ensure_ascii=False)}" if '"""' in wanted.system else quoted)
    made = wanted.card.key
    text = "\n".join([*lines, "", f"# ollama create {made} -f Modelfile", f"# ollama run {made} {_quoted(wanted)}"])
    return Recipe("Ollama", "dockerfile", text, "Ollama may use a chat template of its own.")


def _gguf(wanted: Wanted) -> tuple[str, str] | None:
    """The repository and file of a GGUF mode."""
    card = card_for(wanted.mode, wanted.card) if wanted.mode.form == "gguf" else None
    return (card.gguf.repo, card.gguf.file) if card and card.gguf else None


# --- safetensors ----------------------------------------------------------------------------------------------


def vllm(wanted: Wanted) -> Recipe | None:
    """vLLM's server with the same weights and LoRA adapters, each of which is a model of its own there."""
    mode, adapters = wanted.mode.name, wanted.adapters
    if mode not in OF_VLLM or len(adapters) > 1 or any(adapter.weight != 1 for adapter in adapters):
        return None
    card = card_for(wanted.mode, wanted.card)
    how = f" --dtype {DTYPES.get(mode, 'bfloat16')}" if wanted.mode.packing == "plain" else ""
    how += " --quantization bitsandbytes" if mode == "nf4" else ""
    how += f" --revision {card.revision}" if card.revision else ""
    for adapter in adapters:
        how += f" --enable-lora --max-lora-rank 64 --lora-modules {adapter.name}={shlex.quote(adapter.place)}"
    start = f"vllm serve {card.hub_id} --max-model-len {wanted.context}{how}"
    names = {"top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty"}
    body = (
        {"model": adapters[0].name if adapters else card.hub_id} | _chat_body(wanted) | _named(wanted.sampling, names)
    )
    path = "/v1/chat/completions"
    if wanted.card.is_base:
        path, body = "/v1/completions", {"prompt": wanted.question} | {k: v for k, v in body.items() if k != "messages"}
    return Recipe("vLLM", "bash", f"{start}\n\n{_curl('http://127.0.0.1:8000' + path, body)}", "It needs a GPU.")


def transformers(wanted: Wanted) -> Recipe | None:
    """Python with transformers, bitsandbytes and PEFT."""
    if wanted.mode.form != "safetensors" or wanted.mode.packing == "dynamic-int8" or wanted.card.text_only:
        return None
    card, mode = card_for(wanted.mode, wanted.card), wanted.mode.name
    bits = BITS_AND_BYTES.get(mode)
    revision = f', revision="{card.revision}"' if card.revision else ""
    names = ["AutoModelForCausalLM", "AutoTokenizer", *(["BitsAndBytesConfig"] if bits else [])]
    seeded = wanted.sampling.seed is not None and not wanted.sampling.greedy
    lines = ["import torch", f"from transformers import {', '.join([*names, *(['set_seed'] if seeded else [])])}"]
    lines += ["from peft import PeftModel"] if wanted.adapters else []
    dtype = DTYPES.get(mode, "bfloat16")
    lines += ["", f"name = {card.hub_id!r}", f"tokenizer = AutoTokenizer.from_pretrained(name{revision})"]
    how = [f"dtype=torch.{dtype}", 'device_map="auto"']
    if bits:
        given = [f"{key}={value!r}" for key, value in bits.items()]
        how.append(f"quantization_config=BitsAndBytesConfig({', '.join(given)})")
    lines.append(f"model = AutoModelForCausalLM.from_pretrained(name{revision}, {', '.join(how)})")
    lines += [*_peft(wanted.adapters), *_prompted(wanted)]
    lines += [f"set_seed({wanted.sampling.seed})"] if seeded else []
    lines += [
        f"output = model.generate(**inputs, {_generation(wanted.sampling)})",
        'new = output[0, inputs["input_ids"].shape[1] :]',
        "print(tokenizer.decode(new, skip_special_tokens=True))",
    ]
    note = "" if wanted.sampling.greedy else "Its random numbers are others: the same seed gives another answer."
    note += " The text that stops an answer is part of it." if wanted.sampling.stop else ""
    return Recipe("transformers", "python", "\n".join(lines), note.strip())


def _peft(adapters: Sequence[PlacedAdapter]) -> list[str]:
    """Adapters on the model; their sum by strength is made by PEFT's `cat`, which is exact."""
    if not adapters:
        return []
    first, *others = adapters
    lines = [f"model = PeftModel.from_pretrained(model, {first.place!r}, adapter_name={first.name!r})"]
    lines += [f"model.load_adapter({other.place!r}, adapter_name={other.name!r})" for other in others]
    if others or first.weight != 1:
        names, weights = [each.name for each in adapters], [each.weight for each in adapters]
        lines.append(f'model.add_weighted_adapter({names!r}, {weights!r}, "together", combination_type="cat")')
        lines.append('model.set_adapter("together")')
    return lines


def _prompted(wanted: Wanted) -> list[str]:
    if wanted.card.is_base:
        return [f'inputs = tokenizer({wanted.question!r}, return_tensors="pt").to(model.device)']
    messages = [{"role": message.role, "content": message.content} for message in wanted.messages]
    return [
        f"messages = {messages!r}",
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"',
        ").to(model.device)",
    ]


def _generation(sampling: Sampling) -> str:
    """The arguments of `generate`; with stop strings it needs the tokenizer."""
    given: list[str] = [f"max_new_tokens={sampling.max_new_tokens}"]
    if sampling.greedy:
        given.append("do_sample=False")
    else:
        names = ("temperature", "top_p", "top_k", "min_p")
        given += ["do_sample=True", *(f"{name}={_number(getattr(sampling, name))}" for name in names)]
    given.append(f"repetition_penalty={_number(sampling.repetition_penalty)}")  # else a repository's own counts
    if sampling.stop:
        given += [f"stop_strings={list(sampling.stop)!r}", "tokenizer=tokenizer"]
    return ", ".join(given)


# --- the same question over HTTP ------------------------------------------------------------------------------


def _chat_body(wanted: Wanted) -> dict[str, Any]:
    messages = [{"role": message.role, "content": message.content} for message in wanted.messages]
    names = {"temperature": "temperature", "top_p": "top_p", "max_new_tokens": "max_tokens", "seed": "seed"}
    stop = {"stop": list(wanted.sampling.stop)} if wanted.sampling.stop else {}
    return {"messages": messages} | _named(wanted.sampling, names) | stop


def _named(sampling: Sampling, names: Mapping[str, str]) -> dict[str, Any]:
    """Values of a sampling by the names that another program has for them; a seed that is not set is left out."""
    return {theirs: value for ours, theirs in names.items() if (value := getattr(sampling, ours)) is not None}


def _curl(url: str, body: Mapping[str, Any]) -> str:
    data = json.dumps(body, ensure_ascii=False, indent=2)
    return f"curl {url} -H 'Content-Type: application/json' -d {shlex.quote(data)}"


def _quoted(wanted: Wanted) -> str:
    return shlex.quote(wanted.question.replace("\n", " "))


def _number(value: float) -> str:
    return f"{value:g}"
