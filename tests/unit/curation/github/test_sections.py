"""People to roles, and long items to rows: exact texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.curation.github.accounts import is_bot
from localft.curation.github.parts import Parts, split
from localft.curation.github.people import prose, roles
from localft.curation.github.records import Change, Item, Person, Remark, RemarkKind
from localft.curation.github.repository import Repository
from localft.curation.github.sections import ItemWording, Section, Treated
from localft.curation.redaction import redact_text
from localft.curation.text_length import Measure, estimate

KIM, LEE, MAX, ROB = Person("Kim"), Person("lee"), Person("max"), Person("rob")


def remark(kind: RemarkKind, by: Person, body: str = "x") -> Remark:
    return Remark(kind, by, "2024-03-02T10:00:00Z", body)


def item(*remarks: Remark, body: str = "", changes: tuple[Change, ...] = ()) -> Item:
    created = "2024-03-01T10:00:00Z"
    return Item("pull_request", 1, "Title", "open", created, "", "u", (), KIM, body, remarks, changes)


def characters(limit: int) -> Measure:
    """A measure for which a token is a character."""
    return Measure(len, 0, limit, "", True)


def parts(found: Item, limit: int = 10**6) -> Parts:
    return split(ItemWording(Repository("o", "n")).sections(found, Treated()), characters(limit))


def texts(found: Item, limit: int = 10**6) -> list[str]:
    return parts(found, limit).texts


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
    assert is_bot(account) is bot


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


def test_a_long_patch_goes_on_with_the_header_of_its_lines() -> None:
    """It was cut: at 400 tokens two thirds of the patch lines of a repository's pull requests were lost."""
    lines = [f"+{n:099}" for n in range(20)]
    change = Change("a.py", "added", "", 20, 0, "\n".join(["@@ -0,0 +1,20 @@ def f():", *lines]))
    after = Change("b.py", "modified", "", 1, 0, "@@ -1 +1 @@\n+x")
    found = parts(item(changes=(change, after)), 1000)
    assert found.n_cut_lines == 0
    assert [line for text in found.texts for line in text.split("\n") if line.startswith("+0")] == lines
    headers = [line for text in found.texts for line in text.split("\n") if line.startswith("@@")]
    assert headers[:2] == ["@@ -0,0 +1,8 @@ def f():", "@@ -0,0 +9,8 @@ def f():"]
    assert found.texts[1].startswith(f"{HEAD} (part 2)\n\nFile: a.py (added, +20 -0), continued:\n@@ -0,0 +9,8 @@")
    assert found.texts[-1].endswith("File: b.py (modified, +1 -0)\n@@ -1 +1 @@\n+x")
    assert all(len(text) <= 1000 for text in found.texts)


def test_a_line_of_a_patch_that_no_row_holds_is_left_out_and_said() -> None:
    patch = "@@ -1,2 +1,3 @@\n a\n+" + "x" * 2000 + "\n b"
    found = parts(item(changes=(Change("a.py", "modified", "", 1, 0, patch),)), 1000)
    assert found.n_cut_lines == 1
    assert found.texts[-1].endswith("@@ -2 +3 @@\n b\n(left out: 1 line longer than a row)")
    assert "@@ -1 +1 @@\n a\n" in "".join(found.texts)


def test_a_line_that_is_longer_than_a_row_is_torn_at_a_space() -> None:
    words = " ".join(f"word{n:03}" for n in range(300))
    found = parts(item(remark("comment", LEE, f"before\n{words}\nafter")), 1000)
    assert found.n_torn == 1
    assert all(len(text) <= 1000 for text in found.texts)
    said = [text.split(":\n", 1)[1] for text in found.texts]
    assert said[0].startswith("before\nword000 ")
    assert "".join(said).replace("\n", " ") == f"before {words} after"
    assert parts(item(body="x" * 5000), 1000).n_torn == 1


def test_tokens_are_those_of_the_measure() -> None:
    """By the estimate of 2.5 bytes a token, and not one token more than there may be."""
    found = item(*(remark("comment", LEE, "ä" * 250) for _ in range(9)), body="b" * 400)
    measured = Measure(estimate, 1, 512, "", False)
    result = split(ItemWording(Repository("o", "n")).sections(found, Treated()), measured).texts
    assert [text.count("ä") for text in result] == [250, 500, 500, 500, 500]
    assert all(measured.row(text) <= 512 for text in result)


