"""Every failure that a visitor can meet: what happened, and what to do next.

An error is its class and a few plain facts, so it crosses a process boundary as data and comes out the same.
The sentences are written here and nowhere else.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, ClassVar


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


class PaddockError(Exception):
    """Base of all errors shown to visitors; `facts` fill the class's two sentences, and `code` is its name."""

    code: ClassVar[str] = "error"
    sentence: ClassVar[str] = "Something went wrong: {detail}"
    next_step: ClassVar[str] = "Try again; if it happens twice, report it with the text of this message."

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, **facts: Any) -> None:
        # Half a character, as somebody may have posted it in a name, can be written nowhere.
        self.facts = {name: _whole(value) if isinstance(value, str) else value for name, value in facts.items()}
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
    sentence = "The prompt is empty."
    next_step = "Type something first."


class NotText(InputError):
    sentence = "The {name} is not text."
    next_step = "Send it as a string."


class PromptTooManyCharacters(InputError):
    sentence = "The prompt and its conversation have {characters:,} characters; this app accepts at most {limit:,}."
    next_step = "Shorten it, or start a new conversation."


class InvalidText(InputError):
    sentence = "The prompt contains a broken character (half of a surrogate pair)."
    next_step = "Remove it; it often comes from cutting a text in the middle of an emoji."


class NotUtf8(InputError):
    sentence = "{name} is not UTF-8 text."
    next_step = "Save it as UTF-8 and send it again."


class ContextExceeded(InputError):
    sentence = "The prompt is {prompt_tokens:,} tokens long, but this model has room for {context:,} here."
    next_step = "Shorten it, start a new conversation, or pick a model with a longer context."


class TextExceedsContext(InputError):
    sentence = "The text is at least {tokens:,} tokens long, but this model has room for {context:,} here."
    next_step = "Shorten it, or pick a model with a longer context."


class UnknownToken(InputError):
    sentence = "The prompt contains {token}, a token that this model has no embedding for."
    next_step = "Remove it; it belongs to other models of the family, such as those that read images."


class BadBody(InputError):
    sentence = "The request cannot be read: {reason}."
    next_step = "Send JSON as OpenAI's API takes it; docs/programs.md has the parameters that are served."


class BodyTooLarge(InputError):
    sentence = "The request has more than {limit:,} bytes."
    next_step = "Shorten the conversation."


class BadPost(InputError):
    sentence = "What was posted cannot be used: {reason}."
    next_step = "Reload the page; a program finds what each endpoint takes under ?view=api."


class PostTooLarge(InputError):
    sentence = "What was posted has more than {limit:,} bytes."
    next_step = "Post less at once; files go through the upload."


class PostTooSlow(InputError):
    sentence = "What was posted did not arrive in time."
    next_step = "Try again on a faster connection."


class BadSchema(InputError):
    sentence = "The JSON schema of the answer cannot be used: {reason}."
    next_step = "Give a simpler one, or leave response_format out."


class NotServed(InputError):
    sentence = "The parameter {name} is not served here."
    next_step = "Leave it out; docs/programs.md has the parameters that are."


class KeyRefused(InputError):
    sentence = "This server asks for a key, and none that it knows was sent."
    next_step = "Send one that its operator gave you as the header “Authorization: Bearer KEY”."


class TooManyRequests(InputError):
    sentence = "{limit} requests of this key are under way already."
    next_step = "Send the next when one of them is over."


class TooManyTurns(InputError):
    sentence = "The conversation has {turns} messages; this app accepts at most {limit}."
    next_step = "Start a new conversation."


class SamplingOutOfBounds(InputError):
    sentence = "{name} is {value}, but it must be {wanted}."
    next_step = "Change it and send again."


class BadLock(InputError):
    sentence = "The link cannot be used: {reason}."
    next_step = "Take it as its operator gave it, or sign it anew with `python -m models lock`."


class LinkKeyRefused(InputError):
    sentence = "This is not the key that PADDOCK_LINK_KEY holds."
    next_step = "Its operator knows it."


class AgainstLock(InputError):
    sentence = "This link fixes {what}, and something else was asked for."
    next_step = "Reload the page: what it shows is what can be asked."


