"""People to roles, and long items to rows: exact texts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.data.github.parts import split
from localft.data.github.people import prose, roles
from localft.data.github.records import Change, Item, Person, Remark, RemarkKind, _person
from localft.data.github.repository import Repository
from localft.data.github.wording import Section, Treated, Wording

KIM, LEE, MAX, ROB = Person("Kim"), Person("lee"), Person("max"), Person("rob")


def remark(kind: RemarkKind, by: Person, body: str = "x") -> Remark:
    return Remark(kind, by, "2024-03-02T10:00:00Z", body)


def item(*remarks: Remark, body: str = "", changes: tuple[Change, ...] = ()) -> Item:
    created = "2024-03-01T10:00:00Z"
    return Item("pull_request", 1, "Title", "open", created, "", "u", (), KIM, body, remarks, changes)


def texts(found: Item, max_chars: int = 0) -> list[str]:
    return split(Wording(Repository("o", "n")).sections(found, Treated()), max_chars).texts


def test_roles_are_numbered_as_people_first_speak() -> None:
    found = item(
        remark("comment", MAX),
        remark("comment", LEE),
        remark("comment", KIM),
        remark("comment", ROB),
        remark("review", LEE),
        remark("review_comment", Person("ann")),
        remark("review", KIM),
    )
    assert roles(found, logins=False) == {
        "kim": "author",
        "max": "commenter 1",
        "lee": "reviewer 1",
        "rob": "commenter 2",
        "ann": "reviewer 2",
        "": "a deleted account",
    }
    assert roles(found, logins=True)["kim"] == "@Kim"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@kim, @LEE's and (@lee).", "author, reviewer 1's and (reviewer 1)."),
        ("@kimberly @kim-x @kim/team x@kim @@kim", "@kimberly @kim-x @kim/team x@kim @@kim"),
        ("`@kim` and ```\n@kim <!-- a -->\n``` @kim", "`@kim` and ```\n@kim <!-- a -->\n``` author"),
        ("a <!-- `x` @kim\n --> b\n\n\n\nc", "a  b\n\nc"),
        ("```\n@kim", "```\n@kim"),
        ("before <!-- never closed @kim", "before"),
        ("~~~\n@kim\n~~~\n@kim", "~~~\n@kim\n~~~\nauthor"),
    ],
)
def test_mentions_and_hidden_comments(text: str, expected: str) -> None:
    assert prose(text, {"kim": "author", "lee": "reviewer 1"}, logins=False) == expected


@pytest.mark.parametrize("text", ["<!--" * 20000, "```" * 20001, "`" * 50001, "@" * 50000, "@a-" * 20000, "`a" * 30001])
def test_hostile_bodies_take_no_time(text: str) -> None:
    prose(text, {"a": "b"}, logins=False)


@pytest.mark.parametrize(
    ("account", "bot"),
    [
        ({"login": "dependabot[bot]", "type": "Bot"}, True),
        ({"login": "Copilot", "type": "Bot"}, True),
        ({"login": "app/renovate", "is_bot": True}, True),
        ({"login": "github-actions"}, True),
        ({"login": "k8s-ci-robot", "type": "User"}, True),
        ({"login": "acme_Bot", "type": "User"}, True),
        ({"login": "abbot", "type": "User"}, False),
        ({"login": "bottle", "is_bot": False}, False),
    ],
)
def test_bots(account: dict[str, object], bot: bool) -> None:
    assert _person(account, "x").bot is bot


HEAD = "Pull request #1 in o/n: Title"


def test_sections_are_kept_whole_where_they_fit() -> None:
    found = item(remark("comment", LEE, "a" * 600), remark("comment", MAX, "b" * 600), body="c" * 200)
    about, on = "State: open, opened on 2024-03-01", "on 2024-03-02:"
    assert texts(found, 1000) == [
        f"{HEAD}\n{about}\n\n{'c' * 200}\n\nComment by commenter 1 {on}\n{'a' * 600}",
        f"{HEAD} (part 2)\n\nComment by commenter 2 {on}\n{'b' * 600}",
    ]


def test_a_long_comment_goes_on_from_a_paragraph_or_a_line() -> None:
    paragraphs = "\n\n".join(letter * 400 for letter in "abc")
    lines = "\n".join("d" * 100 for _ in range(12))
    found = texts(item(remark("comment", LEE, f"{paragraphs}\n\n{lines}"), body="e"), 1000)
    name = "Comment by commenter 1 on 2024-03-02"
    d = "d" * 100
    assert found == [
        f"{HEAD}\nState: open, opened on 2024-03-01\n\ne\n\n{name}:\n{'a' * 400}\n\n{'b' * 400}",
        f"{HEAD} (part 2)\n\n{name}, continued:\n{'c' * 400}\n\n" + "\n".join([d] * 4),
        f"{HEAD} (part 3)\n\n{name}, continued:\n" + "\n".join([d] * 8),
    ]


def test_a_long_description_goes_on_under_its_name() -> None:
    found = texts(item(body=f"{'a' * 800}\n\n{'b' * 800}"), 1000)
    assert found[1] == f"{HEAD} (part 2)\n\nDescription, continued:\n{'b' * 800}"


def test_a_long_patch_is_cut_with_a_line_that_says_so() -> None:
    patch = "\n".join(["@@ -1 +1 @@", *(f"+{n:099}" for n in range(20))])
    change = Change("a.py", "added", "", 20, 0, patch)
    after = Change("b.py", "modified", "", 1, 0, "@@ -1 +1 @@\n+x")
    parts = split(Wording(Repository("o", "n")).sections(item(changes=(change, after)), Treated()), 1000)
    assert parts.n_cut_lines == 12
    assert parts.texts[0].endswith(f"+{7:099}\n(the patch is cut here: 12 more lines)")
    assert parts.texts[1] == f"{HEAD} (part 2)\n\nFile: b.py (modified, +1 -0)\n@@ -1 +1 @@\n+x"
    assert all(len(text) <= 1000 for text in parts.texts)
    assert split(Wording(Repository("o", "n")).sections(item(changes=(change,)), Treated()), 0).n_cut_lines == 0


def test_a_line_that_is_longer_than_a_row_is_not_torn() -> None:
    line = "x" * 5000
    found = texts(item(remark("comment", LEE, f"before\n{line}\nafter")), 1000)
    assert [line in text for text in found] == [False, True, False]
    assert found[2].endswith("continued:\nafter")


def test_a_path_or_a_label_cannot_start_a_line() -> None:
    found = item(changes=(Change("a\nb", "renamed", "c\nd", 0, 0, ""),))
    assert texts(found)[0].endswith("\n\nFile: a b (renamed from c d, +0 -0)")


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(st.text(alphabet="ab\n", max_size=900), min_size=1, max_size=6),
    patches=st.lists(st.text(alphabet="+- \n", max_size=900), max_size=3),
    max_chars=st.integers(1000, 2000),
)
def test_no_line_is_lost_or_torn(bodies: list[str], patches: list[str], max_chars: int) -> None:
    sections = [Section("T", bodies[0], "D")]
    sections += [Section(f"C{n}:", body, f"C{n}") for n, body in enumerate(bodies[1:])]
    sections += [Section(f"F{n}", patch, f"F{n}", patch=True) for n, patch in enumerate(patches)]
    parts = split(sections, max_chars)
    there = Counter(line for text in parts.texts for line in text.split("\n") if line)
    wanted = Counter(line for section in sections for line in section.body.split("\n") if line)
    assert sum((wanted - there).values()) <= parts.n_cut_lines
    longest = max((len(line) for line in wanted), default=0)
    assert all(len(text) <= max(max_chars, longest + 200) for text in parts.texts)
