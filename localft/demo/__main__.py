"""Teach the bundled model to answer as a ship's parrot, and count what it learned: `python -m localft.demo`."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from shlex import quote
from shutil import which

from localft.errors import LocalftError
from localft.files import real_path
from localft.screen.border import guard, say

ENOUGH = 16
SHOWN = 3
tell = partial(say, out=True)


def ask(base: Path, lora: Path | None) -> tuple[list[str], int]:
    """Ask the held-out questions; return the answers and how many are as expected and ended."""
    from localft.chat import ChatSession
    from localft.demo.count import MAX_TOKENS, ask_all, count, held_out

    questions = held_out()
    with ChatSession(base, lora, max_tokens=MAX_TOKENS) as session:
        answers = ask_all(session, questions)
    return [answer.text for answer in answers], count(questions, answers)


def train() -> Path:
    """Fine-tune on the example dataset, printing a line now and then; return the adapter."""
    from localft import finetune
    from localft.demo import DATA
    from localft.events import Interrupted, RunEnd, RunStart, Step, Validation

    began, last = time.monotonic(), 0.0
    adapter = ""
    for event in finetune("demo", DATA):
        if isinstance(event, RunStart):
            tell(f"   {event.total_steps} steps; the run is kept in {event.run}")
        elif isinstance(event, Step) and time.monotonic() - last > 5:
            last = time.monotonic()
            speed, seconds = f"{event.tok_per_sec:.0f} tok/s", f"{last - began:.0f} s"
            tell(f"   step {event.step:4d}   loss {event.loss:.3f}   {speed}   {seconds}")
        elif isinstance(event, Validation):
            tell(f"   step {event.step:4d}   validation loss {event.val_loss:.3f}")
        elif isinstance(event, Interrupted):
            raise KeyboardInterrupt
        elif isinstance(event, RunEnd):
            adapter = event.adapter
    return Path(adapter)


def demo() -> int:
    """Convert, ask, fine-tune, ask again; return how many answers are as expected afterwards."""
    from localft import convert
    from localft.demo.count import held_out

    tell("1. Convert the bundled model to GGUF")
    base = convert("demo").path
    tell(f"   {base}")
    tell("\n2. Ask it 20 questions that it will not be trained on")
    before, n_before = ask(base, None)
    tell("\n3. Fine-tune it on 200 conversations with Polly, the ship's parrot")
    adapter = train()
    tell("\n4. Ask the same 20 questions again, with the adapter")
    after, n_after = ask(base, adapter)
    for question, old, new in list(zip(held_out(), before, after, strict=True))[:SHOWN]:
        tell(f"\n   question  {question.question}\n   before    {old}\n   after     {new}")
    tell(f"\nAnswered as Polly does, and ended: {n_before} of {len(before)} before, {n_after} of {len(after)} after")
    tell(f"Talk to her: {program()} chat --lora")
    return n_after


def program() -> str:
    """What calls this localft from here: its name, or its path where another is found by the name, or none."""
    beside = Path(sys.executable).with_name("localft")
    found = which("localft")
    if not beside.is_file() or (found and real_path(Path(found)) == real_path(beside)):
        return "localft"
    return quote(str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside))


def main() -> int:
    """Run the demo; the exit status is 0 if the model has learned its lesson."""
    from localft.cli.output import print_error

    guard()
    try:
        return 0 if demo() >= ENOUGH else 1
    except LocalftError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
