"""Which accounts are programs'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# accounts of machines that are no GitHub Apps, and Apps as `gh` names them, without "[bot]"
_BOTS = (
    *("dependabot", "renovate", "github-actions", "codecov", "codecov-io", "codecov-commenter", "coveralls"),
    *("netlify", "vercel", "mergify", "pre-commit-ci", "sonarcloud", "bors", "googlebot"),
    "copilot-pull-request-reviewer",
)
_BOT = re.compile(r".*\[bot\]|app/.*|.*[-_](?:bot|robot)", re.IGNORECASE | re.DOTALL)


def is_bot(account: Any) -> bool:
    """Whether an account, as GitHub's JSON has it, is a program's; a deleted one, or no account at all, is not."""
    if not isinstance(account, Mapping):
        return False
    login = account.get("login")
    if account.get("type") == "Bot" or account.get("is_bot") is True:
        return True
    return isinstance(login, str) and (login.lower() in _BOTS or _BOT.fullmatch(login) is not None)