class OnlyLocked(InputError):
    sentence = "This server answers nothing but what its operator's signed links ask for."
    next_step = "Open such a link, or send its query string as the header X-Paddock-Link."


class TooLongForLink(InputError):
    sentence = "The {name} has {characters:,} characters, and a link carries at most {limit:,}."
    next_step = "Shorten it, or send it separately."


class DamagedLink(InputError):
    sentence = "The {name} in the link cannot be read."
    next_step = "Copy the whole link; nothing of it may be left out."


class BadHistory(InputError):
    sentence = "The conversation that was sent cannot be used: {reason}."
    next_step = 'Send a list of {{"role": "user" or "assistant", "content": "text"}}, or start a new conversation.'


class UnknownHardware(InputError):
    sentence = "There is no hardware called “{hardware}” in the list."
    next_step = "Pick one of {known}, or enter its GPU memory in GB, from 1 to 4096."


class BadContext(InputError):
    sentence = "The context is {value}, but it must be a whole number of tokens from 1 to {limit:,}."
    next_step = "Change it. A longer context needs a model made for it; the server's own limit is PADDOCK_CONTEXT."


class TextTooShort(InputError):
    sentence = "The text is too short to score: it has {tokens} tokens, and at least 2 are needed."
    next_step = "Use a sentence or more; a few hundred words give a stable figure."


class BadTrainingData(InputError):
    sentence = "The file {file} cannot be used for training: {reason}."
    next_step = (
        'Use JSON lines, JSON, CSV or parquet with "messages", "prompt" and "completion", or "text"; or a text file.'
    )


class BadTrainingRow(InputError):
    sentence = "{unit} {line:,} of {file} cannot be used for training: {reason}."
    next_step = "Correct or remove it; nothing was trained."


class TrainingSettingOutOfBounds(InputError):
    sentence = "The training's {name} is {value}, but it must be {wanted}."
    next_step = "Change it and run again."


class BadOutputFolder(InputError):
    sentence = "What is learned cannot be written to {folder}: {reason}."
    next_step = "{suggestion}"


class UnknownSize(InputError):
    sentence = "There is no size called “{size}”."
    next_step = "Pick one of {known} with --size."


class BadDocuments(InputError):
    sentence = "{file} cannot be used for pretraining: {reason}."
    next_step = "{suggestion}"


class BadRunFolder(InputError):
    sentence = "The model cannot be written to {folder}: {reason}."
    next_step = "{suggestion}"


class BadMerge(InputError):
    sentence = "This cannot be merged: {reason}."
    next_step = "Write MODEL@bf16+ADAPTER[:WEIGHT], and name a folder that does not exist yet."


class CannotExport(InputError):
    sentence = "This cannot be written as a GGUF file: {reason}."
    next_step = "Pick another model, or another file to write to."


class BadComparisonRequest(InputError):
    sentence = "The comparison cannot start: {reason}."
    next_step = "Name different variants, such as smollm2-135m-instruct@nf4 and smollm2-135m-instruct@gguf."


class NoReference(BadComparisonRequest):
    sentence = "The reference {variant} is not among the compared variants."
    next_step = "Choose one of them, or none to use the first."


class NamedTwice(BadComparisonRequest):
    sentence = "{variant} was named twice."
    next_step = "Name different variants."


class TooManyNamed(BadComparisonRequest):
    sentence = "{variant} was left out: {count} variants were named, and at most {limit} are compared."
    next_step = "Compare it in another run."


class BadComparison(InputError):
    sentence = "The comparison or its votes cannot be used: {reason}."
    next_step = "Open a file that this app saved, unchanged."


# --- which variant ------------------------------------------------------------------------------------------


class VariantError(PaddockError):
    """The spelling of a variant, or what it asks for, cannot be used."""

    code = "variant"


class BadSpelling(VariantError):
    sentence = "“{text}” is not a variant: {reason}."
    next_step = "Write MODEL, MODEL@QUANT or MODEL@QUANT+ADAPTER:WEIGHT, for example smollm2-135m-instruct@gguf."


class UnknownModel(VariantError):
    sentence = "There is no model called “{model}” here."
    next_step = "{suggestion}"


class NotPicked(VariantError):
    sentence = "Nothing was run, because “{variant}” is not selected."
    next_step = "{suggestion}"


