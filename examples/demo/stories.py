"""Short stories, days and descriptions of the small world, drawn from a seeded grammar."""

from __future__ import annotations

import random
import re

from world import ANIMALS, FOODS, JOBS, PLACES, THINGS, WEATHER, a, rows, upper

GIRLS = ["Anna", "Clara", "Emma", "Grace", "Ida", "Kate", "Mia", "Olga", "Rosa", "Tess", "Uma", "Zoe"]
BOYS = ["Ben", "Dan", "Finn", "Hugo", "Jack", "Leo", "Max", "Nick", "Paul", "Sam", "Tom", "Will"]
COLOURS = ["red", "blue", "green", "yellow", "white", "black", "brown", "purple"]
NOT_IN_STORIES = ["whale", "crab", "goldfish", "seal", "penguin"]
MEALS = [
    "apple",
    "banana",
    "carrot",
    "tomato",
    "cherry",
    "plum",
    "pear",
    "strawberry",
    "honey~",
    "soup~",
    "rice~",
    "chocolate~",
]
TOYS = ["ball", "kite", "boat", "drum", "book", "hat", "basket", "bell", "umbrella", "pen", "cup", "rope"]

# One plot per block, one sentence per line. "(x|y)" is a choice, "{slot}" is filled in, and a line that begins
# with "?" may be left out.
PLOTS = """
{hero} had {a_colour} {toy}. {He} (liked|loved) it very much.
One {day_part} {he} went to play {place}.
When {he} came home, the {toy} was (gone|not there).
{hero} was sad. {He} looked (under the bed and behind the door|everywhere, but {he} did not find it).
?"(Do not cry|Do not be sad)," said {friend}. "(I will help you|We will look together)."
{friend} and {hero} went back (and looked again|to look for it).
There was the {toy}, (under a tree|behind a big stone|in the tall grass)!
{hero} (laughed and hugged {friend}|was very happy|said thank you to {friend}).

It was a (cold|dark|wet) {day_part} and {weather_past}.
{hero} saw a {size} {animal} {place}. It was (cold and tired|wet and hungry|all alone).
"(Come with me|Come in)," said {hero}. "You can (stay with me|sleep in my house)."
{He} gave the {animal} (some {animal_food}|a warm place by the fire).
?The {animal} ate and ate, and then it (fell asleep|closed its eyes).
In the morning the (rain had stopped|sun came out).
The {animal} (wanted to stay|did not want to go away).
From that day on, {hero} and the {animal} were (best friends|always together).

Once there was a {size} {animal} who lived {home}.
Every day it (ate {animal_food}|looked for {animal_food}) and (slept in the sun|played with its friends).
One day the {animal} met a {other}. "(Who are you|What are you doing here)?" asked the {other}.
"I am (only a|a) {animal}," said the {animal}. "(Do you want to play|Will you be my friend)?"
?The {other} (thought about it|smiled) for a (little while|moment).
"Yes," said the {other}. "(Let us go to the river|Let us find some {animal_food}|Let us run to the hill)."
So they (played until it was dark|walked on together) and (told each other stories|sang a song).
The {animal} was (glad|happy), because now it (had a friend|was not alone).

{hero} wanted to (bake a cake|make a pie) for {friend}.
{He} went to the (market|shop) and bought {food_many}, {food2} and (some eggs|a bag of flour).
At home {he} put it all in a big (bowl|pot) and (stirred it|mixed it) well.
?"It (smells|looks) so good!" said {hero}.
But then {he} (played outside|read a book) and forgot the (time|oven).
The (cake|pie) was black! {hero} (began to cry|was very sad).
"(We can|Let us) make a new one," said {friend}, and they (worked|cooked) together.
The second one was (sweet and soft|the best of all), and they ate it (with a cup of tea|in the garden).

{hero} planted (a seed|one small seed) in the garden.
Every (day|morning) {he} gave it (water|a little water) and (waited|sang to it).
At first (nothing happened|there was only brown earth).
?"(Is it asleep|Will it ever grow)?" {he} asked {friend}. "(Wait a little|You must wait)," said {friend}.
Then the (sun came out|rain fell), and {a_colour} (flower|leaf) came out of the ground.
It grew and grew until it was as tall as (a house|the door|{hero}).
(A {animal} came to look at it|All the children came to see it).
"(I am glad that I waited|Good things take time)," said {hero}.

{hero} was afraid of the dark.
At night {he} (heard a sound|saw a shadow) {near}. "(Who is there|What is that)?" {he} (asked|whispered).
{He} took {his} lamp and (opened the door|looked out of the window) very slowly.
It was only a {size} {animal}! It was (looking for {animal_food}|lost and far from home).
?The {animal} was (more afraid than {hero}|afraid too).
"(Do not be afraid|You are safe here)," said {hero}, and gave it (some water|some {animal_food}).
After that {hero} was (not afraid any more|brave), and the dark was (just the dark|{his} friend).

{hero} and {friend} went for a walk {place}.
The sky was blue, but soon (the wind began to blow|grey clouds came).
Then it began to rain, and they had no (coat|umbrella).
They ran (to an old barn|under a big tree|into a cave) and (waited|sat down).
?"(Are you cold|Are you afraid)?" asked {hero}. "(A little|Not at all)," said {friend}.
They (told stories|sang songs) and shared {food}.
When the rain stopped, there was a (big|bright) rainbow over the (hill|trees|river).
"(That was a good day|What a lovely day)!" said {friend}.

A {animal} and a {other} wanted to know who was (faster|stronger|the best).
"(I am|Surely I am)," said the {animal}. "(No, I am|You are not)," said the {other}.
So they had a race (to the river|to the old tree|over the hill).
The {animal} was quick, but it stopped to (eat {animal_food}|sleep in the sun|look at the flowers).
The {other} (went on and on|did not stop), step by step.
?All the (birds|mice|animals) came to (see|watch) the end.
In the end the {other} was first, and the {animal} (laughed|was sorry).
"(You win|Well done)," it said. "(Slow and steady is good|Next time I will not stop)."

{hero} found an old (box|map) (under the bed|in the attic|on the beach).
In it there was (a picture of|a letter about) a {colour} (house|tree) {far}.
{He} called {friend}, and they (took some {food_many} and went|put on their coats and went) to look for it.
They walked (all day|for a long time), over the (bridge|hill) and through the (forest|field).
?On the way they met a {animal}, who (showed them the way|came with them).
At last they saw it! In front of it lay {a_colour} {toy}.
"(It is for us|We found it)!" said {friend}. {hero} was (too happy to speak|very proud).

{hero} is {job}. {He} {work_where} every day.
One {day_part} {his} best (helper|friend) was ill, and there was (too much to do|so much work).
"(Can I help|May I help you)?" asked {friend}. "I am small, but I (am strong|can learn)."
{hero} (smiled|laughed) and showed {friend_him} (what to do|how to do it).
?They worked (until the evening|all day long), and (nobody was bored|it was fun).
"(You are a great help|I could not have done it without you)," said {hero}.
Then {he} gave {friend_him} {food} and {a_colour} {toy}.

{hero} wanted to (fly like a bird|see the whole world|touch the moon).
{He} climbed (up a high hill|to the top of a tree) and (held out {his} arms|looked up).
"(You cannot do that|That is too far)," said a {animal}. "But you can (dream|make a kite)."
So {hero} went home and (made {a_colour} kite|closed {his} eyes).
?The wind (blew softly|was strong), and the clouds (went by|looked like sheep).
Soon {he} was (high above the town|up in the sky, as light as a feather).
"(Now I can see everything|I can do it)!" {he} (called|said), and it was (true|wonderful).
"""

