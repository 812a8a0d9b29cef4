"""How work that takes long says how far it is."""

from __future__ import annotations

from collections.abc import Callable

# Called as report(stage, done, total): what is being done, in words; total is 0 where it is not known.
Report = Callable[[str, int, int], None]