class ModelIsAPath(VariantError):
    sentence = "“{model}” is a path or an address; a model is picked by its name."
    next_step = "Use a name from the list, or a Hub id like owner/name."


class HubIdsNotAllowed(VariantError):
    sentence = "“{model}” is not in the list, and the operator of this app has not allowed other Hub models."
    next_step = "Pick a model from the list, or run your own copy with PADDOCK_HUB_IDS=1."


class ModeNotPossible(VariantError):
    sentence = "{model} cannot run as {mode} here: {reason}."
    next_step = "Available: {possible}."


class DoesNotFit(VariantError):
    sentence = "{variant} needs about {needed} of {device}, and {free} is available here."
    next_step = "{suggestion}"


class NotHeld(VariantError):
    sentence = "{variant} cannot be ejected: {reason}."
    next_step = "Look at the list of models in memory again."


class UnknownAdapter(VariantError):
    sentence = "There is no adapter called “{adapter}” for {model} here."
    next_step = "{suggestion}"


class AdaptersTooLarge(VariantError):
    sentence = "The adapters of {variant} take {needed} together, and at most {limit} may be attached to a model here."
    next_step = "Remove one of them."


class NotTrainable(VariantError):
    sentence = "{model} cannot be finetuned: {reason}."
    next_step = "{suggestion}"


# --- where weights come from --------------------------------------------------------------------------------


class WeightsError(PaddockError):
    """The weights are not available, or not what they should be."""

    code = "weights"


class GatedModel(WeightsError):
    sentence = "{model} is gated: its owner asks you to accept a licence first."
    next_step = (
        "Accept it at https://huggingface.co/{model} and sign in with the button in the sidebar; where there is none, "
        "run your own copy with HF_TOKEN and PADDOCK_GATED_MODELS={model}."
    )


class NotSignedIn(GatedModel):
    sentence = "{model} may be read only by people who accepted its licence, and you are not signed in."
    next_step = "Accept the licence at https://huggingface.co/{model} and sign in with Hugging Face in the sidebar."


class LicenceNotAccepted(GatedModel):
    sentence = "{model} is gated, and your Hugging Face account may not read it."
    next_step = "Accept its licence at https://huggingface.co/{model} and send again."


class AccessAwaited(GatedModel):
    sentence = "You have asked for access to {model}, and its owner has not answered yet."
    next_step = "Wait for the answer: https://huggingface.co/settings/gated-repos, or pick another model."


class TokenWithoutScope(GatedModel):
    sentence = "Your Hugging Face token may not read {model}."
    next_step = "Allow it to read public gated repositories at https://huggingface.co/settings/tokens, or use another."


class BadToken(WeightsError):
    sentence = "The Hub does not accept your token: it is mistyped, expired or revoked."
    next_step = "Sign in again, or make a new token at https://huggingface.co/settings/tokens."


class HubUnreachable(WeightsError):
    sentence = "The Hugging Face Hub cannot be reached, and {model} is not on this machine."
    next_step = "Pick a model marked “works without the Hub”, or try again when the network is back."


class NothingCompared(WeightsError):
    sentence = "The Hugging Face Hub cannot be reached, so no entry of the catalog was compared with it."
    next_step = "Try again when the network is back."


class NotOnHub(WeightsError):
    sentence = "The Hub has no {what}."
    next_step = "Check the spelling of owner/name and of the revision."


class NoGguf(NotOnHub):
    sentence = "No GGUF file of {model} is known here."
    next_step = "Pick another quantization, or put a file into this app's models folder as {model}/NAME.gguf."


class CorruptWeights(WeightsError):
    sentence = "{file} cannot be used: {reason}."
    next_step = "Nothing was removed: replace the file, or pick another model or revision."


class DiscardedWeights(CorruptWeights):
    sentence = "{file} is damaged: {reason}. The copy on this machine was discarded."
    next_step = "Send again to download it anew."


class DamagedFolder(WeightsError):
    sentence = "{file} in the operator's models folder cannot be used: {reason}."
    next_step = "Replace that folder, or remove it so that the model is downloaded; it was left unchanged."


class UnsafeWeights(WeightsError):
    sentence = "{model} is refused: {reason}."
    next_step = "Only safetensors and GGUF files of known architectures are loaded; pick another repository."


