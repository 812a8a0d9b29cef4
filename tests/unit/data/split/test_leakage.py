"""Leakage: what of the validation rows the training rows give away, by which measure, and what is done about it."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from localft.data.rows.normal_form import letters, normal
from localft.data.rows.reader import read_file
from localft.data.rows.row import Message, Row
from localft.data.split.find_leaks import find_leaks
from localft.data.split.leak_search import ANSWER_SHINGLE, CONTAINED, NEAR, ContainedSearch, NearSearch
from localft.data.split.leakage import Leak, LeakKind, settle
from localft.data.split.shingles import shingles
from localft.errors import DatasetError
from localft.inspect.check.check import check
from localft.settings.resolve import resolve

WORDS = [
    "river",
    "mountain",
    "engine",
    "copper",
    "window",
    "garden",
    "letter",
    "market",
    "silver",
    "bridge",
    "candle",
    "forest",
    "harbour",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
    "orange",
    "pencil",
    "quarry",
    "ribbon",
    "saddle",
    "tunnel",
    "umbrella",
    "valley",
    "whistle",
    "yellow",
    "zebra",
    "anchor",
    "basket",
]


def asked(line: int, prompt: str, answer: str, source: str = "train.jsonl", system: str = "") -> Row:
    turns = (Message("system", system),) if system else ()
    return Row("messages", source, line, messages=(*turns, Message("user", prompt), Message("assistant", answer)))


def some_words(seed: int, n: int = 30) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=n))


def corpus(n: int) -> list[Row]:
    return [asked(i + 1, f"Say number {i}: {some_words(1000 + i, 6)}?", some_words(i)) for i in range(n)]


def found(leaks: tuple[Leak, ...]) -> list[tuple[str, int, int]]:
    return [(leak.kind, leak.val.line, leak.train.line) for leak in leaks]


def test_copies_edits_and_contained_answers_are_all_found() -> None:
    train = corpus(200)
    raw = Row("text", "notes.txt", 1, f"{some_words(7001, 80)}. {some_words(7002, 20)}! {some_words(7003, 80)}")
    copied = asked(1, train[10].messages[0].content.upper(), f"  {train[10].messages[1].content}\n", "val.jsonl")
    edited = train[20].messages[1].content.split()
    edited[5] = "entirely"
    edit = asked(2, train[20].messages[0].content, " ".join(edited), "val.jsonl")
    answer = asked(3, "And what do the notes say?", some_words(7002, 20).capitalize() + ".", "val.jsonl")
    new = asked(4, "Something new?", some_words(9000), "val.jsonl")
    leakage = find_leaks([*train, raw], [copied, edit, answer, new])
    assert found(leakage.leaks) == [("exact", 1, 11), ("near", 2, 21), ("contained", 3, 1)]
    assert leakage.counts == {"exact": 1, "near": 1, "contained": 1}
    assert [leak.similarity == 1 for leak in leakage.leaks] == [True, False, True]
    assert leakage.leaking == {10, 20, 200}
    assert leakage.notes("warn")[0].startswith(
        "3 of 4 validation rows leak into training rows (1 copied, 1 nearly the same, 1"
    )


def test_every_copy_is_counted_and_dropped() -> None:
    train = [*corpus(50), *corpus(50)[:3], *corpus(50)[:1]]
    leakage = find_leaks(train, [asked(1, *[m.content for m in train[0].messages], "val.jsonl")])
    assert found(leakage.leaks) == [("exact", 1, 1)]
    assert leakage.leaks[0].n_train == 3
    assert leakage.leaking == {0, 50, 53}
    assert list(settle(range(len(train)), leakage, "drop")) == [i for i in range(54) if i not in (0, 50, 53)]
    assert list(settle(range(len(train)), leakage, "warn")) == list(range(54))
    with pytest.raises(DatasetError, match=r"1 of 1 validation row leaks into the training rows, the first: line 1 of"):
        settle(train, leakage, "refuse")


@pytest.mark.parametrize("answer", ["yes", "4", "I do not know.", "The answer is forty-two."])
def test_short_answers_are_no_leak_where_prompts_differ(answer: str) -> None:
    train = [asked(i, f"{some_words(i, 12)}?", answer) for i in range(30)]
    leakage = find_leaks(train, [asked(1, f"{some_words(99, 12)}?", answer, "val.jsonl")])
    assert leakage.leaks == ()


def test_an_answer_that_many_rows_give_is_a_phrase_and_no_leak() -> None:
    phrase = "I am sorry, but I cannot help you with anything of that kind."
    train = [asked(i, f"{some_words(i, 12)}?", phrase) for i in range(100)]
    leakage = find_leaks(train, [asked(1, f"{some_words(999, 12)}?", phrase, "val.jsonl")])
    assert (leakage.leaks, leakage.n_stock) == ((), 1)


def test_the_same_prompt_with_another_answer_is_said_apart() -> None:
    train = [asked(1, "Who won?", "It was the team in green, by a goal."), asked(2, "Who won?", "Nobody.")]
    val = [asked(1, "who  won?", "Hard to tell: the record was lost.", "v"), asked(2, "Who won?", "Nobody.", "v")]
    leakage = find_leaks(train, val)
    assert found(leakage.same_prompt) == [("same prompt", 1, 1)]
    assert (leakage.n_same_prompt, leakage.same_prompt[0].n_train) == (2, 2)
    assert found(leakage.leaks) == [("exact", 2, 2)]


def test_what_every_row_says_makes_no_two_alike() -> None:
    """What all rows share (a system message, a long instruction) made each a near-duplicate of every other."""
    wording = "Read the following passage with care and then say in one word what it is about, nothing else: "
    train = [asked(i, wording + some_words(i, 8), some_words(5000 + i, 1), system=wording * 5) for i in range(100)]
    val = [asked(1, wording + some_words(777, 8), some_words(778, 1), "v", wording * 5)]
    assert find_leaks(train, val).leaks == ()
    assert found(find_leaks([*train, asked(101, *[m.content for m in val[0].messages[1:]])], val).leaks) == [
        ("exact", 1, 101)
    ]


def test_a_row_in_another_format_is_the_same_row() -> None:
    train = [Row("text", "t.txt", 1, f"Q?\n{some_words(1)}")]
    assert found(find_leaks(train, [asked(1, "Q?", some_words(1), "v")]).leaks) == [("exact", 1, 1)]


def test_two_parts_of_one_text_are_not_compared_with_each_other() -> None:
    row = Row("text", "book.txt", 1, some_words(1, 300))
    assert find_leaks([row], [row]).leaks == ()
    assert found(find_leaks([row], [Row("text", "book.txt", 1, row.text)]).leaks) == [("exact", 1, 1)]


@pytest.mark.parametrize("rows", [[], [Row("text", "t", 1, "")], [Row("text", "t", 1, "?!")], corpus(1)])
def test_nothing_to_compare_is_no_error(rows: list[Row]) -> None:
    assert find_leaks(rows, []).leaks == ()
    assert find_leaks([], rows).leaks == ()
    assert len(find_leaks(rows, [Row("text", "v", 1, "?")]).leaks) == 0


def mutated(text: str, rng: random.Random, most: int = 12) -> str:
    words = text.split()
    for _ in range(rng.randrange(most)):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words)


def test_near_duplicates_are_those_that_plain_counting_finds() -> None:
    rng = random.Random(3)
    texts = [some_words(i) for i in range(150)]
    wanted = [mutated(texts[i], rng) for i in range(100)]

    def cut(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    search = NearSearch(wanted, texts)
    counts = Counter(piece for text in texts for piece in cut(text))
    stock = {piece for piece, n in counts.items() if n > 20}
    sets = {text: cut(text) - stock for text in (*texts, *wanted)}
    alike = {
        (i, j): len(sets[one] & sets[two]) / len(sets[one] | sets[two])
        for i, one in enumerate(texts)
        for j, two in enumerate(wanted)
    }
    pairs = {(pair.found, pair.wanted): pair.similarity for pair in search.look(texts)}
    assert pairs == pytest.approx({pair: value for pair, value in alike.items() if value >= NEAR})
    assert 20 < len(pairs) < 95


def test_contained_answers_are_those_that_plain_counting_finds() -> None:
    rng = random.Random(4)
    texts = [some_words(i, 60) for i in range(60)]
    wanted = [mutated(" ".join(texts[i].split()[10:30]), rng, 3) for i in range(60)] + [
        "short answer",
        some_words(500, 20),
    ]

    def cut(text: str) -> set[str]:
        return {text[i : i + ANSWER_SHINGLE] for i in range(len(text) - ANSWER_SHINGLE + 1)}

    shares = {
        (i, j): len(cut(text) & cut(answer)) / len(cut(answer))
        for i, text in enumerate(texts)
        for j, answer in enumerate(wanted)
        if cut(answer)
    }
    pairs = {(pair.found, pair.wanted): pair.similarity for pair in ContainedSearch(wanted).look(texts)}
    assert pairs == pytest.approx({pair: share for pair, share in shares.items() if share >= CONTAINED})
    assert 5 < len(pairs) < 50


@pytest.mark.parametrize("n", [1, 5, 32])
def test_pieces_are_the_stretches_of_each_text(n: int) -> None:
    texts = ["", "a", "abcab" * 9, "日本語\U0001f600é", "\0\0\0\0\0\0", "abcab" * 9]
    made = shingles(texts, n)
    for i, text in enumerate(texts):
        stretches = [text[at : at + n] for at in range(max(1, len(text) - n + 1))]
        here = made.hashes[made.starts[i] : made.starts[i + 1]]
        assert len(here) == len(stretches)
        assert len(set(here.tolist())) == len(set(stretches)) == made.of(i).size
    assert made.of(2).tolist() == made.of(5).tolist()
    assert made.owners().tolist() == [i for i, text in enumerate(texts) for _ in range(max(1, len(text) - n + 1))]


def test_forms() -> None:
    assert normal("  Ｆｕｌｌ\u00a0Width ﬁne\tSTRASSE straße\n") == "full width fine strasse strasse"
    assert letters("don't  stop—“now”, 3.5 %!") == "don t stop now 3 5"
    assert letters("日本語 text") == "日 本 語 text"


@pytest.mark.shared
def test_the_leaks_of_real_splits(shared: Path) -> None:
    """Counted independently: 16 exact copies, 48 prompts in common; all 49 others were looked at and are true."""
    rows = {name: read_file(shared / "data" / f"{name}.jsonl").rows for name in ("wwdc25/train", "wwdc25/valid")}
    leakage = find_leaks(rows["wwdc25/train"], rows["wwdc25/valid"])
    assert leakage.counts == {"exact": 16, "near": 48, "contained": 1}
    assert (leakage.n_same_prompt, len(leakage.same_prompt)) == (48, 32)
    sql = [read_file(shared / "data" / "wikisql" / f"{name}.jsonl").rows for name in ("train", "valid")]
    assert find_leaks(*sql).leaks == ()


@pytest.mark.shared
@pytest.mark.parametrize("manner", ["copied", "edited", "asked for what a text holds"])
def test_validation_files_made_of_training_rows_are_found_out(shared: Path, tmp_path: Path, manner: str) -> None:
    """One in ten of wwdc25's rows: copied, with one word changed, or asked for where a text holds the answer."""
    lines = (shared / "data" / "wwdc25" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if len(row["completion"].split()) > 12][::10]
    train, val = rows, rows
    if manner == "edited":
        words = [row["completion"].split(" ") for row in rows]
        val = [
            row | {"completion": " ".join([*word[:5], "entirely", *word[6:]])}
            for row, word in zip(rows, words, strict=True)
        ]
    if manner.startswith("asked"):
        wiki = (shared / "data" / "wikitext2_test.txt").read_text(encoding="utf-8")
        train = [
            {"text": f"{wiki[i * 500 : i * 500 + 400]} {row['completion']} {wiki[i * 300 :][:200]}"}
            for i, row in enumerate(rows)
        ]
        val = [{"prompt": f"Question {i}?", "completion": row["completion"]} for i, row in enumerate(rows)]
    for name, made in (("train", train), ("valid", val)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    counts = check(resolve({"data": [str(tmp_path)]})).leakage.counts
    kinds: dict[str, LeakKind] = {"copied": "exact", "edited": "near"}
    kind = kinds.get(manner, "contained")
    assert len(rows) > 100
    # of short rows a changed word may be too much, and some are found by what they have in common with another row
    assert sum(counts.values()) >= (0.95 if kind == "near" else 1) * len(rows)
    assert counts[kind] >= 0.95 * len(rows)