DAY = """
In the morning {hero} (gets up|wakes up) (early|at seven) and (eats {food}|drinks a glass of milk).
?{He} washes {his} face and puts on {his} (shoes|coat|hat).
Then {he} goes (to school|to work|out) (on foot|by bike|by bus) with {friend}.
?On the way they see a {animal}, and (it runs away|they laugh|they stop to look).
At noon they eat {food2} and (talk|tell jokes|sit in the sun).
In the afternoon {hero} (reads a book|plays with a ball|helps {his} mother|paints a picture).
(When {weather}|If {weather}), {he} likes to (stay at home|{weather_do}).
In the evening {he} (cooks soup|sets the table|feeds the {animal}) and (listens to music|talks about the day).
At night the (stars shine|moon is bright) and {hero} (sleeps well|goes to bed|is tired, but happy).
"""

SENTENCES = """
{He} (waited|sat down|stood|walked about) {place}.
{He} saw a {animal} {near}.
{He} (bought|found|ate) {food}.
The weather was (good|bad|cold|warm|fine).
{friend} came too, with {a_colour} {toy}.
{hero} and {friend} (sat under a tree|walked by the river|played with the {toy}) and (talked|laughed|sang).
{hero} (liked|wanted|had) {food2}, but {friend} did not.
A {other} (ran|came|walked) by and (looked at {hero}|went away).
{He} took {his} {toy} and (went out|waited).
It was (late|early|dark|noon), and {he} was (hungry|tired|happy|cold).
{friend} gave {food2} to {hero}.
{He} (opened|closed) the (door|window|box).
"(I can see|Look at|I like|Do you see) the {animal}!" said {hero}.
"(Come with me|Wait for me|Let us go home|What a good day)," said {friend}.
Then {he} (went home|said goodbye|ran to {friend}).
{hero} (asked|told|helped|called) {friend}.
There was (some bread|a lamp|a book) on the table.
In the (evening|morning) {he} (slept|read a book|worked|made tea).
"""
OPENINGS = ["One day", "Once upon a time", "One morning", "Long ago", "One evening", "Once"]