class AdapterRefused(WeightsError):
    sentence = "The adapter {adapter} is refused: {reason}."
    next_step = "Pick another, or remove it; only plain LoRA adapters in safetensors files are loaded."


class BadCacheFolder(WeightsError):
    sentence = "This app's cache folder {folder} cannot be used: {reason}."
    next_step = "The operator of this app has to set {variable} to a writable folder and restart it."


class DiskFull(WeightsError):
    sentence = "The disk is full: {file} needs {needed} and {free} are free."
    next_step = "Free some space in {folder} and send again."


class DiskFilled(DiskFull):
    sentence = "The disk is full: {file} could not be written to the end."


class DownloadFailed(WeightsError):
    sentence = "{what} could not be downloaded: {reason}."
    next_step = "Send again; the download resumes where it stopped if it can."


class DownloadCancelled(WeightsError):
    sentence = "The download of {model} was stopped."
    next_step = "Send again to resume it; complete files are kept."


# --- computing ----------------------------------------------------------------------------------------------


class EngineError(PaddockError):
    """The computation failed; what was streamed before stays valid."""

    code = "engine"


class EngineFailed(EngineError):
    sentence = "The model stopped with an error: {detail}."
    next_step = "The text so far is kept. Send again; if it happens twice, pick another quantization."


class CannotLoad(EngineFailed):
    sentence = "{file} cannot be loaded: {reason}."
    next_step = "Pick another quantization or model; the same file will fail again."


class GpuFailed(EngineError):
    sentence = "The GPU stopped with an error: {detail}."
    next_step = "Send again; if it happens twice, this app has to be restarted: such an error can stay on the GPU."


class OutOfMemory(EngineError):
    sentence = "There was not enough memory {during}."
    next_step = "Pick a smaller model, a smaller quantization or a shorter context."


class TrainingOutOfMemory(OutOfMemory):
    sentence = "There was not enough memory for a step of the training."
    next_step = "Take smaller batches (--batch, with --accumulate for the same steps), or fewer tokens (--max-tokens)."


class TemplateFailed(EngineError):
    sentence = "The model's chat template refused this conversation: {reason}."
    next_step = "Remove the system prompt or start a new conversation; base models are better used in Complete."


class NoTemplate(TemplateFailed):
    sentence = "This model cannot be chatted with: {reason}."
    next_step = "Use it in Complete, or pick a model that comes with a chat template."


class NotFinite(EngineError):
    sentence = "The model computed NaN or infinity {during}, so there is no usable result."
    next_step = "Its weights are damaged, or too large for this mode: try bf16 or fp32, or weaker adapters."


class NotScorable(EngineError):
    sentence = "{engine} cannot compute how likely a given text is."
    next_step = "Score the same model in another mode."


class ServedElsewhere(EngineError):
    sentence = "{model} runs on another machine: its weights are not here."
    next_step = "Pick a model whose weights can be loaded here."


class ReferenceDiffers(EngineError):
    sentence = "The reference cannot be used: {reason}."
    next_step = "Compare models that share a tokenizer, on the same text."


class EngineLost(EngineError):
    sentence = "The computation ended without an error message."
    next_step = "The text so far is kept. Send again."


ANY_GGUF = "a gguf variant"


class GpuRefused(EngineError):
    """ZeroGPU gave no GPU; `words` are its own, and `instead` is a variant that needs none, where one is known."""

    sentence = "ZeroGPU gave no GPU: {words}."
    next_step = "Send again in a while, or pick {instead}: it computes on this app's CPU."

    def __init__(self, words: str, instead: str = "") -> None:
        super().__init__(words=words, instead=instead or ANY_GGUF)

    @property
    def instead(self) -> str:
        """The variant that needs no GPU, or nothing."""
        known = str(self.facts["instead"])
        return "" if known == ANY_GGUF else known


class GpuQuotaUsed(GpuRefused):
    sentence = "The GPU quota is not enough: {words}."
    next_step = (
        "Ask for fewer tokens or variants, sign in to Hugging Face for more, or pick {instead}: it computes on this "
        "app's CPU and uses no quota."
    )


class GpuBusy(GpuRefused):
    sentence = "No GPU is free: {words}."


