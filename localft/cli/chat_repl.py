"""The conversation at a terminal: line editing, streaming, and commands that start with a slash."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from localft.chat import ChatSession
from localft.cli.chat_input import ChatInput
from localft.cli.chat_meant import BARE, meant_command
from localft.cli.output import print_error
from localft.errors import ConfigError, LocalftError
from localft.outputs import write_output
from localft.screen.border import put, say, speech

HELP = """\
/help              this list
/reset             forget the conversation
/system [TEXT]     show or set the system message; `/system off` removes it
/retry             answer the last question again
/compare [TEXT]    answer with and without the adapter (the last question, or TEXT)
/save [FILE]       save the conversation as a training row (JSONL)
/exit              leave (Ctrl-D does too)

Ctrl-C stops an answer. A line that ends with \\ goes on in the next one; pasted lines are one message.
The arrow keys bring back what you said before.
To send a line that starts with /, start it with //."""


def converse(session: ChatSession) -> None:
    """Talk until /exit or Ctrl-D."""
    Repl(session).run()


class Repl:
    """One conversation at a terminal. Answers go to stdout, everything else to stderr."""

    def __init__(self, session: ChatSession) -> None:
        self.session = session
        self.saved: Path | None = None
        self.done = False
        self.commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: say(HELP),
            "reset": self.reset,
            "system": self.system,
            "retry": self.retry,
            "compare": self.compare,
            "save": self.save,
            "exit": self.leave,
            "quit": self.leave,
        }
        self.input = ChatInput(self.commands)

    def run(self) -> None:
        """Read and answer lines until the user leaves."""
        self.greet()
        while not self.done:
            try:
                line = self.input.read()
            except EOFError:
                if self.input.typed:
                    say("")
                return
            except KeyboardInterrupt:
                say("\n(Ctrl-D or /exit leaves)")
                continue
            self.handle(line)

    def greet(self) -> None:
        """Say what is loaded and how prompts are formatted."""
        session = self.session
        adapter = f" + {session.lora}" if session.lora else ""
        say(f"{session.model.name}{adapter} · {FORMATS[session.template.kind]} · context {session.n_ctx}")
        if not session.remembers:
            say("each prompt stands alone, as in training")
        say("/help lists the commands")

    def handle(self, line: str) -> None:
        """Run a command, or ask the model; errors are said and the conversation goes on."""
        try:
            if line.startswith("/") and not line.startswith("//"):
                self.run_command(line[1:])
                return
            if self.input.typed and line.strip().lower() in BARE:
                say("(commands begin with a slash: /exit leaves, /help lists them)")
            if line.strip() or (self.session.template.kind == "raw" and self.session.messages):
                self.stream(self.session.ask(line[1:] if line.startswith("//") else line))
        except LocalftError as error:
            print_error(error)
        except KeyboardInterrupt:
            say("\n(stopped)")

    def run_command(self, line: str) -> None:
        """Run one slash command, given without its slash."""
        name, _, rest = line.partition(" ")
        run = self.commands.get(name.strip().lower())
        if run is None:
            raise ConfigError(f"`/{name}` is no command", meant_command(name, rest, self.commands))
        run(rest.strip())

    def stream(self, pieces: Iterator[str]) -> None:
        """Print an answer as it comes."""
        with contextlib.closing(pieces) as answer, speech() as write:  # type: ignore[type-var]
            for piece in answer:
                write(piece)
        put("")
        self.say_ending()

    def say_ending(self) -> None:
        """Say why an answer ended, where the model did not end it."""
        reason = self.session.stop_reason
        if reason == "max_tokens":
            say(f"(stopped after {self.session.sampling.max_tokens} tokens; --max-tokens allows more)")
        elif reason == "context":
            say(f"(the context of {self.session.n_ctx} tokens is full; /reset starts anew, --ctx makes it larger)")

    def compare(self, text: str) -> None:
        """Answer with and without the adapter; the conversation stays as it is."""
        with contextlib.closing(self.session.stream_compare(text or None)) as pieces:  # type: ignore[type-var]
            for who, answer in groupby(pieces, key=itemgetter(0)):
                say(f"── {who} " + "─" * (40 - len(who)))
                with speech() as write:
                    for _, piece in answer:
                        write(piece)
                put("")

    def retry(self, _: str) -> None:
        """Answer the last question again."""
        answer = self.session.retry()
        if self.session.sampling.temp == 0:
            say("(greedy, so the answer is the same; start with --temp 0.7 to get others)")
        self.stream(answer)

    def reset(self, _: str) -> None:
        """Forget the conversation."""
        self.session.reset()
        say("(conversation forgotten)")

    def system(self, text: str) -> None:
        """Show, set or remove the system message."""
        if not text:
            with speech(out=False) as write:
                write(f"{self.session.system or '(no system message; /system TEXT sets one)'}\n")
            return
        self.session.system = None if text == "off" else text
        say("(system message removed)" if text == "off" else "(system message set)")

    def save(self, name: str) -> None:
        """Save the conversation as one row that `localft finetune` reads."""
        if not self.session.messages:
            raise ConfigError("there is nothing to save yet", "ask something first")
        path = Path(name).expanduser() if name else self.saved or Path(time.strftime("chat-%Y%m%d-%H%M%S.jsonl"))
        if path.exists() and path != self.saved:
            raise ConfigError(f"`{path}` exists already", "give another name")
        try:
            write_output(path, json.dumps(self.session.to_row(), ensure_ascii=False) + "\n", hint="give another name")
        except OSError as error:
            raise ConfigError(f"`{path}` cannot be written: {error.strerror or error}", "give another name") from error
        self.saved = path
        say(f"(saved to {path})")

    def leave(self, _: str) -> None:
        """End the conversation."""
        self.done = True


FORMATS = {
    "chat": "the model's chat template",
    "messages": "plain messages",
    "alpaca": "Alpaca prompts",
    "completion": "prompts as they stand",
    "raw": "raw text, continued as it stands",
}
