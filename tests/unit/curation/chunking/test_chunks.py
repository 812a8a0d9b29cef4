"""Where files are cut: never in a line, never beyond the limit, and at the places where a person would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import vocabs
from hypothesis import given, settings
from hypothesis import strategies as st
from repos import built

from localft.curation.chunking.boundaries import strengths
from localft.curation.chunking.chunks import Splitter
from localft.curation.chunking.layout import Chunk, lay_out
from localft.curation.document import Document, joined, to_lines
from localft.curation.text_length import Measure, by_default, estimate, measure
from localft.data.dataset import prepare
from localft.model.tokenizer import Tokenizer
from localft.settings.data_settings import DataSettings


def by_words(limit: int) -> Measure:
    """Every character counts one: easy to reckon with."""
    return Measure(len, 0, limit, "", True)


def chunks(text: str, limit: int, path: str = "a.py", form: str = "") -> tuple[list[Chunk], Splitter]:
    document = Document("d", {"kind": "file"}, path, f"File: {path}", "text" if form else "code", to_lines(text), form)
    splitter = Splitter(by_words(limit))
    return list(lay_out(document, document.lines, splitter)), splitter


def heads(found: list[Chunk]) -> list[str]:
    return [chunk.text.split("\n")[0] for chunk in found]


def bodies(found: list[Chunk]) -> list[str]:
    return [chunk.text.split("\n\n", 1)[1] for chunk in found]


LINES = st.lists(
    st.sampled_from(
        [
            "",
            "",
            "x = 1",
            "def f(a):",
            "    return a",
            "class C:",
            "    def g(self):",
            "        pass",
            "}",
            "# note",
            "@decorated",
            "  ",
            "\ttab",
            "word " * 9,
            "é" * 7,
            "y" * 30,
        ]
    ),
    max_size=60,
)


@given(LINES, st.integers(100, 300), st.booleans())
@settings(max_examples=300, deadline=None)
def test_chunks_hold_every_line_once_in_order_and_none_is_too_long(parts: list[str], limit: int, ends: bool) -> None:
    text = "\n".join(parts) + ("\n" if ends else "")
    found, splitter = chunks(text, limit)
    lines = [line.rstrip("\n") for line in text.split("\n")]
    assert splitter.n_split_lines == 0
    at = 0
    for chunk, body in zip(found, bodies(found), strict=True):
        first, last = chunk.extra["lines"]
        assert all(not line.strip() for line in lines[at : first - 1])
        assert body == "\n".join(lines[first - 1 : last]) + "\n"
        assert lines[first - 1].strip()
        assert lines[last - 1].strip()
        # the row's own last line end is no part of what was counted
        assert len(chunk.text) - 1 <= limit
        at = last
    assert all(not line.strip() for line in lines[at:])


@given(st.text(max_size=400), st.integers(40, 80))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_stays_within_the_limit_and_loses_nothing(text: str, limit: int) -> None:
    found, splitter = chunks(text, limit)
    assert all(len(chunk.text) - 1 <= limit for chunk in found)
    kept = "".join("".join(bodies(found)).split())
    assert kept == "".join(text.split())
    longest = max((len(line) for line in text.replace("\r", "\n").split("\n")), default=0)
    assert bool(splitter.n_split_lines) <= (longest > limit // 4)


SOURCE = """import os


def first(a):
    b = a

    return b


# what second does
@cached
def second(a):
    return a


class Third:
    def inner(self):
        return 1

    def other(self):
        return 2
