"""The design's borders: who may import what, what `--help` loads, and that generated pages are fresh."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_graph import arrows, circles, modules, room

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "localft"
NETWORK = {"socket", "ssl", "http", "urllib", "requests", "httpx", "httpx2", "httpcore2", "aiohttp", "huggingface_hub"}
TORCH = {"torch", "transformers", "peft", "accelerate"}

# Which files may import a name that is otherwise off limits. The network: `connection.py`, which makes every request of
# our own, what speaks to a service through it and takes its addresses apart, and `huggingface.py`.
NETWORK_FILES = (
    "connection.py",
    "model/huggingface.py",
    "data/reading/web.py",
    "curation/github/api/client.py",
    "curation/synthetic/model/openai.py",
)
ALLOWED = {
    **dict.fromkeys(NETWORK, NETWORK_FILES),
    "datasets": ("data/reading/hub_dataset.py",),
    "pyarrow": ("data/reading/parquet.py",),
    **dict.fromkeys(TORCH, ("engine/peft.py", "engine/peft_model.py", "model/conversion/hf_checkpoint.py")),
    "rich": ("screen/terminal.py",),
    "_native": ("engine/native.py",),
}

# From the last room to the first; an arrow leads down only. What is in one line is one floor, with arrows both ways.
GROUND = (
    *("addresses", "arrays", "connection", "errors", "events", "files", "hardware", "hashes", "home", "json_text"),
    *("kinds", "llama", "outputs", "python_process", "report", "spelling", "units", "visible"),
)
ROOMS = (
    ("__main__",),
    ("demo",),
    ("cli",),
    ("bench", "doctor"),
    ("screen",),
    ("inspect",),
    ("curation",),
    ("training",),
    ("chat",),
    ("run",),
    ("adapter",),
    ("engine",),
    ("data",),
    ("model",),
    ("settings",),
    GROUND,
    ("",),  # localft/__init__.py: the version; what it hands on does not count
)
# Inside these rooms too.
INNER_ROOMS = {
    "localft.model": (
        *("local_base", "convert", "source", "huggingface", "conversion"),
        *(
            "probe_process",
            "probe",
            "tokenizer",
            "word_limits",
            "special_tokens",
            "gguf",
            "card",
            "hf_names",
            "qk_order",
        ),
    ),
    "localft.data": ("dataset", "batching", "split", "tokens", "wording", "rows", "reading", "summary"),
    "localft.curation": (
        *("synthetic", "github", "repository", "chunking", "text_length", "redaction"),
        *("test_set", "file_rules", "secrets", "secret_logins", "secret_names", "secret_values", "secret_patterns"),
        *("masking", "document", "dates"),
    ),
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


# What writes to a terminal. The border does so for all; a subprocess's stdout is a pipe to its parent; a download asks
# whether there is a terminal at all.
BORDER = "screen/border.py"
WRITES = {
    "print": ("model/conversion/quantizer.py",),
    "input": ("cli/chat_input.py",),
    "sys.stdout": ("data/tokens/workers.py", "model/probe_process.py"),
    "sys.stderr": ("model/huggingface.py",),
    "Console": ("screen/terminal.py",),
    "os.write": ("cli/__init__.py",),  # one word of ours, before anything is imported
    **dict.fromkeys(("sys.__stdout__", "sys.__stderr__", "os.system", "os.popen", "breakpoint"), ()),
    **{f"click.{name}": () for name in ("echo", "secho", "style", "prompt", "confirm", "pause", "edit", "clear")},
    **{f"click.{name}": () for name in ("echo_via_pager", "progressbar", "get_text_stream", "get_binary_stream")},
}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else ""


def test_only_the_border_writes_to_a_terminal() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text()) if where != BORDER else ast.Module([], [])):
            names = [dotted(node)]
            if isinstance(node, ast.ImportFrom):
                names = [name for alias in node.names for name in (f"{node.module}.{alias.name}", alias.name)]
            wrong += [f"{where}:{node.lineno}: {name}" for name in names if where not in WRITES.get(name, (where,))]  # type: ignore[attr-defined]
    assert wrong == []


def test_what_a_program_started_by_us_writes_never_goes_to_a_terminal() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and dotted(node.func).startswith("subprocess."):
                given = {word.arg for word in node.keywords}
                if "capture_output" not in given and not {"stdout", "stderr"} <= given:
                    wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert wrong == []


# Files of the system, of this package, and one that was read through before.
READS = {"files.py": 3, "hardware.py": 3, "demo/count.py": 1, "data/tokens/token_file.py": 1}


def test_files_are_read_where_a_pipe_is_not_waited_for() -> None:
    found = Counter[str]()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                mode = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
                if node.func.attr in ("read_text", "read_bytes") or (node.func.attr == "open" and mode in ("r", "rb")):
                    found[path.relative_to(PACKAGE).as_posix()] += 1
    assert {name: n for name, n in found.items() if n > READS.get(name, 0)} == {}, "read through localft/files.py"


def test_one_of_something_is_not_many() -> None:
    """ "1 rows are": a count with a verb behind it goes through `count_and_verb`."""
    counted = (
        r"\bcount\([^()]*(?:\([^()]*\))?[^()]*\)\}[^\"{}]{0,40}|(?<!of )\{(?:len\([^{}]*\)|[a-z_.]+)(?::,)?\} [a-z]+s "
    )
    plural = re.compile(rf"(?:{counted})\b(?:are|were|have|look)\b(?! longer)")
    found = [
        f"{path.name}: {match[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for match in plural.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_may_be_imported_is_still_there() -> None:
    """A rule for a file that has moved away would hold nothing."""
    named = sorted({name for names in ALLOWED.values() for name in names})
    assert [name for name in named if not (PACKAGE / name).is_file()] == []


def test_the_public_names_are_listed() -> None:
    code = "import localft, sys; print(sorted({*localft.__all__} - {*dir(localft)}), 'numpy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[] False\n"


def test_arrows_between_rooms_lead_down() -> None:
    floor = {name: number for number, names in enumerate(ROOMS) for name in names}
    assert {room(module) for module in modules(ROOT)} == set(floor), "a room that the plan does not know, or lacks"
    assert [f"{a} -> {b}" for a, b in sorted(arrows(ROOT)) if floor[room(a)] > floor[room(b)]] == []


@pytest.mark.parametrize("above", INNER_ROOMS)
def test_arrows_inside_a_room_lead_down(above: str) -> None:
    floor = {f"{above}.{name}": number for number, name in enumerate(INNER_ROOMS[above])}
    inside = {name for name in modules(ROOT) if name.startswith(f"{above}.")}
    place = {name: floor.get(".".join(name.split(".")[:3])) for name in inside}
    known = [(a, b) for a, b in sorted(arrows(ROOT)) if place.get(a) is not None and place.get(b) is not None]
    assert {module.split(".")[2] for module in inside} == set(INNER_ROOMS[above]), "a file that the plan does not know"
    assert len(known) > 30
    assert [f"{a} -> {b}" for a, b in known if place[a] > place[b]] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(arrows(ROOT)) == []


def test_a_circle_is_found() -> None:
    pairs = {("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "f")}
    assert circles(pairs) == [["a", "b", "c"]]


def test_each_folder_says_what_it_is_for() -> None:
    """What comes in, what goes out, and which file to open first; `demo` holds little more than data."""
    short = []
    for path in sorted(PACKAGE.rglob("__init__.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        named = [word.strip("`") for word in re.findall(r"`[\w/.]+`", said) if word.strip("`").endswith((".py", "/"))]
        missing = [name for name in named if not ((path.parent / name).exists() or (ROOT / name).exists())]
        if missing or (path.parent not in (PACKAGE, PACKAGE / "demo") and not named):
            short.append(f"{path.relative_to(ROOT)}: {missing or 'names no file'}")
    assert short == []


def test_unit_tests_lie_where_the_code_does() -> None:
    folders = {
        path.parent.relative_to(ROOT / "tests" / "unit") for path in (ROOT / "tests" / "unit").rglob("test_*.py")
    }
    assert sorted(str(folder) for folder in folders if not (PACKAGE / folder).is_dir()) == []


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
