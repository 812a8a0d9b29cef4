"""Texts that make a careless pattern or loop slow: beginnings without an end, and one thing over and over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

# One unit each, repeated; a "№" stands for a number that is another one each time.
_UNITS = (
    *("- - -\n", "a ", "\n", "# a\n", "a\n=\n", "a\n---\n", "> ", "| a ", ":a:", ":a:`b ", "```\n", "`", "'", "**a"),
    *("[", "[a](", "![", "[](", "<a ", "<a href='", "<!-- a", "<b><i>", "&#0", "template<T> class A;\n", "@a\n"),
    *("def a№():\n", "export const a№ = {\n", "static ", "{", '{"a":', '"a",', '""', "key=", "bearer ", "://", "%41"),
    *("-----BEGIN PRIVATE KEY-----\n", "sk-ant-", "diff --git a/a b/a\n@@ -1 +1 @@\n+a\n", "[left out: ", "File: a (a"),
    *("\x1b]", "\ue000localft-1-", "<|im_end|>", "\u0315\u0300", "in the ", "A: <a@a"),
)
# A beginning, what is repeated, and an end that fits it or not.
_FRAMED = (
    *(
        ("title: a", " ", "b"),
        ("---\ntitle: a", "\t", "b\n---\n"),
        ("A: <", "a@", ""),
        ("File: a (", "a", ""),
        ("# ", "<", "\n"),
    ),
    *(
        ("# ", "[", "\n"),
        ("# ", " ", "{"),
        (":a", ":a", "\n======\n"),
        (":a:`", " ", "\n=====\n"),
        ("[left out: ", "] ", "x"),
    ),
    *(
        ("`", "/", ""),
        ('"', "a,", ""),
        ("[", "1,", ""),
        ("http://a/?", "%2541=", ""),
        ("", "<!--", ">"),
        ("<pre>", " ", "a</pre>"),
    ),
    *(("Q", "\n", ":"), ("", "<a href='", ">")),
)


def odd_texts() -> Iterator[tuple[str, Callable[[int], str]]]:
    """A name of each, and what gives the text of about so many characters."""
    for begin, unit, end in [*(("", unit, "") for unit in _UNITS), *_FRAMED]:
        yield f"{begin!r} {unit!r} {end!r}", _maker(begin, unit, end)


def _maker(begin: str, unit: str, end: str) -> Callable[[int], str]:
    def make(n: int) -> str:
        times = max(1, n // len(unit))
        if "№" not in unit:
            return begin + unit * times + end
        return begin + "".join(unit.replace("№", str(i)) for i in range(times)) + end

    return make
