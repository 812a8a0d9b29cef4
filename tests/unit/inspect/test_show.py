"""What `localft data show` draws: the same tokens that are trained on, and nothing from the data that could act."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import vocabs

from localft.data.reading.sources import Part, find_sources
from localft.data.rows.reader import read_file
from localft.data.tokens.run_wording import RunWording
from localft.errors import DatasetError
from localft.inspect.show.page import page
from localft.inspect.show.terminal import Ink, lines
from localft.inspect.show.token_spans import ShownRow, read_shown, show_row
from localft.model.tokenizer import Tokenizer
from localft.visible import Styled, visible

TALK = {
    "messages": [
        {"role": "user", "content": "Hi <b> 日本 \x1b[31m \u202e"},
        {"role": "assistant", "content": "No <|im_end|> end.\nTwo"},
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "é\U0001f600"},
    ]
}


def plain(row: ShownRow, boundaries: bool = False) -> str:
    return "".join(map(str, lines(row, Ink(coloured=False, boundaries=boundaries))))


def part(path: Path) -> Part:
    return find_sources([path]).parts[0]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("chatty"), template=vocabs.CHATML, add_bos=True)


@pytest.fixture
def wording(tokenizer: Tokenizer) -> RunWording:
    return RunWording(tokenizer, None, False, "2026-01-01", False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    values = [TALK, {"text": "the thing"}, "bad", *({"prompt": f"q{i}", "completion": f"a{i}"} for i in range(20))]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def test_pieces_are_the_tokens_that_are_trained_on(path: Path, wording: RunWording) -> None:
    row = read_file(path, on_problem=lambda line, error: None).rows[0]
    (shown,) = show_row(row, 1, wording)
    (part,) = wording.unit(row).parts
    assert [token for span in shown.spans for token in span.ids] == part.tokens.tolist()
    assert [span.supervised for span in shown.spans for _ in span.ids] == part.loss_mask.astype(bool).tolist()
    assert (shown.n_tokens, shown.n_supervised) == (part.tokens.size, part.n_supervised)
    assert "".join(span.text for span in shown.spans if span.supervised and not span.special) == (
        "No <|im_end|> end.\nTwoé\U0001f600"
    )
    assert [(p.text, p.end) for p in shown.spans if p.special and p.supervised] == [("<|im_end|>", True)] * 2
    assert shown.spans[0].text == "<s>"
    assert {"é", "\U0001f600"} <= {span.text for span in shown.spans}, "bytes of one character come together"


def test_plain_lines_mark_what_is_learned(path: Path, wording: RunWording) -> None:
    shown = read_shown(part(path), wording, (1, 2), 3, None)
    first, second = (plain(row) for row in shown.rows)
    assert first == (
        f"{path}:1 · row 1 · the model's chat template · {shown.rows[0].n_tokens} tokens, "
        f"{shown.rows[0].n_supervised} supervised\n"
        "<s><|im_start|>user⏎\nHi <b> 日本 ␛[31m \\u202e<|im_end|>⏎\n<|im_start|>assistant⏎\n"
        "«No <|im_end|> end.⏎\nTwo<|im_end|>■»⏎\n<|im_start|>user⏎\n?<|im_end|>⏎\n<|im_start|>assistant⏎\n"
        "«é\U0001f600<|im_end|>■»"
    )
    assert second.splitlines()[1] == "<s>«the thing</s>■»"
    between = plain(shown.rows[1], boundaries=True).splitlines()[1]
    assert between.replace("│", "") == "<s>«the thing</s>■»"
    assert between.count("│") == shown.rows[1].n_tokens - 1


def test_colours_only_where_there_are_some(path: Path, wording: RunWording) -> None:
    (row,) = read_shown(part(path), wording, (2,), 3, None).rows
    coloured = list(lines(row, Ink(coloured=True)))
    assert "".join(map(str, coloured)).splitlines()[1] == "<s>the thing</s>■"
    assert Styled("the", fg="green") in coloured


def test_which_rows(path: Path, wording: RunWording) -> None:
    def chosen(numbers: tuple[int, ...], n: int, seed: int | None) -> list[int]:
        return [row.number for row in read_shown(part(path), wording, numbers, n, seed).rows]

    assert chosen((), 3, None) == [1, 2, 3]
    assert chosen((7, 2), 3, 5) == [7, 2]
    assert chosen((), 99, None) == list(range(1, 23))
    assert chosen((), 5, 1) == chosen((), 5, 1) != chosen((), 5, 2)
    shown = read_shown(part(path), wording, (3,), 1, None)
    assert (shown.n_rows, shown.n_problems, shown.rows[0].line) == (22, 1, 4)
    for wrong in (0, 23, -1):
        with pytest.raises(DatasetError, match=rf"there is no row {wrong} in"):
            chosen((wrong,), 1, None)


def test_a_row_that_is_refused_says_so_in_its_place(path: Path, tmp_path: Path) -> None:
    refusing = RunWording(vocabs.bpe(tmp_path, template=vocabs.SHOUTING), None, False, None, False)
    first, second = read_shown(part(path), refusing, (1, 2), 2, None).rows
    assert "refused: line 1" in plain(first)
    assert second.spans
    assert 'class="refused"' in page("x", (), [first])


def test_a_conversation_that_becomes_several_rows(path: Path, tmp_path: Path) -> None:
    thinking = RunWording(vocabs.bpe(tmp_path, template=vocabs.THINKING), None, False, None, False)
    rows = read_shown(part(path), thinking, (1,), 1, None).rows
    assert [row.part for row in rows] == ["part 1 of 2", "part 2 of 2"]


class Reader(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_escapes_everything(path: Path, wording: RunWording) -> None:
    text = page('<i>"x"', ("a & b",), read_shown(part(path), wording, (), 99, None).rows)
    reader = Reader()
    reader.feed(text)
    assert not {"script", "link", "img", "iframe", "b", "i"} & set(reader.tags)
    assert not {"href", "src", "style", "onclick"} & {name for name, _ in reader.attributes}
    assert "url(" not in text
    assert "@import" not in text
    assert '<i>"x"' in reader.text
    assert "Hi <b> 日本 ␛[31m \\u202e" in reader.text
    assert text.count('class="t x l e"') == 2 + 1 + 20
    assert "prefers-color-scheme: dark" in text


def test_visible() -> None:
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible("\x00\x1b\x7f\r") == "␀␛␡␍"
    assert visible("\x9b\u202e\ufeff\u200b\ud800") == "\\u009b\\u202e\\ufeff\\u200b\\ud800"
    assert visible("é日\U0001f468\U0001f3fd") == "é日\U0001f468\U0001f3fd"
