"""Code fences."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_LANGUAGES = {
    **{"py": "python", "pyi": "python", "pyx": "cython", "rs": "rust", "js": "javascript", "mjs": "javascript"},
    **{"jsx": "jsx", "ts": "typescript", "tsx": "tsx", "md": "markdown", "rst": "rst", "rb": "ruby", "kt": "kotlin"},
    **{"cs": "csharp", "hs": "haskell", "h": "c", "hpp": "cpp", "cc": "cpp", "cxx": "cpp", "hh": "cpp", "sh": "sh"},
    **{"bash": "bash", "zsh": "zsh", "yml": "yaml", "tf": "hcl", "ps1": "powershell", "m": "objectivec", "pl": "perl"},
    **{
        "ex": "elixir",
        "exs": "elixir",
        "erl": "erlang",
        "jl": "julia",
        "txt": "text",
        "cfg": "ini",
        "mm": "objectivec",
    },
}
_OWN = (
    *("c", "cpp", "go", "java", "swift", "php", "lua", "r", "scala", "dart", "sql", "html", "css", "scss", "json"),
    *("toml", "yaml", "xml", "ini", "cu", "zig", "nim", "vue", "svelte", "cmake", "proto", "graphql", "diff", "tex"),
)
_NAMES = {"makefile": "make", "dockerfile": "dockerfile", "cmakelists.txt": "cmake"}
_MARKS = re.compile(r"`{3,}")


def fenced(text: str, language: str = "") -> str:
    """Text in a fence that is longer than any in it."""
    longest = max((len(mark) for mark in _MARKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def language_of(path: str) -> str:
    """What to write behind a fence, "" where the name does not say."""
    name = PurePosixPath(path).name.lower()
    suffix = PurePosixPath(name).suffix.lstrip(".")
    return _NAMES.get(name) or _LANGUAGES.get(suffix) or (suffix if suffix in _OWN else "")
