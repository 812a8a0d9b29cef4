"""What is said about a line that is no JSON."""

from __future__ import annotations

import json
from pathlib import Path

from localft.errors import DatasetError

_A_LINE_EACH = "each line of the file must be one JSON object on its own, or the whole file one JSON array"


def not_json(path: Path, number: int, error: Exception, hint: str = _A_LINE_EACH) -> DatasetError:
    """What to say about a line that is no JSON."""
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    if isinstance(error, json.JSONDecodeError):
        reason = f"{error.msg} at column {error.colno}"
        if "double quotes" in error.msg:
            hint = "JSON has keys and texts in double quotes; Python writes such lines with `json.dumps(row)`"
    return DatasetError(f"line {number} of `{path}` is not JSON: {reason}", hint)
