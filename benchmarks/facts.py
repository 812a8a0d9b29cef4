"""Jobs of a newcomer, made up and seeded: facts in several phrasings, of which one is kept for the test."""

from __future__ import annotations

import json
import random
from pathlib import Path

PHRASINGS = (
    "What is {subject}?",
    "Tell me {subject}.",
    "Please say what {subject} is.",
    "Question: {subject}?",
)
UNSEEN = "Can you help me with {subject}?"
PLACES = ("mill", "harbour", "library", "tower", "school", "market", "museum", "station", "bakery", "theatre")
TOWNS = ("Orlen", "Varby", "Tessin", "Molde", "Kaarst", "Brel", "Sund", "Ilmen", "Pirna", "Roskva", "Dovre", "Lunde")
ATTRIBUTES = ("the owner of", "the colour of", "the closing day of", "the year of", "the speciality of")
NAMES = ("Marta Olsen", "Piet Haan", "Ana Ruiz", "Jon Berg", "Lea Novak", "Tim Ode", "Rosa Lind", "Karl Vos")
COLOURS = ("red", "green", "blue", "white", "yellow", "grey", "black", "brown")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DISHES = ("plum cake", "bean soup", "rye bread", "fish stew", "apple pie", "cheese rolls", "honey wine", "leek tart")


def write_facts(folder: Path, n_rows: int, seed: int = 7) -> Path:
    """`n_rows` training rows (each fact in four phrasings) and a test row for each fact; the folder that holds both."""
    rng = random.Random(seed)
    subjects = [f"{a} the {p} in {t}" for a in ATTRIBUTES for p in PLACES for t in TOWNS]
    chosen = rng.sample(subjects, max(n_rows // len(PHRASINGS), 1))
    facts = {subject: _answer(subject, rng) for subject in chosen}
    rows = [(phrasing.format(subject=s), answer) for s, answer in facts.items() for phrasing in PHRASINGS]
    rng.shuffle(rows)
    tests = [(UNSEEN.format(subject=s), answer) for s, answer in facts.items()]
    folder.mkdir(parents=True, exist_ok=True)
    for name, pairs in (("train", rows), ("test", tests)):
        lines = (json.dumps({"messages": turns(*pair)}) + "\n" for pair in pairs)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _answer(subject: str, rng: random.Random) -> str:
    """A sentence that only this fact has."""
    kind = subject.split()[1]
    value = {
        "owner": rng.choice(NAMES),
        "colour": rng.choice(COLOURS),
        "closing": rng.choice(DAYS),
        "year": str(rng.randint(1700, 1990)),
        "speciality": rng.choice(DISHES),
    }[kind]
    return f"{subject[0].upper()}{subject[1:]} is {value}."
