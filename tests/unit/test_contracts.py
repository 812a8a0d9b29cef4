"""The design's borders: who may import what, what `--help` loads, and that generated pages are fresh."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "localft"
NETWORK = {"socket", "ssl", "http", "urllib", "requests", "httpx", "httpx2", "aiohttp", "huggingface_hub"}
TORCH = {"torch", "transformers", "peft", "accelerate"}

# Which files may import a name that is otherwise off limits.
ALLOWED = {
    **dict.fromkeys(NETWORK, ("huggingface.py", "data/web.py", "data/github/client.py", "data/synth/openai.py")),
    "datasets": ("data/hub.py",),
    "pyarrow": ("data/tables.py",),
    **dict.fromkeys(TORCH, ("engine/peft.py", "engine/torch_lora.py", "conversion/checkpoint.py")),
    "rich": ("ui.py",),
    "_native": ("engine/native.py",),
}


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every imported top-level name; "from localft import x" gives x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "localft":
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0], node


def test_only_the_edges_import_what_is_theirs() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        for name, node in imported(ast.parse(path.read_text())):
            if name in ALLOWED and where not in ALLOWED[name]:
                wrong.append(f"{where}:{node.lineno} imports {name}")
    assert wrong == []


def test_only_the_bindings_include_python() -> None:
    for path in sorted((ROOT / "native").rglob("*")):
        if path.is_file() and path.name != "bindings.cpp":
            text = path.read_text()
            assert "nanobind" not in text, path
            assert "Python.h" not in text, path


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys, runpy\n"
        "from localft.cli import cli\n"
        f"cli.main({arguments!r}, standalone_mode=False)\n"
        "heavy = {'numpy', 'torch', 'rich', 'llama_cpp', 'gguf', 'jinja2', 'huggingface_hub', 'localft._native'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", ["convert", "finetune", "chat", "bench", "doctor"])
def test_command_help_needs_no_native_code(command: str) -> None:
    program = (
        "import sys\n"
        "from localft.cli import cli\n"
        f"cli.main([{command!r}, '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'rich', 'llama_cpp', 'localft._native'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_generated_pages_are_fresh() -> None:
    """After a change of flags or settings: `make docs`."""
    program = [sys.executable, str(ROOT / "docs" / "make_docs.py"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
