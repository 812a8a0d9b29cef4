"""The command convert: what it prints, and that its help is quick."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from checkpoints import write_checkpoint
from click.testing import CliRunner

from localft.cli.convert import command


def test_the_command_prints_the_path(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny", intermediate_size=172)
    result = CliRunner().invoke(command, [str(checkpoint), "--outtype", "q8_0"])
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).name == "tiny-q8_0.gguf"
    assert "warning: 2 of 16 matrices" in result.stderr
    assert "21 tensors" in result.stderr
    again = CliRunner().invoke(command, [str(checkpoint), "--json"])
    values = json.loads(again.stdout)
    assert (values["skipped"], values["n_tensors"]) == (True, 21)
    assert "is there already, complete" in again.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from localft.cli.convert import command;"
        "assert CliRunner().invoke(command, ['--help']).exit_code == 0;"
        "heavy = {'numpy', 'gguf', 'llama_cpp', 'torch', 'huggingface_hub', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
