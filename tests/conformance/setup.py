"""Fetch llama.cpp's own converter into a virtual environment of its own, once.

    python tests/conformance/setup.py [FOLDER]      (default: .venv-conformance beside pyproject.toml)

The converter is in the source distribution of llama-cpp-python, in the very version that localft is pinned to, and
needs torch and transformers. The environment is used by tests/conformance only. Can be run again and is then quick.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / ".venv-conformance"


def pinned(name: str) -> str:
    """A requirement as pyproject.toml pins it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(rf'"({re.escape(name)}==[^"]+)"', text)
    if match is None:
        sys.exit(f"pyproject.toml pins no {name}")
    return match[1]


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def fetch_source(python: Path, folder: Path) -> None:
    """Unpack the source distribution to `folder`/source."""
    with tempfile.TemporaryDirectory() as scratch:
        requirement = pinned("llama-cpp-python")
        run(python, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", scratch, requirement)
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        (unpacked,) = (path for path in Path(scratch).iterdir() if path.is_dir())
        run("cp", "-r", unpacked, folder / "source")


def main() -> None:
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else DEFAULT
    stamp = folder / "ready"
    wanted = " ".join([pinned("llama-cpp-python"), pinned("torch"), pinned("transformers")])
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", pinned("torch"), pinned("transformers"), "sentencepiece", "protobuf")
    fetch_source(python, folder)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
