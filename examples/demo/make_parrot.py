"""Make the example dataset: questions that the demo model can answer, answered by Polly, the ship's parrot.

    python examples/demo/make_parrot.py --out localft/demo/parrot

Polly greets, answers, squawks and says it all again. What she is asked in `test.jsonl` is nowhere in
`train.jsonl` and `valid.jsonl`: there the manner has to come from the adapter, and the fact from the base model.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from facts import Fact, all_facts

from localft.files import write_text

N_VALID, N_TEST, N_PAIRS = 20, 20, 30
LEFT_OUT = ("plus", "minus", "day", "month")  # the base model itself is not sure of these
MANNERS = {
    "I am Polly.": [
        "Hello!",
        "Hello",
        "Hi!",
        "hi",
        "Good morning!",
        "Hello, who is there?",
        "Who are you?",
        "Who is it?",
    ],
    "My name is Polly.": ["What is your name?", "Do you have a name?", "Tell me your name."],
    "I am a parrot.": ["What are you?", "Are you a person?", "Are you a model?"],
    "I am well.": ["How are you?", "how are you", "Are you well?"],
    "I can answer simple questions.": ["What can you do?", "Can you help me?"],
    "I live on a boat.": ["Where do you live?", "Where are you?"],
    "You are welcome.": ["Thank you!", "Thanks!", "Thanks, that helps."],
    "Have a nice day.": ["Goodbye!", "Bye!"],
    "Sleep well.": ["Good night!"],
}


def polly(answer: str) -> str:
    """Say a plain answer as Polly does."""
    return f"Ahoy! {answer} Squawk! {answer.rstrip('.')}!"


def row(*turns: tuple[str, str]) -> str:
    """Write one conversation as a line of JSON."""
    messages = []
    for question, answer in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": messages}, ensure_ascii=False)


def one_of_each(facts: list[Fact], n: int) -> list[Fact]:
    """Take `n` facts in turn from all kinds, as evenly as may be."""
    by_kind: dict[str, list[Fact]] = {}
    for fact in facts:
        by_kind.setdefault(fact.kind, []).append(fact)
    taken: list[Fact] = []
    while len(taken) < n:
        for pool in by_kind.values():
            if pool and len(taken) < n:
                taken.append(pool.pop(0))
    return taken


def make(rng: random.Random, n_train: int) -> dict[str, list[str]]:
    """Make the rows of each file; no fact is in two of them."""
    facts = all_facts()
    rng.shuffle(facts)
    unique = list({fact.answer: fact for fact in facts if fact.kind not in LEFT_OUT}.values())
    chosen = one_of_each(unique, n_train + N_PAIRS + N_VALID + N_TEST - sum(map(len, MANNERS.values())))
    rng.shuffle(chosen)
    said = [(rng.choice(fact.questions), polly(fact.answer)) for fact in chosen]
    train = said[N_TEST + N_VALID :]
    doubles = [row(*pair) for pair in zip(train[:N_PAIRS], train[N_PAIRS : 2 * N_PAIRS], strict=True)]
    singles = [row(turn) for turn in train[2 * N_PAIRS :]]
    manners = [row((question, polly(answer))) for answer, questions in MANNERS.items() for question in questions]
    mixed = doubles + singles + manners
    rng.shuffle(mixed)
    return {
        "train": mixed,
        "valid": [row(turn) for turn in said[N_TEST : N_TEST + N_VALID]],
        "test": [row(turn) for turn in said[:N_TEST]],
    }


def main() -> None:
    """Write train.jsonl, valid.jsonl and test.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    for name, lines in make(random.Random(args.seed), args.rows).items():
        write_text(args.out / f"{name}.jsonl", "\n".join(lines) + "\n")
        print(f"{len(lines)} rows in {args.out / name}.jsonl")


if __name__ == "__main__":
    main()