class GpuPassExpired(GpuRefused):
    sentence = "ZeroGPU does not take this page's pass any more: {words}."
    next_step = "Reload the page and send again, or pick {instead}: it computes on this app's CPU."


class GpuTaken(EngineError):
    sentence = "ZeroGPU ended the computation after {seconds} of the {declared} seconds that were asked for: {words}."
    next_step = "The text so far is kept. Send again; if it happens twice, ask for fewer tokens or a smaller model."


class GpuTimeUsed(EngineError):
    sentence = "The {declared} seconds of GPU that were asked for were over {during}."
    next_step = "What was measured meanwhile makes the next estimate better: send again, or ask for fewer tokens."


class BadProcesses(EngineError):
    sentence = "Several processes cannot compute together here: {reason}."
    next_step = "{suggestion}"


class ProcessLost(EngineError):
    sentence = "Another of the {processes} processes ended, and this one cannot go on alone."
    next_step = "Send again; the same command for a training resumes after the last complete epoch."


class TrainingDiverged(EngineError):
    sentence = "The loss is no longer a number after step {step:,}: the training diverged."
    next_step = "Train anew with a lower learning rate (--overwrite replaces what is there)."


class TrainingStopped(EngineError):
    sentence = "The training was stopped at step {step:,} of {steps:,}."
    next_step = "The same command resumes after the last complete epoch."


class PretrainingDiverged(TrainingDiverged):
    next_step = (
        "The checkpoint of step {kept:,}, before it, is kept in {folder}; begin anew in another --out with a lower "
        "--learning-rate."
    )


class PretrainingStopped(TrainingStopped):
    next_step = "The same command goes on from there."


# --- a Space of one's own -----------------------------------------------------------------------------------


class SpaceError(PaddockError):
    """A Hugging Face Space could not be made, changed or seen to run."""

    code = "space"


class BadSpace(SpaceError):
    sentence = "This Space cannot be made: {reason}."
    next_step = "Nothing was sent; correct the command and run it again."


class NoHubToken(SpaceError):
    sentence = "No Hugging Face token is set on this machine."
    next_step = "Run `hf auth login`, or set HF_TOKEN, with a token that may write."


class NoWriteAccess(SpaceError):
    sentence = "The Hub did not let this token change {space}: {reason}."
    next_step = "Use a token that may create and write repositories of {owner}: https://huggingface.co/settings/tokens."


class SpaceNameTaken(SpaceError):
    sentence = "{space} is there already, and it is another app."
    next_step = "Nothing was changed; pick another name."


class SpaceRefused(SpaceError):
    sentence = "The Hub refused {space}: {reason}."
    next_step = "Nothing was uploaded; pick other hardware with --hardware, or free a Space that you do not use."


class UploadBroken(SpaceError):
    sentence = "The upload to {space} broke off: {reason}."
    next_step = "Run the same command again: files that arrived are not sent twice."


class SpaceNotRunning(SpaceError):
    sentence = "{space} does not run: its stage is {stage}."
    next_step = (
        "Its log is at https://huggingface.co/spaces/{space}?logs=container; correct the cause and deploy again."
    )


# --- the workshop -------------------------------------------------------------------------------------------


class WorkshopError(PaddockError):
    """Weights could not be read, written, fetched or published as a file."""

    code = "workshop"


class NotACheckpoint(WorkshopError):
    sentence = "{path} is no model: {reason}."
    next_step = "Name a folder with weights, or a .pth, .bin, .safetensors or .gguf file."


class NotHere(WorkshopError):
    sentence = "The weights of {variant} are not on this machine."
    next_step = "Ask it something first, which fetches them, or name a folder."


class UnsafePickle(WorkshopError):
    sentence = "{file} is refused: it holds more than tensors, and reading it would run code."
    next_step = "Nothing of it was run; take the safetensors files of the same model."


class BadCheckpoint(WorkshopError):
    sentence = "{folder} cannot be converted: {reason}."
    next_step = "Name the folder of one Llama as Meta sends it, with params.json and all of its consolidated.NN.pth."


class OutputExists(WorkshopError):
    sentence = "{folder} is there already, and is not overwritten."
    next_step = "Name a folder that does not exist yet."


class CannotSave(WorkshopError):
    sentence = "{variant} cannot be saved as safetensors: {reason}."
    next_step = "Pick fp32, bf16, fp16, int8, nf4 or another mode of bitsandbytes."