def _slots(rng: random.Random) -> dict[str, str]:
    hero_is_girl = rng.random() < 0.5
    friend_is_girl = rng.random() < 0.5
    hero = rng.choice(GIRLS if hero_is_girl else BOYS)
    friend = rng.choice([name for name in (GIRLS if friend_is_girl else BOYS) if name != hero])
    animal, other = rng.sample([row for row in rows(ANIMALS) if row[0] not in NOT_IN_STORIES], 2)
    foods = rng.sample(MEALS, 2)
    weather = rng.choice(rows(WEATHER))
    job = rng.choice(rows(JOBS))
    food, food2 = ("some " + food[:-1] if food.endswith("~") else a(food) for food in foods)
    return {
        "hero": hero, "friend": friend, "He": "She" if hero_is_girl else "He", "he": "she" if hero_is_girl else "he",
        "his": "her" if hero_is_girl else "his", "friend_him": "her" if friend_is_girl else "him",
        "animal": animal[0], "home": animal[2], "animal_food": animal[3], "other": other[0],
        "size": animal[7] if animal[7] != "-" else rng.choice(["young", "little", "friendly"]),
        "food": food, "food2": food2, "food_many": rng.choice(["bread", "apples", "nuts", "cheese"]),
        "colour": (colour := rng.choice(COLOURS)), "a_colour": a(colour), "toy": rng.choice(TOYS),
        "place": rng.choice(rows(PLACES))[0], "near": rng.choice(["in the garden", "behind the door", "on the roof"]),
        "far": rng.choice(["by the sea", "on a hill", "far away"]), "weather": weather[0], "weather_do": weather[2],
        "weather_past": rng.choice(["it rained", "the wind blew", "it snowed", "there was thick fog"]),
        "day_part": rng.choice(["morning", "evening", "day", "afternoon"]),
        "job": a(job[0]), "work_where": "works " + job[3],
    }  # fmt: skip


def _choose(text: str, rng: random.Random) -> str:
    while match := re.search(r"\(([^()]*)\)", text):
        text = text[: match.start()] + rng.choice(match[1].split("|")) + text[match.end() :]
    return text


