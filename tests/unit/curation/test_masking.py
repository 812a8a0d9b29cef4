"""A token out of what a server says, in each form in which it may quote it."""

from __future__ import annotations

import base64
import html
from urllib.parse import quote

import pytest

from localft.curation.masking import Mask

TOKEN = "ghp_aZ9+/=%&x" * 3
PLAIN = "github_pat_11AB_" + "x9Y" * 20


def forms(token: str) -> dict[str, str]:
    once = quote(token, safe="")
    found = {
        "raw": token,
        "in an address": once,
        "twice in an address": quote(once, safe=""),
        "every character in an address": "".join(f"%{ord(char):02x}" for char in token),
        "in HTML": html.escape(token),
        "every character in HTML": "".join(f"&#{ord(char)};" for char in token),
        "in JSON": "".join(f"\\u{ord(char):04X}" for char in token),
    }
    for user in ("", "u:", "me:", "x-access-token:"):
        found[f"in base64 after {user!r}"] = base64.b64encode(f"{user}{token}".encode()).decode()
        found[f"in base64 for addresses after {user!r}"] = base64.urlsafe_b64encode(f"{user}{token}:".encode()).decode()
        found[f"in base64 in an address after {user!r}"] = quote(base64.b64encode(f"{user}{token}".encode()), safe="")
    return found


@pytest.mark.parametrize("name", forms(TOKEN))
@pytest.mark.parametrize("token", [TOKEN, PLAIN])
def test_a_token_is_taken_out(token: str, name: str) -> None:
    form = forms(token)[name]
    masked = Mask(token, "[token]").text(f"<{form}>")
    assert "[token]" in masked
    assert not any(form[i : i + 8] in masked for i in range(0, len(form) - 8, 4)) or "base64" in name
    # of base64 only what the bytes before and after it decide stays
    assert len(masked) < 40


def test_values_and_keys() -> None:
    mask = Mask(PLAIN, "[token]")
    given = {"a": [PLAIN, 1, None, {PLAIN: f"x{PLAIN}y"}], "b": True}
    assert mask.value(given) == {"a": ["[token]", 1, None, {"[token]": "x[token]y"}], "b": True}


def test_what_is_no_secret_is_left_alone() -> None:
    """Servers on this machine are asked with keys such as "none"."""
    assert Mask("none", "[key]").value(["none of it"]) == ["none of it"]
    assert Mask("none", "[key]").text("bad none") == "bad [key]"
    assert Mask("", "[key]").text("all") == "all"
