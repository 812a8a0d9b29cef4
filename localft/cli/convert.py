"""`localft convert`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from localft.cli.command import Command
from localft.cli.given import refuse_idle
from localft.cli.parameters import UserPath, complete_model
from localft.cli.progress_line import progress_line
from localft.screen.border import put, say
from localft.visible import Styled

HELP = """Convert a Hugging Face checkpoint to a GGUF file.

MODEL is a model card's name, a Hugging Face repo id, or the folder of a checkpoint. The file's path is printed on
stdout. A file that is there already, newer than the checkpoint and complete, is kept.

\b
Examples:
  localft convert demo
  localft convert tinymistral --outtype q4_k_m
  localft convert ./my-checkpoint --outtype f32 --out my.gguf
"""


@click.command("convert", cls=Command, help=HELP, short_help="Convert a Hugging Face checkpoint to GGUF.")
@click.argument("model", shell_complete=complete_model)
@click.option(
    "--outtype", default="q8_0", show_default=True, metavar="TYPE", help="f32, f16, bf16, q8_0, q4_0, q4_k_m, q6_k, …"
)
@click.option("--out", type=UserPath(), help="File to write. [default: in localft's home]")
@click.option("--force", is_flag=True, help="Convert even where the file is there, and replace any other.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def command(model: str, outtype: str, out: Path | None, force: bool, as_json: bool) -> None:
    from localft.model.convert import convert

    if model.endswith(".gguf"):
        why = f"has no meaning for `{model}`: it is converted already"
        refuse_idle(("outtype", "out", "force"), why, "leave it out, or give the checkpoint that it was made from")
    with progress_line() as report:
        result = convert(model, outtype, out, force=force, progress=report)
    for warning in result.warnings:
        say(Styled("warning", "yellow"), f": {warning}")
    state = "is there already, complete" if result.skipped else "written"
    say(f"{result.path.name}: {result.n_tensors} tensors, {result.n_bytes / 2**20:.1f} MiB, {state}")
    if as_json:
        values = {
            "path": str(result.path),
            "skipped": result.skipped,
            "warnings": list(result.warnings),
            "n_tensors": result.n_tensors,
            "n_bytes": result.n_bytes,
        }
        put(json.dumps(values))
    else:
        put(str(result.path))
