"""Questions by template: what a person would ask, answered by the row and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localft.curation.synthetic.filter import EMPTY, NO_WORDS, OTHERWISE, TWICE, PairFilter, needs_text
from localft.curation.synthetic.has_content import has_content
from localft.curation.synthetic.source_documents import Passage, SourceDocument, read_documents
from localft.curation.synthetic.synth import Request, limited, synth
from localft.curation.synthetic.templates.fence import fenced, language_of
from localft.curation.synthetic.templates.phrasings import FILE, choose
from localft.curation.synthetic.templates.templates import questions
from localft.data.rows.reader import read_file
from localft.errors import ConfigError, DatasetError

NAME = "owner/name"


def file_row(path: str, content: str, lines: list[int], head: str = "", **more: Any) -> dict[str, Any]:
    source = {"kind": "file", "repository": NAME, "revision": "ab" * 20, "path": path, "date": "2024-05-01T10:00:00Z"}
    text = f"File: {path}{head}\n\n{content}\n"
    return {"text": text, "doc": f"{NAME}:{path}", "source": {**source, "lines": lines, **more}}


def page_row(path: str, content: str, heading: list[str], lines: list[int] | None, head: str = "") -> dict[str, Any]:
    section = f"Section: {' > '.join(map(str, heading))}\n" if heading else ""
    source = {"kind": "page", "site": NAME, "path": path, "heading": heading, "lines": lines}
    return {"text": f"Page: {path}{head}\n{section}\n{content}\n", "doc": f"{NAME}:{path}", "source": source}


def other_row(kind: str, doc: str, text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "doc": doc, "source": {"kind": kind, "repository": NAME, **more}}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def asked(tmp_path: Path, rows: list[dict[str, Any]], **more: Any) -> list[tuple[str, str]]:
    out = tmp_path / "out.jsonl"
    synth(Request((write(tmp_path / "rows.jsonl", rows),), **more), out)
    made = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in made]


def test_a_file_is_answered_whole(tmp_path: Path) -> None:
    rows = [file_row("src/app.py", "x = 1\ny = 2", [1, 2])]
    answer = "As of 2024-05-01, src/app.py looks like so:\n\n```python\nx = 1\ny = 2\n```"
    found = asked(tmp_path, rows, phrasings=99)
    assert {question for question, _ in found} == {each.format(path="src/app.py", name=NAME) for each in FILE}
    assert {said for _, said in found} == {answer}


def test_rows_keep_document_and_source(tmp_path: Path) -> None:
    row = file_row("a.py", "x", [1, 1])
    asked(tmp_path, [row])
    made = json.loads((tmp_path / "out.jsonl").read_text())
    assert (made["doc"], made["source"]) == (row["doc"], row["source"])
    assert made["synth"] == {"by": "template", "template": "file"}
    back = read_file(tmp_path / "out.jsonl")
    assert [(each.kind, each.doc, each.source_kind) for each in back.rows] == [("messages", row["doc"], "file")]
    assert not back.unknown_keys


def test_the_date_is_said_only_where_it_is_the_contents(tmp_path: Path) -> None:
    changed = file_row("a.py", "x", [1, 1], revision=None)
    undated = file_row("b.py", "y", [1, 1], date=None)
    answers = [answer for _, answer in asked(tmp_path, [changed, undated])]
    assert [answer.partition("\n")[0] for answer in answers] == ["a.py looks like so:", "b.py looks like so:"]


def test_parts_of_a_file_are_asked_for_by_name_or_by_lines(tmp_path: Path) -> None:
    rows = [
        file_row("a.py", "import os\n\nX = 1", [1, 3]),
        file_row("a.py", "def one():\n    return 1\n\n\n@cached\ndef two():\n    return 2", [5, 11], " (lines 5-11)"),
        file_row("a.py", "print(one())", [14, 14], " (line 14-14)"),
    ]
    found = asked(tmp_path, rows)
    questions = [question for question, _ in found]
    words = ("the imports and `X`", "`one` and `two`", "the call of `print`")
    assert [word for word, question in zip(words, questions, strict=True) if word not in question] == []
    assert found[1][1].startswith(
        "As of 2024-05-01, `one` and `two` in a.py (lines 5-11) look like so:\n\n```python\ndef"
    )
    assert len(set(questions)) == 3


def test_rows_that_are_not_all_of_a_file_are_asked_for_by_lines(tmp_path: Path) -> None:
    """Where a part is missing, a definition may go on in it; and of a line that was cut nobody knows where."""
    texts = ("def a():\n    pass", "def b():\n    pass")
    missing = [file_row("a.py", text, [3 * i, 3 * i + 1], part=[i, 3]) for i, text in enumerate(texts, 1)]
    cut = [file_row("b.py", text, [5, 5]) for text in texts]
    questions = [question for question, _ in asked(tmp_path, [*missing, *cut])]
    assert [
        word in question
        for word, question in zip(("lines 3-4", "lines 6-7", "part 1 of 2", "part 2 of 2"), questions, strict=True)
    ] == [True] * 4


def test_parts_of_one_line_are_counted(tmp_path: Path) -> None:
    rows = [file_row("a.txt", text, [5, 5], " (lines 5-5)") for text in ("one", "two")]
    questions = [question for question, _ in asked(tmp_path, rows)]
    assert ["part 1 of 2" in questions[0], "part 2 of 2" in questions[1]] == [True, True]


def test_a_page_is_walked_through(tmp_path: Path) -> None:
    found = asked(tmp_path, [page_row("docs/a.md", "# Title\n\nWords.", ["Title"], [1, 3])], phrasings=9)
    assert {answer for _, answer in found} == {"# Title\n\nWords."}
    assert "Walk me through “Title” (docs/a.md) of owner/name." in [question for question, _ in found]


@pytest.mark.parametrize(
    "content",
    [
        "# Guide",
        "Guide\n=====",
        "=====\nGuide\n=====\n\n.. _guide:",
        "API\n---\n\n.. currentmodule:: shop\n\n.. autoclass:: Shop\n   :members:\n   :undoc-members:",
        ".. toctree::\n   :maxdepth: 2\n\n   install\n\n   quick start <start>",
        "```{toctree}\n:maxdepth: 2\ninstall\n```",
        "<!-- made by\na tool -->\n[![Build](https://host/a.svg)](https://host)\n\n[home]: https://host",
    ],
)
def test_a_page_that_says_nothing_is_asked_about_by_nobody(tmp_path: Path, content: str) -> None:
    rows = [page_row("docs/a.rst", content, [], [1, 9]), file_row("a.py", "x = 1", [1, 1])]
    out = tmp_path / "out.jsonl"
    found = synth(Request((write(tmp_path / "rows.jsonl", rows),), phrasings=3), out)
    assert found.dropped == {NO_WORDS: 1}
    assert found.pairs == {("template", "file"): 3}


@pytest.mark.parametrize(
    "content",
    [
        "# Guide\n\nWords.",
        ".. note::\n\n   Mind the gap.",
        ".. code-block:: python\n\n   x = 1",
        ".. toctree::\n\n   install\n\nWords.",
        "```\n# ls\n```",
        "| a | b |\n|---|---|",
    ],
)
def test_notes_code_and_tables_are_words(content: str) -> None:
    assert has_content(content)


def test_the_only_part_that_is_left_is_not_the_whole(tmp_path: Path) -> None:
    """The first chunk of a file has no lines in its head: without the others it was shown as the file."""
    row = file_row("a.py", "x = 1", [1, 1], part=[1, 2])
    assert [answer.partition("\n")[0] for _, answer in asked(tmp_path, [row])] == [
        "As of 2024-05-01, line 1 of a.py looks like so:"
    ]


def test_sections_are_asked_for_by_what_they_are(tmp_path: Path) -> None:
    rows = [
        page_row("a.md", "Before.", [], [1, 1]),
        page_row("a.md", "# Top\n\nIntro.", ["Top"], [2, 4]),
        page_row("a.md", "## Use\n\nLong.", ["Top", "Use"], [6, 40]),
        page_row("a.md", "Longer.", ["Top", "Use"], [41, 80], " (lines 41-80)"),
        page_row("a.md", "## Notes\n\nN.", ["Top", "Notes"], [82, 84]),
        page_row("a.md", "# Other\n\nO.", ["Other"], [86, 86]),
        page_row("a.md", "## Notes\n\nM.", ["Other", "Notes"], [87, 90]),
    ]
    found = asked(tmp_path, rows)
    words = [
        ("first section",),
        ("“Top”", "subsection"),
        ("“Use”", "lines 6-40"),
        ("“Use”", "lines 41-80"),
        ("“Top > Notes”",),
        ("“Other”", "subsection"),
        ("“Other > Notes”",),
    ]
    for (question, _), wanted in zip(found, words, strict=True):
        assert [word for word in wanted if word not in question] == [], question
    assert [answer for _, answer in found] == ["Before.", "# Top\n\nIntro.", "## Use\n\nLong.", "Longer."] + [
        row["text"].split("\n\n", 1)[1].strip() for row in rows[4:]
    ]


def test_sections_without_lines_are_counted(tmp_path: Path) -> None:
    rows = [page_row("a.html", text, ["A"], None, head) for text, head in (("x", ""), ("y", " (part 2)"))]
    questions = [question for question, _ in asked(tmp_path, rows)]
    assert ["part 1 of 2" in questions[0], "part 2 of 2" in questions[1]] == [True, True]


PULL = (
    "Pull request #12 in owner/name: Faster reading\nState: merged on 2024-05-02, opened on 2024-05-01\n"
    "Labels: speed\n\nReading was slow.\n\n- read blocks\n\nComment by a reviewer on 2024-05-02:\nGood.\n\n"
    "File: src/read.py (modified, +2 -1)\n@@ -1 +1 @@\n-a\n+b"
)


def test_what_a_pull_request_changes_and_why(tmp_path: Path) -> None:
    row = other_row("pull_request", f"{NAME}#12", PULL, number=12, date="2024-05-01")
    ((question, answer),) = asked(tmp_path, [row])
    assert "pull request" in question
    assert "12" in question
    assert answer == (
        "Pull request #12, “Faster reading” (merged on 2024-05-02, opened on 2024-05-01):\n\nReading was slow.\n\n"
        "- read blocks\n\nFiles: src/read.py."
    )


def test_a_description_goes_on_in_the_next_part(tmp_path: Path) -> None:
    head = "Issue #3 in owner/name: It fails"
    texts = [
        f"{head}\nState: open, opened on 2024-05-01\n\nFirst.",
        f"{head} (part 2)\n\nDescription, continued:\nSecond.\n\nComment by the author:\nThird.",
    ]
    rows = [other_row("issue", f"{NAME}#3", text, number=3) for text in texts]
    ((_, answer),) = asked(tmp_path, rows)
    assert answer == "Issue #3, “It fails” (open, opened on 2024-05-01):\n\nFirst.\n\nSecond."
    with pytest.raises(DatasetError, match="nothing to write"):
        asked(tmp_path, rows[1:])


def test_without_a_description_nobody_asks_why(tmp_path: Path) -> None:
    text = "Pull request #5 in owner/name: Bump x\nState: open, opened on 2024-05-01\n\n(no description)"
    found = asked(tmp_path, [other_row("pull_request", f"{NAME}#5", text, number=5)], phrasings=9)
    assert not [question for question, _ in found if "why" in question.lower()]
    assert found[0][1] == "Pull request #5, “Bump x” (open, opened on 2024-05-01). It has no description."


def test_a_title_may_end_like_a_part(tmp_path: Path) -> None:
    text = "Pull request #6 in owner/name: Split (part 2)\nState: open\n\nSecond half."
    ((_, answer),) = asked(tmp_path, [other_row("pull_request", f"{NAME}#6", text, number=6)])
    assert answer == "Pull request #6, “Split (part 2)” (open):\n\nSecond half."


def commit(revision: str, message: str, note: str = "") -> dict[str, Any]:
    subject, _, body = message.partition("\n")
    text = f"Commit: {subject}\nDate: 2024-05-01\n{body}\ndiff --git a/x.py b/x.py\n@@ -1 +1 @@\n-a\n+b\n{note}"
    return other_row("commit", f"{NAME}@{revision[:12]}", text, revision=revision, date="2024-05-01T00:00:00Z")


def test_what_a_commit_changed(tmp_path: Path) -> None:
    one, two = "a" * 40, "b" * 40
    (why, because), (show, diff) = asked(tmp_path, [commit(one, "read: faster\n\nIt was slow.\n")])
    assert "the commit “read: faster”" in why
    assert "why" in why.lower()
    assert because == f"On 2024-05-01, commit {one[:12]}: read: faster\n\nIt was slow.\n\nChanged files: x.py."
    assert "diff" in show
    assert diff.endswith("```diff\ndiff --git a/x.py b/x.py\n@@ -1 +1 @@\n-a\n+b\n```")
    shared = asked(tmp_path, [commit(one, "wip"), commit(two, "wip", "\n[left out: y.py (1 of 2 hunks), z.py]\n")])
    assert [one[:12] in question for question, _ in shared] == [True, True, False, False]
    assert "Changed files: x.py, y.py, z.py." in shared[2][1]
    assert "art of the diff" in shared[3][1]
    assert "left out are y.py (1 of 2 hunks), z.py" in shared[3][1]
    assert "why" not in " ".join(question for question, _ in shared).lower()
    some = asked(tmp_path, [commit(one, "wip", "\n[left out: y.py and 3 more]\n")], phrasings=9)
    assert not [question for question, _ in some if "files" in question]
    assert [question for question, _ in asked(tmp_path, [commit(one, "wip")], phrasings=9) if "hich files" in question]


def test_a_commit_in_several_rows_is_asked_for_part_by_part(tmp_path: Path) -> None:
    about = {"revision": "a" * 40, "date": "2024-05-01T00:00:00Z"}
    x, y = (f"\ndiff --git a/{name}.py b/{name}.py\n@@ -1 +1 @@\n-a\n+{name}" for name in "xy")
    texts = (
        "Commit: big\nDate: 2024-05-01\n\nWhy.\n",
        f"Commit: big (part 2)\nDate: 2024-05-01\n{x}\n",
        f"Commit: big (part 3)\nDate: 2024-05-01\n{y}\n\n[left out: z.py (binary)]\n",
    )
    rows = [other_row("commit", f"{NAME}@aaa", text, part=[i, 3], **about) for i, text in enumerate(texts, 1)]
    (_, why), *shown = asked(tmp_path, rows)
    assert why.endswith("Why.\n\nChanged files: x.py, y.py, z.py.")
    for i, (question, said) in enumerate(shown, 1):
        assert f"part {i} of 2 of the diff of the commit “big”" in question
        assert said.startswith(f"Part {i} of 2 of the diff of the commit “big”:\n\n```diff\ndiff --git a/")
    assert shown[1][1].endswith("+y\n```")
    # without its first row nobody knows its message
    found = asked(tmp_path, [rows[1], file_row("a.py", "x", [1, 1])])
    assert ["commit" in question for question, _ in found] == [False]


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    pairs = PairFilter()
    said = [pairs.keep(*pair) for pair in (("A?", "b"), (" a ", "B."), ("A?", "c"), ("", "b"), ("same", "Same!"))]
    assert said == [True, False, False, False, False]
    assert pairs.dropped == {TWICE: 1, OTHERWISE: 1, EMPTY: 1, "an answer that is its question": 1}


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    rows = [file_row(f"{i}.py", "x", [1, 1]) for i in range(12)]
    first = asked(tmp_path, rows)
    assert first == asked(tmp_path, rows)
    assert first[6:] == asked(tmp_path, rows[6:])
    assert first != asked(tmp_path, rows, seed=0)
    assert len({question.replace(f"{i}.py", "") for i, (question, _) in enumerate(first)}) > 2
    assert choose(FILE, 1, "k", 2) == choose(FILE, 1, "k", 5)[:2]


def test_kinds_and_limit(tmp_path: Path) -> None:
    rows = [file_row(f"{i}.py", "x", [1, 1]) for i in range(9)] + [page_row("a.md", "Words.", [], [1, 1])]
    assert len(asked(tmp_path, rows, kinds=("page",))) == 1
    few, more = (asked(tmp_path, rows, limit=n) for n in (3, 5))
    assert (len(few), len(more)) == (3, 5)
    assert set(few) < set(more)
    documents = [SourceDocument(str(i), "file", [Passage("x", str(i), {})]) for i in range(9)]
    assert limited(documents, 9, 1) == documents


def test_rows_that_nothing_is_asked_about_are_counted(tmp_path: Path) -> None:
    rows = [
        file_row("a.py", "x", [1, 1]),
        {"prompt": "q", "completion": "a"},
        {"text": "no source"},
        {"text": "x", "source": [1]},
        file_row("b.py", "", [1, 1]),
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    result = synth(Request((path,)), tmp_path / "out.jsonl")
    assert (result.n_rows, result.n_documents) == (5, 1)
    assert result.left_out == {"rows that are conversations already": 1, "rows without a source": 2, "empty rows": 1}


@pytest.mark.parametrize("lines", [None, "1-2", [1], [1, "2"], [1, 2, 3], {"first": 1}, [None, None]])
def test_odd_sources_are_no_crash(tmp_path: Path, lines: Any) -> None:
    rows = [file_row("a.py", text, lines, " (part 2)") for text in ("x", "y")]
    rows += [page_row("p.md", text, lines, lines) for text in ("x", "y")]
    rows += [other_row(kind, "d", "x") for kind in ("pull_request", "issue", "commit")]
    assert len({question for question, _ in asked(tmp_path, rows)}) == 4


def test_a_folder_is_no_file_of_rows(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        read_documents([tmp_path])
    assert caught.value.message == f"`{tmp_path}` is a folder, expected JSON lines"
    assert f"`localft data build {tmp_path} -o rows.jsonl`" in (caught.value.hint or "")


def test_what_is_wrong_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"text": "x"}])
    out = tmp_path / "out.jsonl"
    with pytest.raises(DatasetError, match="no row to ask about") as caught:
        synth(Request((path,)), out)
    assert "1 rows without a source" in str(caught.value.hint)
    with pytest.raises(ConfigError, match="one of the files to read"):
        synth(Request((path,)), path)
    (tmp_path / "circle.jsonl").symlink_to("circle.jsonl")
    with pytest.raises((ConfigError, DatasetError, OSError)):
        synth(Request((tmp_path / "circle.jsonl",)), out)
    (tmp_path / "circle.jsonl").unlink()
    with pytest.raises(ConfigError, match="nobody to ask"):
        synth(Request((path,), phrasings=0), out)
    path.write_text('{"text": "x"}\n{"text": 1}\n')
    with pytest.raises(DatasetError, match="line 2 of"):
        read_documents([path])
    assert [each.name for each in tmp_path.iterdir()] == ["rows.jsonl"]


def test_fences_are_longer_than_those_inside() -> None:
    assert fenced("a\n````\nb", "markdown") == "`````markdown\na\n````\nb\n`````"
    names = ("a/x.py", "Makefile", "x.unknown", "CMakeLists.txt", "x.H")
    assert [language_of(name) for name in names] == ["python", "make", "", "cmake", "c"]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("According to the text, what is `x`?", True),
        ("What does this file do?", True),
        ("What is described above?", True),
        ("What does the provided snippet print?", True),
        ("What does src/app.py do?", False),
        ("Which rows does a split take from the text files?", False),
        ("How is a document held out?", False),
    ],
)
def test_questions_that_need_the_text(question: str, expected: bool) -> None:
    assert needs_text(question) is expected


def test_questions_are_about_documents_in_order() -> None:
    document = SourceDocument("d", "file", [Passage("File: a.py\n\nx", "d", {"kind": "file", "path": "a.py"})])
    assert [(asked.template, asked.fields) for asked in questions(document)] == [
        ("file", {"path": "a.py", "name": "d"})
    ]
