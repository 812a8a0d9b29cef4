"""Everything that can be asked about the small world, with its plain answers."""

from __future__ import annotations

from dataclasses import dataclass

from world import (
    ANIMALS,
    BODY,
    DAYS,
    FOODS,
    JOBS,
    MONTHS,
    NUMBERS,
    OPPOSITES,
    PLACES,
    SEASONS,
    THINGS,
    WEATHER,
    YOUNG,
    a,
    pairs,
    rows,
    upper,
)


@dataclass(frozen=True)
class Fact:
    """One thing that the model knows.

    Attributes:
        kind: the table and column that it comes from.
        subject: what it is about, so that a follow-up can stay with it.
        questions: ways to ask for it.
        answer: the plain answer, one sentence.
        key: the words of the answer that carry the fact; the answer holds them as they stand.
    """

    kind: str
    subject: str
    questions: tuple[str, ...]
    answer: str
    key: str


def _animals() -> list[Fact]:
    facts = []
    for name, colour, home, food, moves, says, legs, _ in rows(ANIMALS):
        one, cap = a(name), upper(a(name))
        ask = [
            ("colour", (f"What colour is {one}?", f"Which colour does {one} have?"), f"{cap} is {colour}.", colour),
            ("home", (f"Where does {one} live?", f"Where can I find {one}?"), f"{cap} lives {home}.", home),
            ("food", (f"What does {one} eat?", f"What does {one} like to eat?"), f"{cap} eats {food}.", food),
            ("moves", (f"How does {one} move?", f"How does {one} get about?"), f"{cap} {moves}.", moves),
            ("legs", (f"How many legs does {one} have?",), f"{cap} has {legs} legs.", legs),
        ]
        if says != "-":
            ask.append(("says", (f"What does {one} say?", f"What sound does {one} make?"), f"{cap} says {says}.", says))
        facts += [Fact(kind, name, questions, answer, key) for kind, questions, answer, key in ask]
    for old, young in pairs(YOUNG):
        questions = (f"What is a young {old} called?", f"What do we call a young {old}?")
        facts.append(Fact("young", old, questions, f"A young {old} is called {a(young)}.", a(young)))
    return facts


def _foods() -> list[Fact]:
    facts = []
    for name, colour, taste, origin in rows(FOODS):
        one = name[:-1] if name.endswith("~") else a(name)
        come, verb = ("come", "comes") if origin.startswith("from") else ("grow", "grows")
        plain = name.rstrip("~")
        ask = [
            ("colour", (f"What colour is {one}?", f"Which colour does {one} have?"), f"is {colour}.", colour),
            ("taste", (f"How does {one} taste?", f"What does {one} taste like?"), f"tastes {taste}.", taste),
            ("origin", (f"Where does {one} {come}{' from' if come == 'come' else ''}?",), f"{verb} {origin}.", origin),
        ]
        facts += [Fact(kind, plain, q, f"{upper(one)} {answer}", key) for kind, q, answer, key in ask]
    return facts


def _things() -> list[Fact]:
    facts = []
    for name, use, stuff in rows(THINGS):
        one = "soap" if name == "soap" else a(name)
        uses = (f"What is {one} for?", f"What do I need {one} for?")
        facts.append(Fact("use", name, uses, f"{upper(one)} is for {use}.", use))
        made = (f"What is {one} made of?", f"What do people make {one} from?")
        facts.append(Fact("stuff", name, made, f"{upper(one)} is made of {stuff}.", stuff))
    return facts


def _people() -> list[Fact]:
    facts = []
    for who, does, do, where in rows(JOBS):
        one = a(who)
        facts += [
            Fact("job", who, (f"What does {one} do?", f"What is the job of {one}?"), f"{upper(one)} {does}.", does),
            Fact("who", who, (f"Who {does}?", f"Whose job is it to {do}?"), f"{upper(one)} {does}.", one),
            Fact("work", who, (f"Where does {one} work?",), f"{upper(one)} works {where}.", where),
        ]
    for verb, part in pairs(BODY):
        questions = (f"What do I {verb} with?", f"What do we {verb} with?")
        facts.append(Fact("body", verb, questions, f"You {verb} with your {part}.", f"your {part}"))
    return facts


def _outside() -> list[Fact]:
    facts = []
    for where, do, see in rows(PLACES):
        ways = (f"What can I do {where}?", f"What do people do {where}?")
        facts += [
            Fact("do", where, ways, f"{upper(where)} you can {do}.", do),
            Fact("see", where, (f"What can I see {where}?",), f"{upper(where)} you can see {see}.", see),
        ]
    for when, wear, do in rows(WEATHER):
        facts += [
            Fact("wear", when, (f"What do I wear when {when}?", f"What should I wear when {when}?"),
                 f"When {when}, you wear {wear}.", wear),
            Fact("play", when, (f"What can I do when {when}?",), f"When {when}, you can {do}.", do),
        ]  # fmt: skip
    for what, question, when in rows(SEASONS):
        facts.append(Fact("season", what, (question,), f"{upper(what)} {when}.", when))
    return facts


def _order() -> list[Fact]:
    facts = []
    for names, word in ((DAYS, "day"), (MONTHS, "month")):
        for i, name in enumerate(names):
            after, before = names[(i + 1) % len(names)], names[i - 1]
            facts += [
                Fact(word, name, (f"Which {word} comes after {name}?", f"What comes after {name}?"),
                     f"After {name} comes {after}.", after),
                Fact(word, name, (f"Which {word} comes before {name}?", f"What comes before {name}?"),
                     f"Before {name} comes {before}.", before),
            ]  # fmt: skip
    for one, other in pairs(OPPOSITES):
        questions = (f"What is the opposite of {one}?", f"Which word is the opposite of {one}?")
        facts.append(Fact("opposite", one, questions, f"The opposite of {one} is {other}.", other))
    for left in range(1, 10):
        for right in range(1, 11 - left):
            total, ways = NUMBERS[left + right], f"{NUMBERS[left]} and {NUMBERS[right]}"
            plus = (f"What is {NUMBERS[left]} plus {NUMBERS[right]}?", f"How much is {ways}?")
            facts.append(Fact("plus", ways, plus, f"{upper(NUMBERS[left])} plus {NUMBERS[right]} is {total}.", total))
            minus = (f"What is {total} minus {NUMBERS[right]}?",)
            rest = f"{upper(total)} minus {NUMBERS[right]} is {NUMBERS[left]}."
            facts.append(Fact("minus", total, minus, rest, NUMBERS[left]))
    return facts


def all_facts() -> list[Fact]:
    """Every fact of the world, in a fixed order."""
    return _animals() + _foods() + _things() + _people() + _outside() + _order()