def _tell(lines: list[str], slots: dict[str, str], rng: random.Random) -> str:
    kept = [line.lstrip("?") for line in lines if not line.startswith("?") or rng.random() < 0.6]
    text = " ".join(_choose(line, rng).format(**slots) for line in kept)
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def story(rng: random.Random, animal: str | None = None) -> str:
    """Tell a story of six to eight sentences, with `animal` in it where that is given."""
    plots = PLOTS.strip().split("\n\n")
    if animal is not None:
        plots = [plot for plot in plots if "{animal}" in plot.split("\n?")[0] or "a {size} {animal}" in plot]
    slots = _slots(rng)
    if animal is not None:
        row = next(row for row in rows(ANIMALS) if row[0] == animal)
        size = row[7] if row[7] != "-" else "little"
        slots |= {"animal": animal, "home": row[2], "animal_food": row[3], "size": size}
        slots["other"] = rng.choice([r[0] for r in rows(ANIMALS) if r[0] not in (animal, *NOT_IN_STORIES)])
    return _tell(rng.choice(plots).split("\n"), slots, rng)


def ramble(rng: random.Random) -> str:
    """Tell three to seven simple sentences about one person, without a plot."""
    slots = _slots(rng)
    lines = rng.sample(SENTENCES.strip().split("\n"), rng.randint(3, 7))
    first = _choose("{hero} (was {place}|saw a {animal}|had {a_colour} {toy}|came home|had {food}).", rng)
    return open_with(rng, _tell([first, *lines], slots, rng))


def open_with(rng: random.Random, text: str) -> str:
    """Put an opening such as "One day" before some of the texts that can have one."""
    first = text.split(".")[0]
    if rng.random() < 0.5 or " is " in first or first.startswith(("It", "Once")):
        return text
    if first.startswith(("A ", "An ")):
        text = text[0].lower() + text[1:]
    return f"{rng.choice(OPENINGS)} {text}"


def day(rng: random.Random) -> str:
    """Tell somebody's day."""
    return _tell(DAY.strip().split("\n"), _slots(rng), rng)


def describe(rng: random.Random, name: str) -> str:
    """Describe an animal, a food, a thing or a job in three to five sentences, in varied order.

    Raises:
        StopIteration: the world knows nothing of that name.
    """
    for row in rows(ANIMALS):
        if row[0] == name:
            return _describe_animal(row, rng)
    for row in rows(FOODS):
        if row[0].rstrip("~") == name:
            one = name if row[0].endswith("~") else a(name)
            comes = f"It {'comes' if row[3].startswith('from') else 'grows'} {row[3]}."
            parts = [f"It tastes {row[2]}.", comes, f"{rng.choice(GIRLS + BOYS)} likes {one} very much."]
            return " ".join([f"{upper(one)} is {row[1]}.", *rng.sample(parts, rng.randint(2, 3))])
    for row in rows(THINGS):
        if row[0] == name:
            who, colour = rng.choice(GIRLS + BOYS), rng.choice(COLOURS)
            one = "soap" if name == "soap" else a(name)
            parts = [f"{who} has a {colour} one." if one != name else f"{who} needs it.", f"It is made of {row[2]}."]
            return " ".join([f"{upper(one)} is for {row[1]}.", *rng.sample(parts, rng.randint(1, 2))])
    job = next(row for row in rows(JOBS) if row[0] == name)
    who = rng.choice(GIRLS + BOYS)
    return f"{upper(a(name))} {job[1]}. {upper(a(name))} works {job[3]}. {who} wants to be {a(name)} one day."


def _describe_animal(row: list[str], rng: random.Random) -> str:
    name, colour, home, food, moves, says, legs, size = row
    first = f"{upper(a(name))} is a {size} animal." if size != "-" else f"{upper(a(name))} is an animal."
    parts = [f"It is {colour}.", f"It lives {home}.", f"It eats {food}.", f"It {moves}.", f"It has {legs} legs."]
    if says != "-":
        parts.append(f"It says {says}.")
    return " ".join([first, *rng.sample(parts, rng.randint(2, 4))])


def names() -> list[str]:
    """Everything that `describe` knows."""
    return [row[0].rstrip("~") for table in (ANIMALS, FOODS, THINGS, JOBS) for row in rows(table)]
