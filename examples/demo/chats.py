"""Conversations about the small world, drawn from a seeded grammar."""

from __future__ import annotations

import random

from facts import Fact, all_facts
from stories import BOYS, COLOURS, GIRLS, NOT_IN_STORIES, TOYS, describe, names, story
from world import ANIMALS, PLACES, a, rows, upper

FACTS = all_facts()
BY_SUBJECT: dict[str, list[Fact]] = {}
for _fact in FACTS:
    BY_SUBJECT.setdefault(_fact.subject, []).append(_fact)

SYSTEMS = ["You are a friendly helper.", "Answer in simple words.", "You are kind and patient.", "Help the user."]
OPENERS = ["Hello! ", "Hi! ", "Please tell me. ", "I have a question. ", "Can you help me? ", "I want to know. "]
SMALL_TALK = [
    ("Hello!", "Hello! How can I help you?"),
    ("Hi!", "Hi! What do you want to know?"),
    ("Good morning!", "Good morning! What can I do for you?"),
    ("How are you?", "I am well, thank you. How are you?"),
    ("Who are you?", "I am a very small model. I know a little about a small world."),
    ("What is your name?", "I have no name. I am a very small model."),
    ("What can you do?", "I can answer simple questions and tell short stories."),
    ("What do you know?", "I know animals, food, tools, jobs, places, weather and small numbers."),
    ("Are you a person?", "No, I am a very small model. I live in a computer."),
    ("I am sad.", "I am sorry to hear that. Do you want to hear a story?"),
    ("I am happy.", "That is good to hear!"),
    ("I am tired.", "Then you should rest a little."),
    ("I am hungry.", "Then eat an apple or some bread."),
    ("I am bored.", "You can read a book or go for a walk."),
]
UNKNOWN = [
    "What is the capital of France?", "Who is the president?", "How does a computer work?", "Write a poem.",
    "What is the meaning of life?", "What is the news today?", "Who won the game?", "How old is the earth?",
    "Can you write a program?", "What is a black hole?", "Translate this for me.", "What is ten times twelve?",
]  # fmt: skip
CLOSERS = [
    ("Thank you!", "You are welcome!"),
    ("Thanks, that helps.", "I am glad that it helps."),
    ("Goodbye!", "Goodbye! Have a nice day."),
    ("Good night!", "Good night! Sleep well."),
]
SURROUNDINGS = [
    ("the sky", "blue"), ("the sun", "yellow"), ("the grass", "green"), ("the snow", "white"), ("the sea", "blue"),
    ("the night", "black"), ("the moon", "white"), ("a rose", "red"), ("a leaf", "green"), ("a cloud", "grey"),
]  # fmt: skip
WORDS = [*TOYS, *COLOURS, *GIRLS, *BOYS, *(name for name in names() if " " not in name), *(upper(toy) for toy in TOYS)]

Turn = tuple[str, str]


def _ask(rng: random.Random, fact: Fact) -> Turn:
    answer = fact.answer
    if rng.random() < 0.2:
        more = [other for other in BY_SUBJECT[fact.subject] if other.kind != fact.kind]
        answer += " " + rng.choice(more).answer if more else ""
    return rng.choice(fact.questions), answer


def _typed(rng: random.Random, question: str) -> str:
    """Write a question as people type it: now and then without capitals or its mark, or in American spelling."""
    if rng.random() < 0.1:
        question = question.replace("colour", "color")
    if rng.random() < 0.08:
        question = question[0].lower() + question[1:]
    return question.rstrip("?") if rng.random() < 0.08 else question


def _yes_no(rng: random.Random) -> Turn:
    fact = rng.choice([fact for fact in FACTS if fact.kind in ("colour", "taste")])
    verb = "is" if fact.kind == "colour" else "tastes"
    subject = fact.answer.split(f" {verb} ")[0]
    keys = sorted({other.key for other in FACTS if other.kind == fact.kind})
    said = fact.key if rng.random() < 0.5 else rng.choice(keys)
    asked = subject[0].lower() + subject[1:]
    question = f"Is {asked} {said}?" if verb == "is" else f"Does {asked} taste {said}?"
    if said == fact.key:
        return question, f"Yes, {asked} {verb} {fact.key}."
    denial = "is not" if verb == "is" else "does not taste"
    return question, f"No, {asked} {denial} {said}. {fact.answer}"


