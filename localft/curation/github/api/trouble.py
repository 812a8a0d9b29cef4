"""What is said where GitHub refuses, fails or cannot be reached."""

from __future__ import annotations

import re
from collections.abc import Mapping

from localft.curation.github.api.access import Token, variables
from localft.curation.github.api.limits import Pause, wait_words
from localft.curation.masking import Mask
from localft.errors import LocalftError
from localft.json_text import parse_json
from localft.visible import one_line

_ALLOWANCE = "with a token GitHub allows 5,000 requests an hour, without one 60"


class GitHubError(LocalftError):
    """GitHub, or the way there, failed. `status` is the HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, hint: str, status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


def message_of(body: bytes, mask: Mask) -> str:
    """The "message" of an error's JSON body as one short printable line; "" where it has none."""
    try:
        value = parse_json(body)
    except ValueError:
        return ""
    text = value.get("message") if isinstance(value, dict) else None
    return one_line(mask.text(text)) if isinstance(text, str) else ""


def refused(
    status: int, message: str, headers: Mapping[str, str], what: str, token: Token | None, host: str
) -> GitHubError:
    """The error for an answer that is neither a success nor a rate limit.

    Args:
        status, message, headers: of the answer; the headers' names in lower case.
        what: the path that was asked for.
        token: what the request was made with.
        host: whom it went to.
    """
    said = f": {message}" if message else ""
    if status == 401:
        name = token.variable if token else "no variable"
        hint = "it may have expired: make a new one, or unset the variable for a public repository"
        return GitHubError(f"GitHub refused the token in {name} (401{said})", hint, status)
    if status == 404:
        return GitHubError(
            f"GitHub has no `{what}`, or does not show it (404)", _not_found_hint(what, token, host), status
        )
    if status == 403:
        permission = one_line(headers.get("x-accepted-github-permissions", ""))
        hint = f"the token needs {permission}" if permission else "check what the token may read"
        if "x-github-sso" in headers:
            hint = "authorise the token for the organisation's single sign-on, in GitHub's settings of that token"
        return GitHubError(f"GitHub does not allow to read `{what}` (403{said})", hint, status)
    if status >= 500:
        hint = "GitHub has trouble: run the same command again later, it goes on where it stopped"
        return GitHubError(f"GitHub answered {status} for `{what}`{said}", hint, status)
    return GitHubError(f"GitHub answered {status} for `{what}`{said}", "check --api-url and the repository", status)


def _not_found_hint(what: str, token: Token | None, host: str) -> str:
    if not re.search(r"/repos/", what):
        return "check --api-url"
    if token:
        return f"check the spelling; a private repository is shown only to a token that may read it ({token.variable})"
    return f"check the spelling; for a private repository set {variables(host)[1]} to a token that may read it"


def too_long(pause: Pause, n_before: int, max_wait: float, now: float, token: Token | None, host: str) -> GitHubError:
    """A wait that is longer than the user allows (`max_wait` seconds), or one after `n_before` that did not help."""
    again = "run the same command later: what was fetched is kept, and `--offline` makes rows of it now"
    if pause.seconds <= max_wait:
        return GitHubError(f"GitHub's {pause.reason} still holds after {n_before} waits", again, 429)
    message = (
        f"GitHub's {pause.reason} asks to wait {wait_words(pause.seconds, now)}, "
        f"and --max-wait allows {max_wait / 60:g} minutes"
    )
    if token is None:
        return GitHubError(message, f"set {variables(host)[1]}: {_ALLOWANCE}; or {again}", 429)
    return GitHubError(message, f"{again}; or give `--max-wait {int(pause.seconds // 60) + 1}`", 429)


def unreachable(host: str, reason: str) -> GitHubError:
    """No answer, after the last try."""
    words = one_line(reason) or "no answer"
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        hint = "this system does not trust its certificate: behind a company's proxy, add the proxy's to the system"
        return GitHubError(f"the connection to `{host}` is not secure: {words}", hint)
    hint = "check the network; what was fetched is kept, and `--offline` makes rows of it without one"
    return GitHubError(f"`{host}` cannot be reached: {words}", hint)
