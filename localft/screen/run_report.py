"""What the screen says before and after a run's table, as plain text: settings, data, what came of it. No drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localft.events import Estimate, Interrupted, RunEnd, RunStart
from localft.settings.train_config import SETTINGS
from localft.training.evaluation import perplexity
from localft.units import about, count, duration, rate, size


def shown_settings(event: RunStart) -> list[tuple[str, str, str]]:
    """(name, value, source) of every setting that says something; those left unset are derived, and said elsewhere."""
    unused = event.facts.get("unused", ())
    shown = []
    for name, entry in event.settings.items():
        value, source = entry["value"], entry["source"]
        hidden = SETTINGS[name].metadata["setting"].hidden
        if (value is None or value is False or hidden) and source == "default":
            continue
        if source in ("default", "model card") and name in unused:
            continue
        shown.append((name, setting_text(name, value), source))
    return shown


def setting_text(name: str, value: Any) -> str:
    """A setting's value in a few characters."""
    if name == "memory" and isinstance(value, int):
        return size(value)
    if name == "warmup" and value < 1:
        return f"{value * 100:g} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def fact_lines(event: RunStart) -> list[tuple[str, str]]:
    """Label and text of the header's first lines: what was decided, and why."""
    facts, settings = event.facts, event.settings
    reason = {name: f" ({entry['reason']})" if "reason" in entry else "" for name, entry in settings.items()}
    value = {name: entry["value"] for name, entry in settings.items()}
    steps = f"{count(event.total_steps, 'step')}, {event.steps_per_epoch:,} per epoch"
    validation = f"validation every {facts['val_every']:,}" if facts["val_every"] else "no validation"
    lines = [
        ("base", " · ".join(filter(None, (facts["base_name"], facts["architecture"], facts["type"], facts["base"])))),
        ("adapter", f"rank {value['lora_rank']}, alpha {value['lora_alpha']:g} on {count(facts['n_target'], 'tensor')}"
                    f" · {facts['n_trainable']:,} parameters"),
        ("length", f"{steps} · warm-up {facts['warmup_steps']:,} · {validation}"),
        ("recipe", _recipe(value, reason)),
        ("device", f"{facts['device']}{reason['device']} · {count(facts['n_threads'], 'thread')}{reason['threads']}"
                   f" · kernels {facts['kernels']}, {facts['arithmetic']}"),
        ("memory", f"up to {size(value['memory'])}{reason['memory']}{_recompute(facts)}"),
    ]  # fmt: skip
    lines = [line for line in lines if line[1]]
    if event.step:
        lines.append(("resumed", f"after step {event.step:,}"))
    if event.estimate:
        lines.append(("estimate", _estimate(event, event.estimate)))
    return lines


def _recipe(value: Mapping[str, Any], reason: Mapping[str, str]) -> str:
    """Why batch size, epochs and learning rate are what they are, where nobody gave them."""
    names = {"batch_size": "batch size", "epochs": "epochs", "lr": "lr"}
    return " · ".join(f"{word} {value[name]:g}{reason[name]}" for name, word in names.items() if reason[name])


def _estimate(event: RunStart, estimate: Estimate) -> str:
    n_left = event.total_steps - event.step
    whole = f"{about(estimate.seconds)} {'for what is left' if event.step else 'in all'}"
    epoch = f"{about(estimate.epoch_seconds)} per epoch, " if n_left > event.steps_per_epoch else ""
    validation = " with validation" if event.facts["val_every"] else ""
    return f"about {epoch}{whole}{validation} · peak memory about {size(estimate.peak_mem_bytes)}"


def _recompute(facts: Mapping[str, Any]) -> str:
    n_recompute = facts["n_recompute"]
    how = f"{count(n_recompute, 'layer')} recomputed" if n_recompute else "all kept"
    return f" · {size(facts['memory_estimate'])} for activations, {how}"


def data_lines(n_ctx: int, n_ctx_reason: str, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of what stands around the table of counts."""
    formats = ", ".join(count(n, "row") + f" of {name}" for name, n in summary["formats"].items())
    longest = (
        f"mean {summary['mean_length']:,.0f} · 99 % ≤ {summary['p99_length']:,} · longest {summary['longest']:,} tokens"
    )
    lines = [
        ("files", ", ".join(summary["files"])),
        ("format", f"{formats} · {summary['template']}" if summary["template"] else formats),
        ("lengths", longest),
        ("n_ctx", f"{n_ctx:,}: {n_ctx_reason}"),
    ]
    if summary["val_reason"]:
        lines.append(("split", summary["val_reason"]))
    if summary["epoch"]:
        lines.append(("epoch", summary["epoch"]))
    if summary["n_cut"]:
        text = f"{count(summary['n_cut'], 'long text')} into {count(summary['n_windows'], 'window')}, nothing lost"
        lines.append(("cut", text))
    if summary["n_wrapped"]:
        windows = count(summary["n_wrapped_windows"], "window")
        text = f"{count(summary['n_wrapped'], 'text')} joined, into {windows}, nothing lost"
        lines.append(("wrapped", text))
    if summary["packing"]:
        lines.append(("packing", summary["packing"]))
    if summary["n_truncated"]:
        tokens = count(summary["n_truncated_tokens"], "token")
        lines.append(("truncated", f"{count(summary['n_truncated'], 'row')}, by {tokens} in all"))
    lines += [("dropped", f"{count(n, 'row')}: {reason}") for reason, n in summary["dropped"].items()]
    return lines + [("note", note) for note in summary["notes"]]


def data_counts(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The table of counts: header, training rows, and validation rows where there are any."""
    table = [("", "rows", "tokens", "supervised")]
    parts = [("train", "n_train", "n_tokens", "n_supervised")]
    if summary["n_replay"]:
        parts.append(("replay", "n_replay", "n_replay_tokens", "n_replay_supervised"))
    if summary["n_val"]:
        parts.append(("validation", "n_val", "n_val_tokens", "n_val_supervised"))
    return table + [(label, *(f"{summary[key]:,}" for key in keys)) for label, *keys in parts]  # type: ignore[misc]


def end_lines(event: RunEnd) -> list[tuple[str, str]]:
    """Label and text of what came of the run."""
    lines = []
    if event.val_loss_before is not None and event.val_loss_after is not None:
        before, after = event.val_loss_before, event.val_loss_after
        text = f"{before:.4f} → {after:.4f} · perplexity {perplexity(before):,.4g} → {perplexity(after):,.4g}"
        lines.append(("val loss", text))
        if after >= before:
            lines.append(
                ("", "the adapter is no better than the base: more data, a lower --lr or fewer --epochs may help")
            )
        elif event.best_step < event.step:
            lines.append(("", f"best at step {event.best_step:,} of {event.step:,}; that adapter is the one to use"))
    speed = f" · {rate(event.n_tok / event.seconds)} tok/s with validation" if event.seconds else ""
    guess = event.estimate
    time = f", estimated {about(guess.seconds)}" if guess else ""
    memory = f", estimated {size(guess.peak_mem_bytes)}" if guess else ""
    lines.append(("time", f"{duration(event.seconds)}{time} · {count(event.n_tok, 'token')} trained on{speed}"))
    lines.append(("memory", f"{size(event.peak_mem_bytes)} at its peak in training{memory}"))
    lines.append(("adapter", event.adapter))
    return lines


def interrupted_text(event: Interrupted) -> str:
    """Where the run stands, and how to go on."""
    if not event.resume:
        return f"stopped; the run is complete, {count(event.step, 'step')}, and saved"
    return f"stopped after step {event.step:,}; go on with: {event.resume}"
