"""`localft data split`: a test set of whole documents, kept apart from what is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.data import options
from localft.cli.data.piped import piped
from localft.cli.given import refuse_idle
from localft.cli.parameters import UserPath
from localft.cli.setting_options import setting_option

if TYPE_CHECKING:
    from localft.curation.test_set import DataSplit

HELP = """Keep a test set apart: whole documents, chosen once, that no run trains or validates on.

ROWS are files of JSON lines, as `localft data build`, `synth` and `github` write them, or - for stdin. FOLDER gets a
train.jsonl and a test.jsonl: rows with the same "doc" are on one side, and so are rows that are equal but for case and
white space. Where conversations and texts are given, the conversations test, and texts of their documents are in
neither file.

`localft finetune --data FOLDER` leaves test.jsonl alone. A test set that is there already stays as it is: given more
rows, the command leaves those of its documents out of train.jsonl again.

\b
Examples:
  localft data split rows.jsonl pairs.jsonl -o data
  localft data split pairs.jsonl --test 0.2 --on-leak drop -o data
  localft data check data --val-data data/test.jsonl
"""


@click.command(
    "split",
    cls=Command,
    help=HELP,
    short_help="Keep a test set of whole documents apart.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.argument("rows", nargs=-1, required=True, type=UserPath(), metavar="ROWS...")
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FOLDER",
    type=UserPath(file_okay=False),
    help="Folder of train.jsonl and test.jsonl.",
)
@click.option(
    "--test",
    "share",
    type=click.FloatRange(0, 0.9, min_open=True),
    metavar="X",
    help="Share of the rows that is kept apart. [default: 0.1]",
)
@click.option("--seed", type=click.IntRange(0), default=42, show_default=True, metavar="N", help="Of the choice.")
@click.option(
    "--on-leak",
    type=click.Choice(["warn", "drop", "refuse"]),
    default="warn",
    show_default=True,
    help="Where training rows give test rows away: say so, leave them out of train.jsonl, or stop.",
)
@setting_option("allow_expansion", default=False)
@options.force
@options.as_json("the summary")
def command(
    rows: tuple[Path, ...],
    out: Path,
    share: float | None,
    seed: int,
    on_leak: Any,
    allow_expansion: bool,
    force: bool,
    as_json: bool,
) -> None:
    from localft.cli.output import echo_labelled
    from localft.curation.test_set import split_data
    from localft.screen.border import put

    if (out / "test.jsonl").exists():
        why = f"has no meaning: the test set in `{out / 'test.jsonl'}` stays as it is"
        refuse_idle(("seed",), why, "leave it out, or delete the file")
    with piped([str(path) for path in rows]) as (paths, _):
        found = split_data([Path(path) for path in paths], out, share, seed, on_leak, allow_expansion, force)
    if as_json:
        import json

        put(json.dumps(as_values(found)))
    else:
        echo_labelled(lines(found), ("leak",) if found.leakage.leaks else ())


def lines(found: DataSplit) -> Iterator[tuple[str, str]]:
    """Labels and texts, in the order in which they are shown."""
    from localft.units import count, count_and_verb

    yield "read", count(found.n_read, "row")
    yield "test", f"{found.test}, {count(found.n_test, 'row')}: {found.reason}"
    if found.n_empty:
        yield "left out", f"{count(found.n_empty, 'row')} without a text or an answer"
    if found.n_held:
        yield "left out", f"{count(found.n_held, 'row')} of a document in the test set, or equal to a row there"
    if found.n_leaking:
        giving = count_and_verb(found.n_leaking, "row", "that gives", "that give")
        yield "left out", f"{giving} a test row away (--on-leak drop)"
    yield "train", f"{found.train}, {count(found.n_train, 'row')}"
    leakage = found.leakage
    leak = f"{leakage.n_leaks:,} of {count(leakage.n_val, 'test row')} beside {count(leakage.n_train, 'training row')}"
    if leakage.leaks and not found.n_leaking:
        look = f"localft data check {found.train.parent} --val-data {found.test}"
        leak += f": `{look}` lists them, --on-leak drop leaves {count(len(leakage.leaking), 'training row')} out"
    yield "leak", leak
    if leakage.n_unseen:
        yield "note", leakage.unseen


def as_values(found: DataSplit) -> dict[str, Any]:
    """The same as JSON-serialisable values."""
    names = ("n_read", "n_train", "n_test", "n_empty", "n_held", "n_leaking", "reason")
    values = {name: getattr(found, name) for name in names}
    return {"train": str(found.train), "test": str(found.test), **values, "leakage": found.leakage.to_dict()}
