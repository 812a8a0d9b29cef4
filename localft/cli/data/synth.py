"""`localft data synth`: rows of raw text to questions and answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.data import options
from localft.cli.data.piped import piped
from localft.cli.given import refuse_idle
from localft.cli.parameters import UserPath, complete_model
from localft.cli.setting_options import setting_option
from localft.settings.train_config import MOST_THREADS

if TYPE_CHECKING:
    from localft.curation.synthetic.model.ask_model import Asking, AskProgress
    from localft.curation.synthetic.report import Price
    from localft.curation.synthetic.synth import Request, Result

HELP = """Turn rows of `localft data build` (files, or - for stdin) into conversations: questions with their answers.

Templates need no model: "What does src/app.py look like in owner/name?" is answered by the file, a question about a
section by the section, one about a commit or a pull request by what it says of itself. A model adds pairs of its own
where --endpoint (any OpenAI-compatible API; its key in LOCALFT_API_KEY or OPENAI_API_KEY) or --model (on this machine)
names one; pairs that the text does not support are dropped and counted. Each row keeps the "doc" and "source" of the
row that it is made from.

\b
Examples:
  localft data synth rows.jsonl -o pairs.jsonl
  localft data synth rows.jsonl --phrasings 3 --kind file --kind page -o pairs.jsonl
  localft data synth rows.jsonl --model mistral-7b-instruct --pairs 3 -o pairs.jsonl
  localft data synth rows.jsonl -o qa.jsonl --endpoint http://localhost:8080/v1 --endpoint-model m
  localft data synth rows.jsonl -o qa.jsonl --endpoint https://HOST/v1 --endpoint-model m --limit 9