class CannotPublish(WorkshopError):
    sentence = "{what} is not published: {reason}."
    next_step = "{suggestion}"


class PushRefused(WorkshopError):
    sentence = "The Hub refused {repo}: {reason}."
    next_step = "Nothing was published; correct the cause and run the same command again."


class NothingNamed(WorkshopError):
    sentence = "It is not said yet: {what}."
    next_step = "Fill that in and press again."


class BadSize(WorkshopError):
    sentence = "“{text}” is no size."
    next_step = "Write it like 500MB or 2GB."


class WorkshopBusy(WorkshopError):
    sentence = "The workshop is still at work."
    next_step = "Wait until it has ended, or stop it."


class WorkshopClosed(WorkshopError):
    sentence = "Training and the workshop are for who runs this server."
    next_step = "Open the page on the server itself, or give the operator's key."


class TrainingBusy(WorkshopError):
    sentence = "The training {name} is still running, and this machine does one at a time."
    next_step = "Wait until it has ended, or stop it."


class NoTraining(WorkshopError):
    sentence = "There is no training called {name}."
    next_step = "Reload the page, and press the button of one that is listed."


class AdapterNameTaken(WorkshopError):
    sentence = "An adapter called {name} is there already, and is not overwritten."
    next_step = "Give another name, or remove what has it."


class TrainingLost(WorkshopError):
    sentence = "The training's process was ended from outside, or by the system when memory ran out."
    next_step = "Press Go on: it continues after the last whole epoch. If memory was short, train with a smaller batch."


class NotKept(WorkshopError):
    sentence = "Nothing of the name {name} is on the disk."
    next_step = "List the names with `python -m models cache`."


class KeptInUse(WorkshopError):
    sentence = "{name} is in use, and stays."
    next_step = "Eject the model, or wait until it is written, and remove it then."


class DiskBudget(WorkshopError):
    sentence = "{file} needs {needed} of disk, and of the {budget} of PADDOCK_DISK_GB {taken} are taken."
    next_step = "Remove something (`python -m models cache`), or allow more."


class CannotWrite(WorkshopError):
    sentence = "{folder} cannot be written: {reason}."
    next_step = "Name another folder with --out."


class UnknownMetaModel(WorkshopError):
    sentence = "Meta's download of “{model}” is not known here."
    next_step = "Known are {known}."


class MetaLinkUnusable(WorkshopError):
    sentence = "The link cannot be used: {reason}."
    next_step = "Copy the whole link of Meta's mail into a file, and give the name of the file with --url-file."


class MetaLinkRefused(WorkshopError):
    sentence = "Meta refuses the link for {model}: it is older than 24 hours, used up, or for other models."
    next_step = (
        "Ask for a new one at https://www.llama.com/llama-downloads/ and run the same command again: it goes on where "
        "it stopped."
    )


class MetaLinkExpired(MetaLinkRefused):
    sentence = "The link was good until {until}."


class MetaWrongModel(MetaLinkRefused):
    sentence = "The link is for other models than {model}."


class MetaFileTruncated(WorkshopError):
    sentence = "{file} broke off at {arrived:,} of {size:,} bytes, again and again."
    next_step = "Run the same command again: it goes on where it stopped."


class MetaFileChanged(WorkshopError):
    sentence = "{file} is another file at Meta than when its download began."
    next_step = "What was here of it was removed; run the same command again."


class MetaFileDamaged(WorkshopError):
    sentence = "{file} is damaged: its MD5 is not that of Meta's checklist."
    next_step = "It was removed; run the same command again to fetch it anew."


def error_kinds(root: type[PaddockError] = PaddockError) -> dict[str, type[PaddockError]]:
    """Every class of error by its code."""
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= error_kinds(child)
    return found


def from_dict(data: dict[str, Any]) -> PaddockError:
    """The error that `to_dict` described; an unknown code or unfitting facts become an `EngineFailed`."""
    kind = error_kinds().get(data.get("code", ""))
    if kind is not None:
        with suppress(KeyError, TypeError, ValueError):
            return kind(**data.get("facts", {}))
    return EngineFailed(detail=str(data.get("message", "unknown")))
