"""Trainings as HTML: where each is, how it ended, what can be done next. Pure; all from outside is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from models.domain.errors import TrainingLost
from models.domain.messages import Progress
from models.domain.training_events import Step
from models.domain.units import size
from models.domain.variant import Variant
from models.training.runs.preview import Preview
from models.training.runs.trainings import Status, Training

from ..shared import render, url
from ..shared.language import say
from .curves import COLOURS, Curve, plot

WRITABLE = ("bf16", "fp32", "fp16")  # modes that adapters can be merged in, the usual one first
PARTS = {"base": "quantized", "activations": "activations", "logits": "head", "optimizer": "kv"}  # colours of the style
LONGEST_ASKED = 300  # characters of an opening, its end
STATUSES: dict[Status, str] = {
    "running": "running",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "failed": "failed",
    "finished": "finished",
}


@dataclass(frozen=True)
class Drawn:
    """A training and what its card offers beside it: a prompt of its data."""

    training: Training
    prompt: str = ""


def off() -> str:
    """Why nothing is trained here."""
    words = say(
        "Training is off here: it takes the server's processor for hours and writes to its disk. Whoever runs Paddock "
        "on a machine of their own has it; here it takes PADDOCK_WORKSHOP=1 and PADDOCK_OPERATOR_KEY."
    )
    return f'<p class="quiet">{escape(words)}</p>'


def base(variant: Variant) -> str:
    """What would be trained."""
    words = say("Trained is what is picked at the top:")
    return f'<p class="train-base">{escape(words)} <b>{escape(str(variant))}</b></p>'


def curves(found: Sequence[Drawn]) -> str:
    """The newest trainings in one picture."""
    latest = [each.training for each in found][:COLOURS]
    return plot([Curve(each.asked.name, each.seen, _colour(place, len(found))) for place, each in enumerate(latest)])


def _colour(place: int, count: int) -> int:
    """Of the training at a place, the newest first: its own for as long as none is removed; 0 is none."""
    return (count - 1 - place) % COLOURS + 1 if place < COLOURS else 0


def cards(found: Sequence[Drawn]) -> str:
    """A card for each, the newest first."""
    if not found:
        return ""
    drawn = "".join(_card(each, _colour(place, len(found))) for place, each in enumerate(found))
    return f'<h3 class="train-head">{escape(say("Trainings"))}</h3><div class="train-cards">{drawn}</div>'


def _card(drawn: Drawn, colour: int) -> str:
    training = drawn.training
    name, status = training.asked.name, training.status
    swatch = f'<i class="swatch c{colour}"></i>' if colour else ""
    head = (
        f"<h4>{swatch}<b>+{escape(name)}</b> <small>{escape(say('on {base}', base=training.asked.base))}</small>"
        f'<span class="state {status}">{escape(say(STATUSES[status]))}</span></h4>'
    )
    rows = "".join(f"<p>{escape(line)}</p>" for line in _facts(training) if line)
    return (
        f'<section class="train-card" data-name="{escape(name)}" data-status="{status}">{head}'
        f'<div class="train-now">{_now(training)}</div><div class="train-facts">{rows}</div>'
        f'{_samples(training)}<div class="train-buttons">{_buttons(drawn)}</div></section>'
    )


def _samples(training: Training) -> str:
    """How it goes on with openings that it does not learn from: before the training, and as last looked at."""
    rows = ""
    for asked, texts in training.seen.samples.items():
        first, last = min(texts), max(texts)
        before = f"<dt>{escape(say('before'))}</dt><dd>{escape(texts[first])}</dd>" if last > first else ""
        when = say("after {count} steps", count=f"{last:,}") if last else say("before")
        now = f"<dt>{escape(when)}</dt><dd><b>{escape(texts[last])}</b></dd>"
        rows += f"<p>{escape(asked[-LONGEST_ASKED:])}</p><dl>{before}{now}</dl>"
    head = escape(say("How it goes on with rows that it does not learn from"))
    return f'<details class="train-samples"><summary>{head}</summary>{rows}</details>' if rows else ""


def _now(training: Training) -> str:
    """The line of what is going on, or why it is not."""
    seen = training.seen
    if training.status == "running":
        if training.finishing:
            return render.said(say("Ending after this step, and storing what it has learned"))
        if seen.step:
            return _pace(seen.step, seen.progress)
        return render.progress(seen.progress) if seen.progress else render.waiting()
    if training.status == "interrupted":
        return render.error(TrainingLost())
    if training.error:
        return f'<div class="status error" role="alert">{escape(say(training.error))}</div>'
    return ""


def _pace(step: Step, beside: Progress | None) -> str:
    """How far it is, its speed, the time that is left, and what else it does, in a line."""
    done = say("{done} of {total} steps", done=f"{step.done:,.0f}", total=f"{step.total:,.0f}")
    speed = say("{speed} tokens/s", speed=f"{step.tokens_per_s:,.0f}")
    left = say("{time} left", time=duration(step.seconds_left))
    share = step.done / max(step.total, 1)
    parts = [done, speed, left, *([say(render.STAGES[beside.stage])] if beside else [])]
    return (
        f'<div class="status" role="status"><span class="bar"><i style="width:{share:.1%}"></i></span>'
        f"<span>{escape(' · '.join(parts))}</span></div>"
    )


def duration(seconds: float) -> str:
    """So long, as a person would say it."""
    if seconds < 90:
        return say("{count} s", count=f"{max(0, seconds):.0f}")
    minutes = seconds / 60
    if minutes < 90:
        return say("{count} min", count=f"{minutes:.0f}")
    return say("{count} h", count=f"{minutes / 60:.1f}")


def _facts(training: Training) -> list[str]:
    seen, report = training.seen, training.seen.report
    if report:
        before, after = float(report["before"]), float(report["after"])
        taken = duration(float(report["seconds"]))
        return [
            say(
                "Held-out loss {before} before, {after} after: perplexity {worse} to {better}.",
                before=f"{before:.3f}",
                after=f"{after:.3f}",
                worse=perplexity(before),
                better=perplexity(after),
            ),
            say("{count} trained parameters, {time}.", count=f"{report['trained_parameters']:,}", time=taken),
            *map(say, seen.said),
        ]
    lines = [
        say("Held-out loss {first} before, {last} now.", first=f"{looks[0].value:.3f}", last=f"{looks[-1].value:.3f}")
        for looks in [seen.held_out]
        if len(looks) > 1
    ]
    if seen.rows:
        lines.append(counted(seen.rows))
    if seen.memory and training.status == "running":
        needed, free = size(seen.memory["needed"]), size(seen.memory["free"])
        lines.append(say("Planned memory: {needed}, of {free} that were free.", needed=needed, free=free))
    return [*lines, *map(say, seen.said)]


def perplexity(loss: float) -> str:
    """Of a loss in nats."""
    return f"{math.exp(loss):,.2f}" if loss < 20 else "∞"


def counted(rows: dict[str, int]) -> str:
    """What became of the rows."""
    train, held_out = f"{rows.get('train', 0):,}", f"{rows.get('held_out', 0):,}"
    said = [say("{train} rows to learn from, {held_out} held out", train=train, held_out=held_out)]
    if rows.get("cut"):
        said.append(say("{count} of them cut at their end", count=f"{rows['cut']:,}"))
    if rows.get("left_out"):
        said.append(say("{count} more left out: their answers begin too late", count=f"{rows['left_out']:,}"))
    return "; ".join(said) + say(".")


# --- what can be done ---------------------------------------------------------------------------------------


def _buttons(drawn: Drawn) -> str:
    training = drawn.training
    name = training.asked.name
    if training.status == "running":
        finish = "" if training.finishing or not training.seen.step else _button("finish", name, say("Finish now"))
        return _button("stop", name, say("Stop")) + finish
    if training.status == "finished":
        return _next(drawn) + _button("remove", name, say("Remove from this list"))
    sure = say("Remove {name} with what it has learned so far?", name=name)
    return _button("go-on", name, say("Go on")) + _button("remove", name, say("Remove"), f' data-sure="{escape(sure)}"')


def _next(drawn: Drawn) -> str:
    """One press each: what an adapter is trained for."""
    asked = drawn.training.asked
    name, adapted = asked.name, asked.variant
    mode = adapted.quantization if adapted.quantization in WRITABLE else WRITABLE[0]
    merged = f' data-use="{escape(str(replace(adapted, quantization=mode)))}"'
    variants = (Variant.parse(asked.base), adapted)
    compared = url.PageState(adapted, tab="compare", prompt=drawn.prompt, variants=variants)
    pick = f' data-use="{escape(str(adapted))}"'
    return "".join(
        (
            _link("compare", compared, say("Compare with the base")),
            _button("pick", name, say("Pick it"), pick),
            _button("save", name, say("Merge"), merged),
            _button("to-gguf", name, say("Convert to GGUF"), merged),
            _button("push", name, say("Publish")),
            _link("link", url.PageState(adapted), say("Link")),
        )
    )


def _link(kind: str, state: url.PageState, words: str) -> str:
    return f'<a class="small-button" data-next="{kind}" href="?{escape(url.write(state))}">{escape(words)}</a>'


def _button(press: str, name: str, words: str, more: str = "") -> str:
    said = f'data-press="{press}:{escape(name)}"{more}'
    return f'<button type="button" class="small-button" {said}>{escape(words)}</button>'


# --- before it is begun -------------------------------------------------------------------------------------


def preview(found: Preview) -> str:
    """The first rows, what is learned of them coloured, and what a step takes in memory."""
    legend = escape(say("The first rows as the model will see them; it learns to write what is coloured."))
    rows = "".join(
        "<li>"
        + "".join(f"<mark>{escape(s.text)}</mark>" if s.learned else f"<span>{escape(s.text)}</span>" for s in row)
        + "</li>"
        for row in found.rows
    )
    refused = render.error(found.refused) if found.refused else ""
    counts = f'<p class="quiet">{escape(counted(found.counts))}</p>' if found.counts else ""
    return f'{refused}{memory(found.memory)}{counts}<p class="quiet">{legend}</p><ol class="train-rows">{rows}</ol>'


def memory(parts: dict[str, int]) -> str:
    """Bytes by part against what is free."""
    if not parts:
        return ""
    names = {
        "base": say("weights of the base"),
        "activations": say("activations"),
        "logits": say("logits"),
        "optimizer": say("adapter, gradients and Adam"),
    }
    needed, free = parts["needed"], parts["free"]
    shown = [(key, count) for key, count in parts.items() if key not in ("needed", "free")]
    words = say("A step takes {needed} of the {free} that are free.", needed=size(needed), free=size(free))
    bar = "".join(
        f'<span class="part {PARTS.get(key, "constants")}" style="flex-basis:{count / max(needed, 1):.1%}"></span>'
        for key, count in shown
    )
    lines = "".join(
        f'<tr><td><i class="part {PARTS.get(key, "constants")}"></i>{escape(names.get(key, key))}</td>'
        f"<td>{size(count)}</td></tr>"
        for key, count in shown
    )
    kind = "verdict too-large" if needed > free else "verdict"
    share = min(1.0, needed / max(free, 1))
    meter = f'<div class="meter"><i style="width:{share:.1%}"></i></div>'
    return (
        f'<div class="train-memory"><div class="{kind}"><p>{escape(words)}</p>{meter}</div>'
        f'<div class="parts">{bar}</div><table class="legend">{lines}</table></div>'
    )