A model's replies are kept in FILE.journal as they come: a run that was stopped goes on there, and a run with another
--support, --phrasings or a larger --limit asks about nothing twice.
"""
_NAMES = ("file", "page", "pull_request", "issue", "commit")


def price(context: click.Context, option: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """0.15:0.6"""
    if value is None:
        return None
    try:
        prompt, completion = map(float, value.split(":"))
    except ValueError:
        prompt = completion = -1.0
    if not (0 <= prompt < 1e9 and 0 <= completion < 1e9):
        raise click.BadParameter(f"`{value}` is no price: give two numbers such as 0.15:0.6", context, option)
    return prompt, completion


@click.command(
    "synth",
    cls=Command,
    help=HELP,
    short_help="Turn rows into questions and answers.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.argument("rows", nargs=-1, required=True, type=UserPath(), metavar="ROWS...")
@options.out_file("conversations")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(_NAMES),
    metavar="KIND",
    help="Only of these: file, page, pull_request, issue, commit; repeatable. [default: all]",
)
@click.option(
    "--phrasings",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    metavar="N",
    help="Ask each of the templates' questions in so many ways; 0 leaves the templates out.",
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="So many documents, chosen by --seed. [default: all]"
)
@click.option("--seed", type=click.IntRange(0), default=42, show_default=True, metavar="N")
@click.option("--endpoint", metavar="URL", help="Ask a model at this address.")
@click.option("--endpoint-model", metavar="NAME", help="What the endpoint calls the model.")
@click.option(
    "--model",
    metavar="MODEL",
    shell_complete=complete_model,
    help="Ask a model on this machine: a card's name, a folder, a .gguf file.",
)
@click.option(
    "--pairs", type=click.IntRange(1, 50), default=3, show_default=True, metavar="N", help="Asked for, of each row."
)
@click.option(
    "--support",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="X",
    help="Drop a model's answer of which less than this share stands in the text.",
)
@click.option("--parallel", type=click.IntRange(1, 256), metavar="N", help="Requests at a time. [default: 4]")
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    metavar="N",
    help="Send a request that failed again so often, waiting longer each time.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for an answer.",
)
@click.option("--price", callback=price, metavar="IN:OUT", help="Of a million tokens read and written: shows the cost.")
@click.option(
    "--threads", type=click.IntRange(1, MOST_THREADS), metavar="N", help="Of --model. [default: the physical cores]"
)
@setting_option("allow_expansion", default=False)
@options.force
@options.as_json("the summary")
def command(
    rows: tuple[Path, ...],
    out: Path,
    kinds: tuple[str, ...],
    phrasings: int,
    limit: int | None,
    seed: int,
    support: float,
    price: tuple[float, float] | None,
    allow_expansion: bool,
    force: bool,
    as_json: bool,
    **model: Any,
) -> None:
    from localft.curation.synthetic.report import Price
    from localft.curation.synthetic.synth import Request

    _check(model)
    with piped([str(path) for path in rows]) as (paths, _):
        read = tuple(map(Path, paths))
        request = Request(read, kinds or _NAMES, phrasings, support, limit, seed, allow_expansion, force)
        run(request, out, model, Price(*price) if price else None, as_json)


def _check(model: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    from localft.errors import ConfigError

    if model["endpoint"] and model["model"]:
        raise ConfigError("--endpoint and --model are both given", "one model is asked: leave one of them out")
    if model["endpoint"] and not model["endpoint_model"]:
        hint = "add --endpoint-model NAME; the server's /v1/models lists what it has"
        raise ConfigError("--endpoint is given without the model to ask", hint)
    if model["endpoint_model"] and not model["endpoint"]:
        raise ConfigError("--endpoint-model is given without --endpoint", "add --endpoint URL")
    if not model["endpoint"]:
        refuse_idle(("retries", "timeout", "price"), "is for --endpoint")
    if not model["endpoint"] and not model["model"]:
        refuse_idle(("pairs", "support", "threads"), "has no meaning without a model to ask")
    if model["endpoint"]:
        refuse_idle(("threads",), "is for --model: an endpoint computes by itself")
    if model["parallel"] and not model["endpoint"]:
        raise ConfigError("--parallel is for --endpoint", "leave it out: a model on this machine is asked row by row")


def run(request: Request, out: Path, model: dict[str, Any], price: Price | None, as_json: bool) -> None:
    """Make the pairs and say what came of it."""
    import json

    from localft.cli.progress_line import ProgressLine
    from localft.curation.synthetic import report
    from localft.curation.synthetic.model.journal import journal_path
    from localft.curation.synthetic.synth import synth
    from localft.errors import LocalftError
    from localft.outputs import require_replaceable
    from localft.screen.border import put, say

    require_replaceable(out, force=request.force)  # before a model is fetched
    asking, local = _asking(request, model)
    line = ProgressLine(every=30, pause=0.1)

    def update(progress: AskProgress) -> None:
        if asking and line.due:
            line.show(report.progress_line(progress, price, asking.exact))

    try:
        result = synth(request, out, asking, update)
    except (KeyboardInterrupt, LocalftError):
        line.close()
        if asking and (kept := journal_path(out)).exists():
            say(f"the replies so far are kept in `{kept}`: the same command goes on from there")
        raise
    finally:
        line.close()
        if local:
            local.close()
    if as_json:
        put(json.dumps(report.as_json(result, price, out), ensure_ascii=False))
    else:
        show(result, price, out)


def _asking(request: Request, model: dict[str, Any]) -> tuple[Asking | None, Any]:
    """Whom to ask, and what has to be closed afterwards."""
    if not model["endpoint"] and not model["model"]:
        return None, None
    from localft.curation.synthetic.model.ask_model import Asking

    if model["endpoint"]:
        from localft.curation.synthetic.model.openai import Endpoint, chat_url, choose_key

        url = chat_url(model["endpoint"])
        endpoint = Endpoint(url, model["endpoint_model"], choose_key(url, os.environ), model["timeout"])
        return Asking(endpoint, model["pairs"], request.seed, model["parallel"] or 4, model["retries"]), None
    local = _local(model["model"], model["threads"])
    return Asking(local, model["pairs"], request.seed, cut=lambda passage: local.cut(passage, model["pairs"])), local


def _local(name: str, n_threads: int | None) -> Any:
    from localft.cli.progress_line import progress_line
    from localft.curation.synthetic.model.local_model import LocalModel
    from localft.hardware import threads_note
    from localft.model.local_base import local_base
    from localft.screen.border import say
    from localft.visible import Styled

    with progress_line() as report:
        base = local_base(name, report)
    local = LocalModel(base, n_threads)
    for note in filter(None, (local.note, threads_note(n_threads))):
        say(Styled("note", "yellow"), f": {note}")
    return local


def show(result: Result, price: Price | None, out: Path) -> None:
    """The summary on stderr."""
    from localft.cli.output import echo_labelled
    from localft.curation.synthetic.report import lines

    echo_labelled(lines(result, price, out), ())
