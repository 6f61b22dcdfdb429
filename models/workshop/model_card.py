"""The README.md of a published model: its front matter for the Hub, what it is made of, how, and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..domain.units import size
from .card_training import lines, needed_below
from .licences import Terms
from .package import Package

PLAIN = ("fp32", "bf16", "fp16")
RELATIONS = {"adapter": "adapter", "gguf": "quantized"}
TAGS = {"adapter": ("lora", "peft"), "gguf": ("gguf",)}
LIBRARIES = {"adapter": "peft", "model": "transformers"}
_FIGURES = {
    "perplexity": "Perplexity of a reference text",
    "source_perplexity": "Perplexity of its source",
    "agreement": "Positions with the same likeliest token as its source",
    "divergence": "KL divergence from its source, at least, in nats a token",
    "bits": "Bits a parameter",
}


@dataclass(frozen=True)
class Card:
    """What a card says; `base` is empty for what was trained from nothing."""

    repo: str
    package: Package
    base: str
    terms: Terms

    def text(self) -> str:
        """The whole file."""
        return "\n".join([*self._front_matter(), "", *self._body()]) + "\n"

    def _front_matter(self) -> Iterator[str]:
        kind, made = self.package.kind, self.package.made
        yield "---"
        quantized = kind == "model" and made is not None and not made.adapters and made.quantization not in PLAIN
        if self.base:
            yield f"base_model: {quoted(self.base)}"
            yield f"base_model_relation: {RELATIONS.get(kind, 'quantized' if quantized else 'finetune')}"
        if kind in LIBRARIES:
            yield f"library_name: {LIBRARIES[kind]}"
        yield f"license: {self.terms.id}"
        if self.terms.name:
            yield f"license_name: {self.terms.name}"
        if self.terms.link and self.terms.id == "other":
            yield f"license_link: {self.terms.link}"
        yield "pipeline_tag: text-generation"
        yield "tags:"
        yield from (f"- {tag}" for tag in (*TAGS.get(kind, ()), "paddock"))
        yield "---"

    def _body(self) -> Iterator[str]:
        package, made = self.package, self.package.made
        yield f"# {self.repo.partition('/')[2]}"
        yield ""
        base = f"[{self.base}](https://huggingface.co/{self.base})" if self.base else "a model trained from nothing"
        yield {
            "adapter": f"A LoRA adapter for {base}.",
            "gguf": f"{base[:1].upper()}{base[1:]}, as GGUF for llama.cpp.",
        }.get(package.kind, f"Made of {base}." if self.base else "A model trained from nothing.")
        if below := needed_below(package.training):
            yield ""
            yield f"It was trained on top of other adapters, and is of use only with them: {', '.join(below)}."
        if self.terms.notice:
            yield ""
            yield self.terms.notice
        yield ""
        yield "## How it was made"
        yield ""
        yield from self._making()
        if made and made.figures:
            yield ""
            yield "## Figures"
            yield ""
            yield "| figure | value |"
            yield "|---|---:|"
            yield from (f"| {_FIGURES.get(name, name)} | {value:.4g} |" for name, value in made.figures.items())
        yield ""
        yield "## Files"
        yield ""
        yield "| file | size |"
        yield "|---|---:|"
        yield from (f"| {name} | {size(path.stat().st_size)} |" for name, path in package.files.items())
        yield ""
        yield f"Licence: {self.terms.name or self.terms.id}{', that of the base' if self.base else ''}."

    def _making(self) -> Iterator[str]:
        made, training = self.package.made, self.package.training
        if training:
            yield from lines(training, self.base)
        if made and made.training and made.quantization != "fp32":
            yield "- The losses are those of the weights before they were converted"
        if made:
            if made.base and made.base == self.base and not training.get("base_revision"):
                yield f"- Base: {made.base}" + (f" at commit {made.revision}" if made.revision else "")
            if made.quantization:
                yield f"- Weights: {made.quantization}"
            if made.adapters:
                yield f"- Adapters merged into the weights: {', '.join(made.adapters)}"
        if not training and not made:
            yield "Nothing was noted of it."


def quoted(text: str) -> str:
    """A word for YAML: a Hub id needs no quotes, and nothing else is let through without."""
    return text if text.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum() else repr(text)
