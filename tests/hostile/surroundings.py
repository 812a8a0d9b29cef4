"""What a program finds around it: environment, streams and folder, one or two of them odd each time."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PROGRAM = """
import os, traceback
from localft.cli import main
try:
    main()
except Exception:
    traceback.print_exc()
    os._exit(70)
"""
_ODD = os.fsdecode(b"\xff\xfe")
_NOWHERE = ("/nonexistent/x", "/dev/null", "file", "file/x", "", _ODD, "~", "~nobody-here/x", "h", "/proc/nowhere")
_ENVIRONMENT: Mapping[str, Sequence[str | None]] = {
    "HOME": (None, *_NOWHERE),
    "LOCALFT_HOME": (None, *_NOWHERE),
    "XDG_CACHE_HOME": (None, *_NOWHERE),
    "HF_HOME": (None, *_NOWHERE),
    "TMPDIR": _NOWHERE,
    "PATH": (None, "", "/nonexistent", _ODD),
    "LC_ALL": ("C", "POSIX", "xx_YY.UTF-8", _ODD),
    "LANG": ("C", "de_DE.ISO-8859-1", ""),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONCOERCECLOCALE": ("0",),
    "PYTHONIOENCODING": ("ascii", "latin-1", "utf-8:strict", "cp1252:strict", "ascii:strict", "utf-7"),
    "COLUMNS": ("0", "1", "-5", "x", "9" * 30),
    "LINES": ("0", "x"),
    "TERM": (None, "", "dumb", "x" * 3000),
    "NO_COLOR": (None, "", "0"),
    "FORCE_COLOR": ("1", "x"),
    "TZ": ("", "Mars/Olympus", _ODD),
    "HF_ENDPOINT": ("", "127.0.0.1:9", "ftp://127.0.0.1", "http://", _ODD),
    "HF_HUB_OFFLINE": ("1", "x"),
    "HF_TOKEN": ("é", "a\nb", _ODD),
    "HTTP_PROXY": ("socks5://127.0.0.1:9", "127.0.0.1:9", "x://y", "http://127.0.0.1:9", "http://[", _ODD),
    "ALL_PROXY": ("socks5://127.0.0.1:9", "socks9://127.0.0.1:9"),
    "NO_PROXY": ("*", "[", "127.0.0.1"),
    "LOCALFT_KERNELS": ("", "x"),
    "LOCALFT_API_KEY": ("é", "a\nb", "", _ODD),
    "GH_TOKEN": ("é", "a\nb", " ", _ODD),
    "GIT_DIR": ("/nonexistent", ""),
    "GIT_CONFIG_GLOBAL": ("/nonexistent", "file/x"),
    "SSL_CERT_FILE": ("/nonexistent", "file"),
    "OMP_NUM_THREADS": ("0", "x", "999999"),
}
_SAID = b"the cat\xe9\n/save \xff\n/nosuch \xff\n/system \xff\n"
_BYTES = (b"", b"\xff\xfe\n", _SAID, b"\0\n", b"caf\xc3", b"\\\n" * 9)
_STREAMS = {
    "stdin": ("closed", "write only", *_BYTES),
    "stdout": ("closed", "/dev/full", "broken pipe", "read only"),
    "stderr": ("closed", "/dev/full", "broken pipe", "read only"),
}
_FOLDERS = ("gone", _ODD)


@dataclass(frozen=True)
class Surrounding:
    """One program's.

    Attributes:
        environment: changes; None: not there.
        streams: by name.
        folder: "" where it is the case's own.
    """

    environment: Mapping[str, str | None] = field(default_factory=dict)
    streams: Mapping[str, str | bytes] = field(default_factory=dict)
    folder: str = ""

    @property
    def heard(self) -> bool:
        """Whether there are words for every end."""
        return not {"stdout", "stderr"} & set(self.streams)

    def start(self, argv: Sequence[str]) -> None:
        """Become that program."""
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if name in self.streams:
                _replace(number, self.streams[name])
        if self.folder:
            os.mkdir(self.folder)  # noqa: PTH102
            os.chdir(self.folder)
        if self.folder == "gone":
            shutil.rmtree(f"../{self.folder}")
        for name, value in self.environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, *argv])


def surrounding(rng: random.Random) -> Surrounding:
    """An odd one."""
    environment, streams, folder = {}, {}, ""
    for _ in range(rng.choice((1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.6:
            name = rng.choice(list(_ENVIRONMENT))
            environment[name] = rng.choice(_ENVIRONMENT[name])
        elif kind < 0.95:
            name = rng.choice(list(_STREAMS))
            streams[name] = rng.choice(_STREAMS[name])
        else:
            folder = rng.choice(_FOLDERS)
    return Surrounding(environment, streams, folder)


def _replace(number: int, what: str | bytes) -> None:
    if what == "closed":
        os.close(number)
        return
    if isinstance(what, bytes) or what == "broken pipe":
        end, other = os.pipe()
        if isinstance(what, bytes):
            os.write(other, what)
            os.close(other)
        else:
            os.close(end)
            end = other
    elif what == "read only":
        end = os.open(os.devnull, os.O_RDONLY)
    elif what == "write only":
        end = os.open(os.devnull, os.O_WRONLY)
    else:
        end = os.open(what, os.O_WRONLY)
    os.dup2(end, number)
