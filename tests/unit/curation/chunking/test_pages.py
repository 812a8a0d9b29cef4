"""Pages: headings as their parsers find them, sections with the headings above them, HTML as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from repos import built, left_out

from localft.curation.chunking.chunks import Splitter
from localft.curation.chunking.html import to_markdown
from localft.curation.chunking.layout import lay_out
from localft.curation.chunking.outline import find_headings, front_matter
from localft.curation.document import Document, to_lines
from localft.curation.text_length import Measure

GUIDE = """# Guide

What this is.

## Install

Get it with one command, and wait a little.

### On Windows

Use the installer that is linked on the first page.

## Use

```sh
# not a heading
tool run
```

Then look at the output, line by line.
"""


def found(text: str, form: str = "markdown") -> list[tuple[int, int, str]]:
    return [(mark.at + 1, mark.level, mark.text) for mark in find_headings(to_lines(text), form)]


def sections(text: str, limit: int, form: str = "markdown") -> list[tuple[list[str], list[int], str]]:
    document = Document("d", {"kind": "page"}, "a.md", "Page: a.md", "page", to_lines(text), form)
    splitter = Splitter(Measure(len, 0, limit, "", True))
    return [(c.extra["heading"], c.extra["lines"], c.text) for c in lay_out(document, document.lines, splitter)]


def test_markdown_headings_are_those_that_a_parser_finds() -> None:
    text = (
        "Title\n=====\n\n## Two `code` and *more*\n\n~~~\n# in code\n~~~\n\n    # indented code\n\n"
        "> # quoted\n\n<!--\n# in a comment\n-->\n\nSub\n---\n\n"
        "### [Link](x.md) {#id}\n\n#no heading\n\n#### Closed ####\n"
    )
    assert found(text) == [
        (1, 1, "Title"),
        (4, 2, "Two code and *more*"),
        (18, 2, "Sub"),
        (21, 3, "Link"),
        (25, 4, "Closed"),
    ]


def test_levels_of_rst_headings_are_in_the_order_of_their_styles() -> None:
    text = (
        "=====\nTitle\n=====\n\nWords\n\nOne\n---\n\n:ref:`text <target>`\n~~~~~~~~~~~~~~~~~~~~~\n\nTwo\n---\n\n"
        "::\n\n    Not one\n    -------\n\nname  value\n====  =====\n\ntoo long for its line\n---\n"
    )
    assert found(text, "rst") == [(1, 1, "Title"), (7, 2, "One"), (10, 3, "text"), (13, 2, "Two")]


def test_a_page_that_fits_is_one_row() -> None:
    assert sections(GUIDE, 1000) == [(["Guide"], [1, 20], f"Page: a.md\nSection: Guide\n\n{GUIDE}")]


def test_a_long_page_is_a_row_for_each_section_with_the_headings_above() -> None:
    rows = sections(GUIDE, 130)
    assert [(path, lines) for path, lines, _ in rows] == [
        (["Guide"], [1, 3]),
        (["Guide", "Install"], [5, 7]),
        (["Guide", "Install", "On Windows"], [9, 11]),
        (["Guide", "Use"], [13, 20]),
    ]
    assert rows[2][2] == (
        "Page: a.md\nSection: Guide > Install > On Windows\n\n"
        "### On Windows\n\nUse the installer that is linked on the first page.\n"
    )


def test_a_section_that_does_not_fit_is_cut_and_says_from_where() -> None:
    text = "# One\n\n" + "".join(f"Paragraph {i} of some words.\n\n" for i in range(8))
    rows = sections(text, 150)
    assert len(rows) > 1
    assert {tuple(path) for path, _, _ in rows} == {("One",)}
    assert rows[0][2].startswith("Page: a.md\nSection: One\n\n# One\n\nParagraph 0")
    first, last = rows[1][1]
    assert rows[1][2].startswith(f"Page: a.md (lines {first}-{last})\nSection: One\n\nParagraph ")
    assert sum(text.count("Paragraph") for _, _, text in rows) == 8


def test_front_matter_is_no_text_but_may_give_the_title(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.md").write_text('---\ntitle: "The page"\ndraft: true\n---\n\nWords.\n')
    (folder / "b.md").write_bytes(b"---\r\ntitle: Other\r\n---\r\n# Its own\r\n\r\nMore.\r\n")
    rows, _ = built(tmp_path / "rows.jsonl", folder)
    assert [row["text"] for row in rows] == [
        "Page: a.md\nSection: The page\n\n# The page\n\nWords.\n",
        "Page: b.md\nSection: Its own\n\n# Its own\n\nMore.\n",
    ]
    assert rows[1]["source"] == {
        "kind": "page",
        "site": "site",
        "path": "b.md",
        "date": None,
        "heading": ["Its own"],
        "lines": [4, 6],
    }
    assert front_matter("---\nno end\n") == ("---\nno end\n", 0, "")


def test_html_is_read_without_what_frames_it() -> None:
    text, title = to_markdown(
        "<html><head><title>T</title><style>b{}</style></head><body><nav>menu</nav><header>top</header>"
        "<div class='body'><h1>Guide<a class='headerlink' href='#g'>¶</a></h1><p>One <a href='x'>link</a> and"
        " <b>more</b>, a_b * c.</p><div class='highlight-python'><pre>x = 1\ny = 2\n</pre></div>"
        "<ul><li>first</li><li>second</li></ul><table><tr><th>a</th></tr><tr><td>1</td></tr></table>"
        "<script>alert(1)</script><p hidden>no</p><img alt='a cat' src='c.png'></div>"
        "<footer>foot</footer></body></html>"
    )
    assert title == "T"
    assert text == (
        "# Guide\n\nOne link and **more**, a_b * c.\n\n```python\nx = 1\ny = 2\n```\n\n- first\n- second\n\n"
        "| a |\n| --- |\n| 1 |\n\na cat\n"
    )


def test_an_html_page_without_a_heading_takes_its_title(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.html").write_text("<title>Welcome &amp; more</title><body><header>x</header><p>Hello.</p></body>")
    (folder / "genindex.html").write_text("<p>index</p>")
    (folder / "deep.html").write_text("<div>" * 3_000 + "x")
    rows, result = built(tmp_path / "rows.jsonl", folder)
    assert [row["text"] for row in rows] == ["Page: a.html\nSection: Welcome & more\n\n# Welcome & more\n\nHello.\n"]
    assert rows[0]["source"]["lines"] is None
    assert left_out(result) == {
        "HTML that is nested too deeply or broken": ["deep.html"],
        "navigation page": ["genindex.html"],
    }


@pytest.mark.parametrize(
    "text", ["# \n", "#\n\n##\n", "===\n", "---\n---\n", "> " * 400 + "x\n", "* " * 400 + "\n", "\x0b# x\n"]
)
def test_odd_pages_are_rows_or_nothing(text: str) -> None:
    for form in ("markdown", "rst", ""):
        for path, _, row in sections(text, 200, form):
            assert isinstance(path, list)
            assert len(row) <= 201
