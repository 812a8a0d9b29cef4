"""Texts that llama.cpp's tokenizer cannot take: they would cost hours, gigabytes, or the process.

A BPE vocabulary names a pre-tokenizer, a set of regular expressions that cut text into words. A few are matched by hand
(`BY_HAND`), the others by std::regex, which recurses once for each character of a word. Measured with llama-cpp-python
0.3.36, all 91 names, runs of 24 kinds of characters (digits, letters of five scripts, marks, emoji, punctuation, white
space and mixtures):

- std::regex: 100,000 characters run through in a stack of 128 MiB with every name, so that a word of 800,000 has room
  in one of 1 GiB; one of 4,000,000 letters ends the process (deepseek-llm).
- superbpe, digits: 250 take 3 ms, 1,000 64 ms, 4,000 1 s, 8,000 6 s, 20,000 half a minute.
- jais-2, white space: 20,000 characters take 0.1 s, 100,000 2.7 s, 200,000 12 s.
- every other name and kind: time grows with the length, at most 15 µs a character.
- memory: about 60 bytes for each byte of a stretch that is tokenized at once, 100 with sentencepiece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from localft.errors import TextError

# split by hand and not by std::regex
BY_HAND = ("gpt-2", "llama-bpe", "smollm", "qwen2")
MOST_CHARACTERS = 500_000  # of a word for std::regex
MOST_AT_ONCE = 1 << 22  # characters that are tokenized together
# where a text may be cut: tried with every name, and a vocabulary that would merge over the cut if it could
_NEVER_CUT = ("superbpe",)
_CUT_AT_LINES_ONLY = ("exaone-moe", "gemma4")
_LINE = r"(?<=\S\n)(?=[^\W\d_])"
_WORD = r"(?<=[a-z])(?= [a-z])"
_STRETCH, _PIECE_STRETCH = 1 << 18, 1 << 16
_SPACE_WITHIN = re.compile("[^▁]▁")
_EDGE = re.compile(r"(?<=\s)(?=\S)|(?<=\S)(?=\s)")


class Run(NamedTuple):
    """A run of characters that a pre-tokenizer is too slow for, and how many it may have."""

    characters: re.Pattern[str]
    words: str
    most: int


_SLOW = {
    "superbpe": Run(re.compile("[0-9]+"), "digits", 300),
    "jais-2": Run(re.compile(r"\s+"), "white space", 20_000),
}


class WordLimits:
    """What one BPE vocabulary's pre-tokenizer can take.

    Attributes:
        recurses: it is split by std::regex, whose depth grows with a word.

    Args:
        pre: `tokenizer.ggml.pre`.
    """

    def __init__(self, pre: str | None) -> None:
        self.recurses = pre not in BY_HAND
        self._pre = pre or "default"
        self._slow = _SLOW.get(self._pre)
        ways = () if pre in _NEVER_CUT else (_LINE,) if pre in _CUT_AT_LINES_ONLY else (_LINE, _WORD)
        self._cut = re.compile("|".join(ways) or "(?!)")

    def stretches(self, text: str) -> Iterator[str]:
        """A text in stretches whose tokens are together those of the whole.

        Raises:
            TextError: it has a word, or a run of characters, that is too long.
        """
        self._require_quick(text)
        yield from _cut(text, self._cut, _STRETCH)

    def _require_quick(self, text: str) -> None:
        run = self._slow
        if run and len(text) > run.most:
            longest = max((match.end() - match.start() for match in run.characters.finditer(text)), default=0)
            if longest > run.most:
                raise TextError(
                    f"{longest:,} characters of {run.words} in a row: the model's pre-tokenizer, `{self._pre}`, takes "
                    f"far too long for more than {run.most:,}",
                    "break them up with other characters, or leave the row out",
                )
        if self.recurses and (at := long_run(text, MOST_CHARACTERS)) is not None:
            what = "white space" if text[at].isspace() else "a word"
            raise TextError(
                f"{what} of more than {MOST_CHARACTERS:,} characters, which the model's pre-tokenizer, `{self._pre}`, "
                "cannot split",
                "break it up with spaces or line breaks, or leave the row out",
            )


class PieceLimits:
    """What a sentencepiece vocabulary can take: merges never cross what is within no piece.

    Attributes:
        recurses: never.

    Args:
        pieces: of the vocabulary.
    """

    recurses = False

    def __init__(self, pieces: Iterable[str]) -> None:
        at_lines = at_spaces = True
        for piece in pieces:
            at_lines &= len(piece) == 1 or "\n" not in piece
            at_spaces &= _SPACE_WITHIN.search(piece) is None
        ways = ([r"(?<=\n)"] if at_lines else []) + ([r"(?<=[^ ▁])(?= )"] if at_spaces else [])
        self._cut = re.compile("|".join(ways) or "(?!)")

    def stretches(self, text: str) -> Iterator[str]:
        """A text in stretches whose tokens are together those of the whole.

        Raises:
            TextError: it has one that is too long.
        """
        return _cut(text, self._cut, _PIECE_STRETCH)


def _cut(text: str, cut: re.Pattern[str], length: int) -> Iterator[str]:
    start = 0
    while len(text) - start > length and (match := cut.search(text, start + length)):
        yield _with_room(text[start : match.start()])
        start = match.start()
    if start < len(text):
        yield _with_room(text[start:] if start else text)


def _with_room(stretch: str) -> str:
    """A stretch that is tokenized at once, unless it would take too much memory."""
    if len(stretch) > MOST_AT_ONCE:
        most = f"at most {MOST_AT_ONCE:,} are tokenized at once"
        message = f"a stretch of {len(stretch):,} characters that cannot be cut, {most}"
        raise TextError(message, "break it up with line breaks between words, or leave the row out")
    return stretch


def long_run(text: str, most: int) -> int | None:
    """Where more than `most` characters begin that are all white space, or none of them is; None: nowhere.

    Args:
        text: of which ordinary stretches are skipped, for it may be hundreds of megabytes long.
    """
    start = 0
    while len(text) - start > most:
        window = text[start : start + most + 1]
        edge = max(window.rfind(" "), window.rfind("\n"))
        if edge > 0 and not window[edge - 1].isspace():
            start += edge
            continue
        ends = [match.start() for match in _EDGE.finditer(window)]
        if not ends:
            return start
        start += ends[-1]
    return None