"""


def test_cuts_are_before_definitions_with_what_belongs_to_them() -> None:
    found, _ = chunks(SOURCE, 120)
    assert bodies(found) == [
        "import os\n\n\ndef first(a):\n    b = a\n\n    return b\n",
        "# what second does\n@cached\ndef second(a):\n    return a\n",
        "class Third:\n    def inner(self):\n        return 1\n\n    def other(self):\n        return 2\n",
    ]
    assert heads(found) == ["File: a.py", "File: a.py (lines 10-13)", "File: a.py (lines 16-21)"]
    assert [chunk.extra["lines"] for chunk in found] == [[1, 7], [10, 13], [16, 21]]


def test_without_blank_lines_definitions_are_found_in_other_languages() -> None:
    go = "package x\nfunc A() int {\n\treturn 1\n}\n// B doubles\nfunc B(a int) int {\n\treturn 2 * a\n}\n"
    assert [i for i, good in enumerate(strengths(to_lines(go), "code", [])) if good > 1] == [0, 1, 4]
    rust = "use a;\n#[test]\npub(crate) async fn b() {\n    c();\n}\nimpl D for E {\n}\n"
    assert [i for i, good in enumerate(strengths(to_lines(rust), "code", [])) if good > 1] == [0, 1, 5]


def test_a_closing_bracket_stays_with_what_it_closes() -> None:
    text = "call(\n" + "".join(f"    argument_{i},\n" for i in range(5)) + "\n)\n\n" + "after = 1\n" * 9
    found, _ = chunks(text, 130)
    assert bodies(found)[0].endswith(")\n")


def test_what_opens_a_bracket_stays_with_what_it_opens() -> None:
    text = "A = [\n    1,\n    2,\n]\nB = 3\n# of c\nC = {\n    4,\n}\n"
    assert strengths(to_lines(text), "code", []) == [3, -1, 0, -1, 1, 1, 0, -1, -1]


def test_markdown_files_are_cut_at_headings_and_not_in_code() -> None:
    text = "# One\n\ntext\n\n## Two\n\n```sh\n# no heading\n\nls\n```\n\n## Three\n\nmore\n"
    found, _ = chunks(text, 65, "a.md", "markdown")
    assert bodies(found) == ["# One\n\ntext\n", "## Two\n\n```sh\n# no heading\n\nls\n```\n", "## Three\n\nmore\n"]


def test_a_line_longer_than_a_chunk_is_cut_at_white_space_and_counted() -> None:
    found, splitter = chunks("a = 1\n" + "word " * 60 + "\nb = 2\n", 100)
    assert splitter.n_split_lines == 1
    assert all(len(chunk.text) <= 101 for chunk in found)
    assert {tuple(chunk.extra["lines"]) for chunk in found} == {(1, 2), (2, 2), (2, 3)}
    assert "".join(bodies(found)).split() == ("a = 1 " + "word " * 60 + "b = 2").split()


def test_parts_are_even() -> None:
    found, _ = chunks("".join(f"line_{i:03} = {i:03}\n" for i in range(40)), 400)
    sizes = [len(body) for body in bodies(found)]
    assert len(sizes) == 2
    assert max(sizes) - min(sizes) <= 20


def test_an_estimate_needs_no_model() -> None:
    assert [estimate(text) for text in ("", "a", "abcde", "é" * 5)] == [0, 1, 2, 4]
    found = measure(None, None, lambda *_: None)
    assert (found.limit, found.exact, found.row("abcde")) == (2048, False, 3)


def test_the_default_leaves_room_for_a_question() -> None:
    """Rows took all of the context, and of the pairs that `data synth` made of them more than half were dropped."""
    limits = {n: by_default("m", n)[0] for n in (64, 512, 2048, 4096, 131072, 0)}
    assert limits == {64: 48, 512: 384, 2048: 1856, 4096: 3904, 131072: 8000, 0: 1856}
    assert by_default("m", 512)[1] == "the context of `m`, less 128 for a question of `data synth`"
    assert by_default("m", 131072)[1] == "8,192 of `m`, less 192 for a question of `data synth`"


@pytest.mark.parametrize("add_bos", [True, False])
def test_rows_fit_the_context_of_the_model_they_are_counted_for(
    tmp_path: Path, add_bos: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promise of --chunk-tokens: training at that context cuts no row into windows."""
    tokenizer: Tokenizer = vocabs.bpe(tmp_path, add_bos=add_bos)
    around = int(add_bos)
    exact = Measure(lambda text: len(tokenizer.encode(text)), around, 64, "", True)
    monkeypatch.setattr("localft.curation.repository.build.measure", lambda *_: exact)
    folder = tmp_path / "p"
    folder.mkdir()
    for i in range(6):
        (folder / f"m{i}.py").write_text(f"# {i}\n" + SOURCE * (i + 1))
    rows, result = built(tmp_path / "rows.jsonl", folder)
    data = prepare([tmp_path / "rows.jsonl"], tokenizer, DataSettings(ctx=64, no_val=True))
    assert data.summary.n_windows == 0
    assert max(row.length for row in data.train) == result.longest <= 64
    assert result.n_tokens == sum(row.length for row in data.train)
    assert len(rows) == len(data.train)


def test_rows_are_what_the_reader_of_rows_reads(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "a.py").write_text('x = "\\ud800 \u2028 \x0b \x85 é 🙂"\n')
    rows, _ = built(tmp_path / "rows.jsonl", folder)
    assert len((tmp_path / "rows.jsonl").read_bytes().splitlines()) == 1
    assert rows[0]["text"].endswith('é 🙂"\n')
    assert json.dumps(rows[0], ensure_ascii=False) + "\n" == (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert joined(to_lines("a\nb\n")) == "a\nb"


def test_rows_of_one_document_say_which_part_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "long.py").write_text("".join(f"def f{i}():\n    return {i}\n\n" for i in range(12)))
    (folder / "short.py").write_text("x = 1\n")
    rows, _ = built(tmp_path / "rows.jsonl", folder, chunk_tokens=64)
    parts = {row["doc"]: [other["source"].get("part") for other in rows if other["doc"] == row["doc"]] for row in rows}
    n = len(parts["p:long.py"])
    assert n > 2
    assert parts == {"p:long.py": [[i, n] for i in range(1, n + 1)], "p:short.py": [None]}


@pytest.mark.parametrize(
    "inner",
    [
        "        one(1)\n        two(2)\n\n        three(3)\n",
        "        if one:\n            two(2)\n            three(3)\n            four(4)\n",
        "        for a in b:\n            c(a)\n\n            d(a)\n            e(a)\n",
        "        x = {\n            'a': 1,\n            'b': 2,\n\n            'c': 3,\n        }\n",
    ],
)
def test_a_long_function_is_cut_at_its_shallowest_line_near_the_end(inner: str) -> None:
    """Deeper lines, even behind a blank line, were as good as the statements that hold them."""
    text = "def f():\n" + "".join(f"    with step_{i}:\n{inner}" for i in range(12))
    cut = bodies(chunks(text, 400)[0])[1:]
    assert len(cut) >= 2
    assert [body.split("\n")[0][:9] for body in cut] == ["    with "] * len(cut)


@pytest.mark.parametrize(
    "line", ["const b = [", "export type B = {", "let b = {", "export default {", "pub static B: A = {"]
)
def test_a_module_is_cut_before_what_it_names(line: str) -> None:
    inside = "  a: 1,\n\n" * 16
    text = f"const a = {{\n{inside}}}\n{line}\n{inside}}}\n"
    assert [body.split("\n")[0] for body in bodies(chunks(text, 250)[0])] == ["const a = {", line]