def test_a_path_or_a_label_cannot_start_a_line() -> None:
    found = item(changes=(Change("a\nb", "renamed", "c\nd", 0, 0, ""),))
    assert texts(found)[0].endswith("\n\nFile: a b (renamed from c d, +0 -0)")


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(st.text(alphabet="ab \n", max_size=900), min_size=1, max_size=6),
    patches=st.lists(st.text(alphabet="+- \n", max_size=900), max_size=3),
    limit=st.integers(200, 2000),
)
def test_nothing_is_lost_but_what_is_counted(bodies: list[str], patches: list[str], limit: int) -> None:
    sections = [Section("T", bodies[0], "D")]
    sections += [Section(f"C{n}:", body, f"C{n}") for n, body in enumerate(bodies[1:])]
    sections += [Section(f"F{n}", patch, f"F{n}", patch=True) for n, patch in enumerate(patches)]
    found = split(sections, characters(limit))
    assert all(len(text) <= limit for text in found.texts)
    there = Counter(line for text in found.texts for line in text.split("\n") if line)
    prose = Counter(line for body in bodies for line in body.split("\n") if line)
    wanted = prose + Counter(line for patch in patches for line in patch.split("\n") if line)
    if found.n_torn:
        assert sum(text.count("a") for text in found.texts) == sum(body.count("a") for body in bodies)
        assert sum((wanted - there).values()) <= found.n_cut_lines + found.n_torn
    else:
        assert sum((wanted - there).values()) <= found.n_cut_lines


GITLAB = "glpat-" + "aB3dE6gH9jK2mN5pQ8sT"
KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", "MIIEow" + "Ab1" * 19, "Cd2" * 21, "-----END RSA PRIVATE KEY-----"])
DIFF = "@@ -0,0 +1,2 @@\n+{}\n+x = 1"


@pytest.mark.parametrize(
    ("text", "diff", "expected"),
    [
        (f"Use {GITLAB} for it.", False, "Use [redacted: gitlab token] for it."),
        (DIFF.format(GITLAB), True, DIFF.format("[redacted: gitlab token]")),
        (f"> -{GITLAB}\n> +x", True, "> -[redacted: gitlab token]\n> +x"),
        (DIFF.format("DB_PASSWORD=k3Qz9vT2xLw8"), True, DIFF.format("DB_PASSWORD=[redacted: password]")),
        (DIFF.format(KEY.replace("\n", "\n+")), True, DIFF.format("[redacted: private key]")),
        ("Nothing here - or + there.", False, "Nothing here - or + there."),
    ],
)
def test_secrets_in_prose_and_in_diffs(text: str, diff: bool, expected: str) -> None:
    """A diff's marker before a token would hide it: "+" is a character of keys."""
    clean, found = redact_text(text, diff)
    assert clean == expected
    assert sum(found.values()) == expected.count("[redacted")


def test_secrets_are_taken_out_of_every_text_before_it_is_cut() -> None:
    hunk = Remark("review_comment", LEE, "", f"no: {GITLAB}", path="a.py", line=1, hunk=f"@@ -1 +1 @@\n+{GITLAB}")
    change = Change("a.py", "added", "", 1, 0, f"@@ -0,0 +1 @@\n+t = '{GITLAB}'")
    found = item(hunk, remark("comment", MAX, f"`{GITLAB}`"), body=GITLAB, changes=(change,))
    treated = Treated()
    whole = str(ItemWording(Repository("o", "n")).sections(replace(found, title=f"T {GITLAB}"), treated))
    assert GITLAB not in whole
    assert treated.secrets == {"gitlab token": 6}
    kept = Treated()
    assert str(ItemWording(Repository("o", "n"), keep_secrets=True).sections(found, kept)).count(GITLAB) == 5
    assert kept.secrets == {"gitlab token": 5}


def test_patches_that_teach_nothing_are_left_out() -> None:
    patch = "@@ -1 +1 @@\n-a\n+b"
    changes = tuple(Change(path, "modified", "", 1, 1, patch) for path in ("poetry.lock", "web/app.min.js", "a.py"))
    treated = Treated()
    sections = ItemWording(Repository("o", "n")).sections(item(changes=changes), treated)
    bodies = ["(the patch is left out: lock file)", "(the patch is left out: minified)", patch]
    assert [section.body for section in sections[1:]] == bodies
    assert treated.patches == {"lock file": 1, "minified": 1}
