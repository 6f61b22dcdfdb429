"""Every failure that a visitor can meet: what happened, and what to do next.

An error is its class and a few plain facts, so it crosses a process boundary as data and comes out the same.
The sentences are written here and nowhere else.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar


class PaddockError(Exception):
    """Base of all errors shown to visitors; `facts` fill the class's two sentences."""

    code: ClassVar[str] = "error"
    sentence: ClassVar[str] = "Something went wrong: {detail}"
    next_step: ClassVar[str] = "Try again; if it happens twice, report it with the text of this message."

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(f"{self.message} {self.hint}".strip())

    @property
    def message(self) -> str:
        """What happened, in one sentence."""
        return self.sentence.format(**self.facts)

    @property
    def hint(self) -> str:
        """What to do next, in one sentence; may be empty."""
        return self.next_step.format(**self.facts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` turns back into the same error."""
        return {"code": self.code, "facts": self.facts, "message": self.message, "hint": self.hint}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its data: Exception's own way calls the class with the finished message."""
        return from_dict, (self.to_dict(),)


# --- what the visitor typed ---------------------------------------------------------------------------------


class InputError(PaddockError):
    """The request itself cannot be served as it stands."""

    code = "input"


class EmptyPrompt(InputError):
    code = "empty_prompt"
    sentence = "The prompt is empty."
    next_step = "Type something first."


class NotText(InputError):
    code = "not_text"
    sentence = "The {name} is not text."
    next_step = "Give it as a string."


class PromptTooManyCharacters(InputError):
    code = "prompt_too_many_characters"
    sentence = "The prompt and its conversation have {characters:,} characters; this app accepts at most {limit:,}."
    next_step = "Shorten it, or start a new conversation."


class InvalidText(InputError):
    code = "invalid_text"
    sentence = "The prompt holds a broken character (half of a surrogate pair)."
    next_step = "Remove it; it often comes from cutting a text in the middle of an emoji."


class NotUtf8(InputError):
    code = "not_utf8"
    sentence = "{name} is not UTF-8 text."
    next_step = "Save it as UTF-8 and send it again."


class ContextExceeded(InputError):
    code = "context_exceeded"
    sentence = "The prompt is {prompt_tokens:,} tokens long, but this model has room for {context:,} here."
    next_step = "Shorten it, start a new conversation, or pick a model with a longer context."


class UnknownToken(InputError):
    code = "unknown_token"
    sentence = "The prompt holds {token}, a token for which this model has no embedding."
    next_step = "Take it out; it belongs to other models of the family, such as those that read images."


class TooManyTurns(InputError):
    code = "too_many_turns"
    sentence = "The conversation has {turns} messages; this app accepts at most {limit}."
    next_step = "Start a new conversation."


class SamplingOutOfBounds(InputError):
    code = "sampling_out_of_bounds"
    sentence = "{name} is {value}, but it has to be {wanted}."
    next_step = "Change it and send again."


class TooLongForLink(InputError):
    code = "too_long_for_link"
    sentence = "The {name} has {characters:,} characters, and a link carries at most {limit:,}."
    next_step = "Shorten it, or send it beside the link."


class BadHistory(InputError):
    code = "bad_history"
    sentence = "The conversation that was sent cannot be used: {reason}."
    next_step = 'Send a list of {{"role": "user" or "assistant", "content": "text"}}, or start a new conversation.'


class BadContext(InputError):
    code = "bad_context"
    sentence = "The context is {value}, but it has to be a whole number of tokens from 1 to {limit:,}."
    next_step = "Change it; a longer context needs a model made for it, and PADDOCK_CONTEXT on the server."


class TextTooShort(InputError):
    code = "text_too_short"
    sentence = "A text is scored by how likely each token is after those before it, and this one is {tokens} long."
    next_step = "Give it a sentence or more; a few hundred words give a steady figure."


class BadModes(InputError):
    code = "bad_modes"
    sentence = "What to measure cannot be used: {reason}."
    next_step = "Name modes like nf4, bf16 or gguf, separated by commas."


class BadTrainingData(InputError):
    code = "bad_training_data"
    sentence = "The file {file} cannot be learned from: {reason}."
    next_step = 'Give JSON lines, each an object with "messages", or with "prompt" and "completion".'


class BadTrainingRow(InputError):
    code = "bad_training_row"
    sentence = "Line {line:,} of {file} cannot be learned from: {reason}."
    next_step = "Correct it, or remove it; nothing was trained."


class TrainingSettingOutOfBounds(InputError):
    code = "training_setting_out_of_bounds"
    sentence = "The training's {name} is {value}, but it has to be {wanted}."
    next_step = "Change it and run again."


class BadOutputFolder(InputError):
    code = "bad_output_folder"
    sentence = "The adapter cannot be written to {folder}: {reason}."
    next_step = "{suggestion}"


class BadMerge(InputError):
    code = "bad_merge"
    sentence = "This cannot be merged: {reason}."
    next_step = "Write MODEL@bf16+ADAPTER[:WEIGHT], and name a folder that does not exist yet."


class BadComparisonRequest(InputError):
    code = "bad_comparison_request"
    sentence = "What to compare cannot be used: {reason}."
    next_step = "Name different variants, such as smollm2-135m-instruct@nf4 and smollm2-135m-instruct@gguf."


class NoReference(BadComparisonRequest):
    code = "no_reference"
    sentence = "The reference {variant} is none of the variants that are compared."
    next_step = "Name one of them, or none for the first."


class NamedTwice(BadComparisonRequest):
    code = "named_twice"
    sentence = "{variant} was named twice."
    next_step = "Name different variants."


class TooManyNamed(BadComparisonRequest):
    code = "too_many_named"
    sentence = "{variant} is not compared: {count} variants were named, and at most {limit} are compared."
    next_step = "Compare it in another run."


class BadComparison(InputError):
    code = "bad_comparison"
    sentence = "What was saved of a comparison cannot be read: {reason}."
    next_step = "Open a file that this app saved, as it was saved."


# --- which variant ------------------------------------------------------------------------------------------


class VariantError(PaddockError):
    """The spelling of a variant, or what it asks for, cannot be used."""

    code = "variant"


class BadSpelling(VariantError):
    code = "bad_spelling"
    sentence = "“{text}” is not a variant: {reason}."
    next_step = "Write MODEL, MODEL@QUANT or MODEL@QUANT+ADAPTER:WEIGHT, for example smollm2-135m-instruct@gguf."


class UnknownModel(VariantError):
    code = "unknown_model"
    sentence = "There is no model called “{model}” here."
    next_step = "{suggestion}"


class NotPicked(VariantError):
    code = "not_picked"
    sentence = "Nothing was computed, since “{variant}” is not picked."
    next_step = "{suggestion}"


class ModelIsAPath(VariantError):
    code = "model_is_a_path"
    sentence = "“{model}” is a path or an address; a model is picked by its name."
    next_step = "Use a name from the list, or a Hub id like owner/name."


class HubIdsNotAllowed(VariantError):
    code = "hub_ids_not_allowed"
    sentence = "“{model}” is not in the list, and the operator of this app has not allowed other Hub models."
    next_step = "Pick a model from the list, or run your own copy with PADDOCK_HUB_IDS=1."


class ModeNotPossible(VariantError):
    code = "mode_not_possible"
    sentence = "{model} cannot run as {mode} here: {reason}."
    next_step = "What can: {possible}."


class DoesNotFit(VariantError):
    code = "does_not_fit"
    sentence = "{variant} needs about {needed} of {device}, and {free} can be had here."
    next_step = "{suggestion}"


class NotHeld(VariantError):
    code = "not_held"
    sentence = "{variant} cannot be ejected: {reason}."
    next_step = "Look at what is in memory again."


class UnknownAdapter(VariantError):
    code = "unknown_adapter"
    sentence = "There is no adapter called “{adapter}” for {model} here."
    next_step = "{suggestion}"


class AdaptersTooLarge(VariantError):
    code = "adapters_too_large"
    sentence = "The adapters of {variant} take {needed} together, and at most {limit} may be attached to a model here."
    next_step = "Leave one of them away."


class NotTrainable(VariantError):
    code = "not_trainable"
    sentence = "{model} cannot be finetuned: {reason}."
    next_step = "{suggestion}"


# --- where weights come from --------------------------------------------------------------------------------


class WeightsError(PaddockError):
    """The weights could not be had, or are not what they should be."""

    code = "weights"


class GatedModel(WeightsError):
    code = "gated_model"
    sentence = "{model} is gated: its owner asks you to accept a licence first."
    next_step = (
        "Accept it at https://huggingface.co/{model} and sign in with the button in the sidebar; where there is none, "
        "run your own copy with HF_TOKEN and PADDOCK_GATED_MODELS={model}."
    )


class HubUnreachable(WeightsError):
    code = "hub_unreachable"
    sentence = "The Hugging Face Hub cannot be reached, and {model} is not on this machine."
    next_step = "Pick a model marked “works without the Hub”, or try again when the network is back."


class NotOnHub(WeightsError):
    code = "not_on_hub"
    sentence = "The Hub has no {what}."
    next_step = "Check the spelling of owner/name and of the revision."


class NoGguf(NotOnHub):
    code = "no_gguf"
    sentence = "No GGUF file of {model} is known here."
    next_step = "Pick another quantization, or put a file into the models folder of this app as {model}/NAME.gguf."


class CorruptWeights(WeightsError):
    code = "corrupt_weights"
    sentence = "{file} cannot be used: {reason}."
    next_step = "Nothing was removed: replace the file, or pick another model or revision."


class DiscardedWeights(CorruptWeights):
    code = "discarded_weights"
    sentence = "{file} is damaged: {reason}. The copy on this machine was discarded."
    next_step = "Send again to download it anew."


class DamagedFolder(WeightsError):
    code = "damaged_folder"
    sentence = "{file} in the operator's models folder cannot be used: {reason}."
    next_step = "Replace that folder, or remove it so that the model is downloaded; it was left as it is."


class UnsafeWeights(WeightsError):
    code = "unsafe_weights"
    sentence = "{model} is refused: {reason}."
    next_step = "Only safetensors and GGUF files of known architectures are loaded; pick another repository."


class AdapterRefused(WeightsError):
    code = "adapter_refused"
    sentence = "The adapter {adapter} is refused: {reason}."
    next_step = "Pick another, or leave it away; only plain LoRA adapters in safetensors files are loaded."


class BadCacheFolder(WeightsError):
    code = "bad_cache_folder"
    sentence = "The folder that this app keeps its files in, {folder}, cannot be used: {reason}."
    next_step = "The operator of this app sets {variable} to a folder that can be written to, and starts it again."


class DiskFull(WeightsError):
    code = "disk_full"
    sentence = "The disk is full: {file} needs {needed} and {free} are free."
    next_step = "Free some space in {folder} and send again."


class DiskFilled(DiskFull):
    code = "disk_filled"
    sentence = "The disk is full: {file} could not be written to the end."


class DownloadFailed(WeightsError):
    code = "download_failed"
    sentence = "{what} could not be downloaded: {reason}."
    next_step = "Send again: the download goes on where it stopped if it can."


class DownloadCancelled(WeightsError):
    code = "download_cancelled"
    sentence = "The download of {model} was stopped."
    next_step = "Send again to take it up; files that had arrived whole are kept."


# --- computing ----------------------------------------------------------------------------------------------


class EngineError(PaddockError):
    """The computation failed; what was streamed before stays valid."""

    code = "engine"


class EngineFailed(EngineError):
    code = "engine_failed"
    sentence = "The model stopped with an error: {detail}."
    next_step = "The text so far is kept. Send again; if it happens twice, pick another quantization."


class CannotLoad(EngineFailed):
    code = "cannot_load"
    sentence = "{file} cannot be loaded: {reason}."
    next_step = "Pick another quantization or model; the same file will fail again."


class OutOfMemory(EngineError):
    code = "out_of_memory"
    sentence = "There was not enough memory {during}."
    next_step = "Pick a smaller model, a smaller quantization or a shorter context."


class TemplateFailed(EngineError):
    code = "template_failed"
    sentence = "The model's chat template refused this conversation: {reason}."
    next_step = "Remove the system prompt or start a new conversation; base models are better used in Complete."


class NoTemplate(TemplateFailed):
    code = "no_template"
    sentence = "This model cannot be chatted with: {reason}."
    next_step = "Use it in Complete, or pick a model that comes with a chat template."


class NotFinite(EngineError):
    code = "not_finite"
    sentence = "The model's numbers are not finite (NaN or infinity) {during}, so they say nothing."
    next_step = "Its weights are damaged, or too large for this mode: try bf16 or fp32, or weaker adapters."


class NotScorable(EngineError):
    code = "not_scorable"
    sentence = "{engine} cannot say how likely a given text is."
    next_step = "Score the same model in another mode."


class ReferenceDiffers(EngineError):
    code = "reference_differs"
    sentence = "The reference does not fit: {reason}."
    next_step = "Compare models that share a tokenizer, on the same text."


class EngineLost(EngineError):
    code = "engine_lost"
    sentence = "The computation ended without saying why."
    next_step = "The text so far is kept. Send again."


class TrainingDiverged(EngineError):
    code = "training_diverged"
    sentence = "The loss is no longer a number after step {step:,}: the training went astray."
    next_step = "Run again with a lower learning rate and --overwrite."


class TrainingStopped(EngineError):
    code = "training_stopped"
    sentence = "The training was stopped at step {step:,} of {steps:,}."
    next_step = "The same command goes on after the last whole epoch."


def _tree(root: type[PaddockError]) -> dict[str, type[PaddockError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def from_dict(data: dict[str, Any]) -> PaddockError:
    """The error that `to_dict` described; an unknown code or unfitting facts become an `EngineFailed`."""
    kind = _tree(PaddockError).get(data.get("code", ""))
    if kind is not None:
        with suppress(KeyError, TypeError, ValueError):
            return kind(**data.get("facts", {}))
    return EngineFailed(detail=str(data.get("message", "unknown")))
