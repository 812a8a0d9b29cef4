"""`localft bench`: how fast this machine trains."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.parameters import complete_model
from localft.visible import Styled

if TYPE_CHECKING:
    from localft.bench import BenchResult

HELP = """Measure how fast this machine trains, and say what runs of common sizes would take.

Steps on random tokens, as `localft finetune` would make them; takes seconds for the demo model, and up to a minute or
two for one of a billion parameters. A model that is not on this machine is not downloaded: one of its shape with
random weights stands in, and is deleted afterwards.

\b
Examples:
  localft bench
  localft bench --model tinymistral --ctx 512
  localft bench --model tinymistral --outtype q4_k_m --json
"""


@click.command("bench", cls=Command, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--model",
    metavar="MODEL",
    shell_complete=complete_model,
    help="A card's name, a repo id, a folder, or a .gguf file. [default: demo]",
)
@click.option("--outtype", metavar="TYPE", help="Type of the base model's weights. [default: q8_0]")
@click.option("--ctx", metavar="N", help="Tokens per row. [default: 128]")
@click.option("--lora-rank", metavar="N", help="Rank of the adapter. [default: 8]")
@click.option("--threads", metavar="N", help="Threads to compute with. [default: the physical cores]")
@click.option("--arithmetic", metavar="NAME", help="As of `localft finetune`. [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def command(as_json: bool, **flags: Any) -> None:
    from localft.bench import bench
    from localft.cli.output import echo_labelled
    from localft.cli.progress_line import progress_line
    from localft.hardware import threads_note
    from localft.screen.border import put, say
    from localft.units import count

    threads = flags["threads"]
    if threads and threads.isdigit() and (note := threads_note(int(threads))):
        say(Styled("note", "yellow"), f": {note}")
    with progress_line() as report:
        result = bench({name: value for name, value in flags.items() if value is not None}, report)
    if as_json:
        import json

        put(json.dumps(asdict(result), ensure_ascii=False))
        return
    echo_labelled(lines(result), (), 12, out=True)
    say(f"\nTraining alone, {count(result.epochs, 'epoch')} of rows of {result.n_ctx:,} tokens, take about", out=True)
    for label, words in runs(result):
        say(f"{label:>12} rows   {words:>8}", out=True)
    if "model" not in flags or flags["model"] is None:
        say("\nFor another model: localft bench --model tinymistral", out=True)


def lines(result: BenchResult) -> list[tuple[str, str]]:
    """Label and text of what was measured, and with what."""
    from localft.units import count, rate, size

    weights = "random weights in its shape" if result.weights == "random" else "its own weights"
    spread = f"{rate(result.slowest)} to {rate(result.fastest)} in {count(result.n_steps, 'step')}"
    threads = count(result.n_threads, "thread")
    rows = f"{result.n_tok:,} tokens in rows of {min(result.n_ctx, result.n_tok):,}"
    return [
        ("model", f"{result.model} · {result.type} · {weights}"),
        ("adapter", f"rank {result.lora_rank} · {result.n_trainable:,} parameters"),
        ("processor", result.cpu),
        ("engine", f"{result.device} · {threads} · kernels {result.kernels}, {result.arithmetic}"),
        ("step", f"{rows}, all supervised, and one update"),
        ("speed", f"{rate(result.tok_per_sec)} tok/s, {spread}"),
        ("memory", f"{size(result.peak_mem_bytes)} at its peak"),
    ]


def runs(result: BenchResult) -> list[tuple[str, str]]:
    """Rows, and the time that training on them takes."""
    from localft.units import about

    return [(f"{rows:,}", about(seconds)) for rows, seconds in result.runs.items()]
