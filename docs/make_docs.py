"""Write the pages that are made from the program itself: every command's --help, the settings, the model cards.

python docs/make_docs.py           writes docs/commands.md, docs/settings.md, docs/models.md and docs/checkpoints.md
python docs/make_docs.py --check   says which of them are stale, exit 1
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import click

from localft.cli import cli
from localft.model.card import load_cards
from localft.model.conversion.checkpoint_keys import TABLES, Key
from localft.settings.setting import flag_name
from localft.settings.train_config import TrainConfig

EXIT_STATUSES = """\
Exit status: 0 all went well, 1 it failed (a file that is not there or cannot be used, a model, the machine; with
`localft data check`, errors in the data), 2 the command line or a setting cannot be used, an unknown name among them,
130 Ctrl-C, 143 and 129 the signals SIGTERM and SIGHUP. Errors go to stderr.
"""
DOCS = Path(__file__).resolve().parent


def all_commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and, where it is a group, the commands in it, each with the words that call it."""
    yield name, command
    if isinstance(command, click.Group):
        for part in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), part)
            assert inner is not None
            yield from all_commands(f"{name} {part}", inner)


def commands_page() -> str:
    """Every command's help, as the terminal shows it at 100 columns."""
    parts = [
        "# Commands\n\nMade from `--help` by `make docs`. `localft help data check` shows a page too.\n",
        EXIT_STATUSES,
    ]
    for info, command in all_commands("localft", cli):
        context = command.make_context(
            info, [], resilient_parsing=True, terminal_width=100, max_content_width=100,
            help_option_names=["-h", "--help"],
        )  # fmt: skip
        parts.append(f"## {info}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _setting_rows() -> Iterator[str]:
    for spec in fields(TrainConfig):
        rules = spec.metadata.get("setting")
        if rules is None or rules.hidden:
            continue
        default = rules.shown_default or spec.default
        shown = (
            f"`{str(default).lower() if isinstance(default, bool) else default}`"
            if default not in (None, "", ())
            else ""
        )
        yield f"| `{spec.name}` | `{flag_name(spec.name)}` | {shown} | {rules.help} |"


def settings_page() -> str:
    """A table of every setting of a run: config key, flag, default, meaning."""
    head = (
        "# Settings of a run\n\nMade by `make docs`. A value comes from a flag, else from `--config run.toml`, "
        "else from the model's card, else from the default; the header of a run says which, and `config.json` in its "
        "folder keeps it.\n\n"
        "| config key | flag | default | meaning |\n|---|---|---|---|\n"
    )
    return head + "\n".join(_setting_rows()) + "\n"


def models_page() -> str:
    """A table of the model cards."""
    head = (
        "# Model cards\n\nMade from `models/*.toml` by `make docs`. `--model` takes one of these names, a Hugging Face "
        "repo id, a folder with a checkpoint, or a `.gguf` file. [What conversion reads](checkpoints.md) says what "
        "becomes of every key of a checkpoint's files.\n\n"
        "| name | Hugging Face | parameters | licence | |\n|---|---|--:|---|---|\n"
    )
    rows = []
    for card in sorted(load_cards().values(), key=lambda card: card.parameters):
        notes = ", ".join(note for note, true in (("chat", card.chat), ("gated: log in first", card.gated)) if true)
        rows.append(
            f"| `{card.name}` | {card.hf_id or 'bundled'} | {card.parameters / 1e6:,.0f}M | {card.licence} | {notes} |"
        )
    return head + "\n".join(rows) + "\n"


def checkpoints_page() -> str:
    """Every key of a checkpoint's files, and what becomes of it."""
    head = (
        "# What conversion reads\n\nMade by `make docs` from the table that conversion itself keeps to. A checkpoint's "
        "weights become a GGUF that computes what transformers computes, or the checkpoint is refused with the key's "
        "name. Where transformers and llama.cpp differ, training follows what llama.cpp will run. A key that is `null` "
        "counts as one that is not there; keys that are not listed are said at conversion and left out.\n\n"
        "*used*: read. *unset or …*: any other value is refused. *harmless*: changes no number and no token.\n\n"
        "All of `eos_token_id` in `config.json` and `generation_config.json` and the tokenizer's `eos_token` end an "
        "answer, in chat and in llama.cpp. EOS, behind texts and behind answers whose template writes no end, is the "
        "tokenizer's `eos_token`; without one, of several ids the one that the chat template writes, else the first.\n"
    )
    return head + "".join(_keys(file, rows) for file, rows in TABLES.items())


def _keys(file: str, rows: Sequence[Key]) -> str:
    where = "RoPE: inside `rope_parameters` or `rope_scaling`" if file == "rope_parameters" else f"`{file}`"
    lines = [
        f"\n## {where}\n\n| key | transformers 5 | llama.cpp's converter | localft | why |\n|---|---|---|---|---|\n"
    ]
    for row in rows:
        names = row.names if file == "added_tokens.json" else ", ".join(f"`{name}`" for name in row.names.split())
        lines.append(f"| {names} | {row.transformers} | {row.llama_cpp} | {_use(row)} | {row.why} |\n")
    return "".join(lines)


def _use(row: Key) -> str:
    if row.use == "same":
        return f"unset or equal to `{row.allowed[0]}`"
    if row.use == "only":
        return f"unset{''.join(f' or `{json.dumps(value)}`' for value in row.allowed)}"
    return row.use


PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "models.md": models_page,
    "checkpoints.md": checkpoints_page,
}


def main() -> int:
    """Write the pages, or with --check compare them."""
    stale = [name for name, page in PAGES.items() if _read(DOCS / name) != page()]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"docs/{name} is stale: run `make docs`")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/{name} written")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