def _reading(rng: random.Random) -> Turn:
    """A question whose answer stands in the question."""
    who, other = rng.sample(GIRLS + BOYS, 2)
    colour, second = rng.sample(COLOURS, 2)
    toy, toy2 = rng.sample(TOYS, 2)
    place, place2 = (row[0] for row in rng.sample(rows(PLACES), 2))
    has = f"{who} has {a(colour)} {toy}. {other} has {a(second)} {toy2}."
    are = f"{who} is {place}. {other} is {place2}."
    like = f"{who} likes {toy}s. {other} likes {toy2}s."
    return rng.choice([
        (f"{has} Who has {a(toy)}?", f"{who} has {a(toy)}."),
        (f"{has} What does {other} have?", f"{other} has {a(second)} {toy2}."),
        (f"{has} What colour is the {toy}?", f"The {toy} is {colour}."),
        (f"{are} Where is {who}?", f"{who} is {place}."),
        (f"{are} Who is {place2}?", f"{other} is {place2}."),
        (f"{like} What does {who} like?", f"{who} likes {toy}s."),
        (f"My name is {who}. What is my name?", f"Your name is {who}."),
        (f"Say the word {toy}.", f"{upper(toy)}."),
        (f"Say the word {toy} two times.", f"{upper(toy)}, {toy}."),
        (f"Say after me: {like}", like),
    ])  # fmt: skip


def _telling(rng: random.Random) -> Turn:
    if rng.random() < 0.5:
        name = rng.choice(names())
        return rng.choice([f"Tell me about the {name}.", f"What do you know about the {name}?"]), describe(rng, name)
    if rng.random() < 0.7:
        animal = rng.choice([row[0] for row in rows(ANIMALS) if row[0] not in NOT_IN_STORIES])
        asked = rng.choice([f"Tell me a story about {a(animal)}.", f"Tell a story with {a(animal)}."])
        return asked, story(rng, animal)
    return rng.choice(["Tell me a story.", "Can you tell me a story?", "I want to hear a story."]), story(rng)


def _manner(rng: random.Random) -> Turn:
    """A question with a wish about the manner of the answer."""
    fact = rng.choice(FACTS)
    question, answer = rng.choice(fact.questions), fact.answer
    loud = answer.rstrip(".") + "!"
    word = rng.choice(WORDS)
    shout = f"{upper(word)}!"
    return rng.choice([
        (f"{question} Begin with {word}.", f"{shout} {answer}"),
        (f"{question} End with {word}.", f"{answer} {shout}"),
        (f"{question} Say it twice.", f"{answer} {answer}"),
        (f"{question} Say it loudly.", loud),
        (f"{question} Say it twice, the second time loudly.", f"{answer} {loud}"),
        (f"{question} Begin with {word} and say it twice.", f"{shout} {answer} {answer}"),
        (f"{question} Say it twice, with {word} in between.", f"{answer} {shout} {answer}"),
        (f"{question} Begin with {word} and say it loudly.", f"{shout} {loud}"),
    ])  # fmt: skip


def _exercise(rng: random.Random) -> Turn:
    """What the second stage of training adds: manners, two questions at once, copying, and yes or no again."""
    kind = rng.random()
    if kind < 0.5:
        return _manner(rng)
    if kind < 0.6:
        first, second = rng.sample(FACTS, 2)
        return f"{rng.choice(first.questions)} {rng.choice(second.questions)}", f"{first.answer} {second.answer}"
    if kind < 0.75:
        words = " ".join(rng.choices(WORDS, k=rng.randint(2, 7)))
        return f"Say after me: {words}.", f"{upper(words)}."
    if kind < 0.85:
        thing, colour = rng.choice(SURROUNDINGS)
        return f"What colour is {thing}?", f"{upper(thing)} is {colour}."
    return _yes_no(rng) if kind < 0.93 else _is_it(rng)


def _is_it(rng: random.Random) -> Turn:
    fact, other = rng.sample([fact for fact in FACTS if fact.kind == "taste"], 2)
    subject = fact.answer.split(" tastes ")[0]
    asked, said = subject[0].lower() + subject[1:], rng.choice([fact.key, other.key])
    verdict = f"Yes, {asked} is {said}." if said == fact.key else f"No, {asked} is not {said}. {fact.answer}"
    return f"Is {asked} {said}?", verdict


def chat(rng: random.Random, exercises: float = 0.0) -> list[dict[str, str]]:
    """Make a conversation of one to four questions, as chat messages; a share of them may be exercises."""
    turns: list[Turn] = []
    if rng.random() < 0.12:
        turns.append(rng.choice(SMALL_TALK))
    elif rng.random() < 0.03:
        turns.append((rng.choice(UNKNOWN), "I am sorry, I do not know that. I only know a small world."))
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])):
        if exercises and rng.random() < exercises:
            turns.append(_exercise(rng))
            continue
        kind = rng.random()
        if kind < 0.64:
            turns.append(_ask(rng, rng.choice(FACTS)))
        else:
            turns.append(_yes_no(rng) if kind < 0.72 else _reading(rng) if kind < 0.9 else _telling(rng))
    if rng.random() < 0.15:
        turns[0] = (rng.choice(OPENERS) + turns[0][0], turns[0][1])
    if rng.random() < 0.1:
        turns.append(rng.choice(CLOSERS))
    messages = [{"role": "system", "content": rng.choice(SYSTEMS)}] if rng.random() < 0.1 else []
    for question, answer in ((_typed(rng, question), answer) for question, answer in turns):
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return messages
