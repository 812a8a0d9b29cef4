"""Which module of the package imports which: for the rules in test_contracts.py, and to be counted.

    python tests/helpers/import_graph.py            arrows between rooms, and between folders, of this checkout
    python tests/helpers/import_graph.py FOLDER     of another one

Imports inside functions and under TYPE_CHECKING count. A module that stands beside the rooms is a room of its own.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "localft"


def modules(root: Path) -> dict[str, Path]:
    """Every module by its dotted name; a package by that of its folder."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """The modules of the package that a file imports, each with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative imports hide where they lead"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else str(node.module) for name in inside]
        else:
            continue
        yield from ((name, node.lineno) for name in dict.fromkeys(names) if name in known)


def arrows(root: Path) -> set[tuple[str, str]]:
    """(module, imported module), without what `localft/__init__.py` hands on."""
    known = modules(root)
    pairs = {(name, other) for name, path in known.items() for other, _ in imports(path, known)}
    return {(name, other) for name, other in pairs if name not in (other, PACKAGE)}


def room(module: str) -> str:
    """The part of the name behind the package: a room, or a module beside the rooms."""
    return module.split(".")[1] if "." in module else ""


def folder(module: str, root: Path) -> str:
    """The folder that a module lies in, as a dotted name; a module beside the rooms stands for itself."""
    above = module.rpartition(".")[0]
    return module if above == PACKAGE or (root / module.replace(".", "/")).is_dir() else above


def circles(pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Groups of two and more names that lead to each other (Tarjan, 1972)."""
    ahead: dict[str, list[str]] = {}
    for name, other in sorted(pairs):
        ahead.setdefault(name, []).append(other)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in ahead.get(name, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(ahead):
        if name not in index:
            visit(name)
    return found


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    pairs = arrows(root)
    rooms = Counter((room(a), room(b)) for a, b in pairs if room(a) != room(b))
    folders = Counter((folder(a, root), folder(b, root)) for a, b in pairs if folder(a, root) != folder(b, root))
    print(f"{len(modules(root))} modules, {len(pairs)} imports between them")
    print(f"between rooms: {rooms.total()} imports, {len(rooms)} arrows; circles: {circles(set(rooms)) or 'none'}")
    print(
        f"between folders: {folders.total()} imports, {len(folders)} arrows; circles: {circles(set(folders)) or 'none'}"
    )
    print(f"circles of modules: {circles(pairs) or 'none'}")


if __name__ == "__main__":
    main()
