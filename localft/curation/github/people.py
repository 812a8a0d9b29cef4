"""Who is who in one pull request or issue: logins to roles."""

from __future__ import annotations

import re
from collections.abc import Mapping

from localft.curation.github.records import Item, Person

# code stays as it is; HTML comments, which nobody sees, go; @login of somebody who took part becomes the role
_PROSE = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`)"
    r"|(?P<hidden><!--.*?(?:-->|\Z))"
    r"|(?<![\w/.@-])@(?P<login>[A-Za-z0-9][A-Za-z0-9-]{0,38})(?![\w/-])",
    re.DOTALL,
)
DELETED = "a deleted account"


def roles(item: Item, logins: bool) -> dict[str, str]:
    """The word for each login, in lower case: "author", "reviewer 1", "commenter 2", numbered as they first speak.

    Whoever reviews is a reviewer throughout, and the author stays the author.

    Args:
        item: whose remarks are looked at, bots' too where they are still there.
        logins: use "@login" in place of a role.
    """
    reviewers = {_key(remark.by) for remark in item.remarks if remark.kind != "comment"}
    words = {_key(item.by): "author"}
    counts = {"reviewer": 0, "commenter": 0}
    for remark in item.remarks:
        key = _key(remark.by)
        if key not in words:
            role = "reviewer" if key in reviewers else "commenter"
            counts[role] += 1
            words[key] = f"{role} {counts[role]}"
    if logins:
        words = {key: f"@{person.login}" for key, person in _people(item).items()}
    words[""] = DELETED
    return words


def word_for(person: Person, words: Mapping[str, str]) -> str:
    """The word for one person, by `roles`."""
    return words.get(_key(person), DELETED)


def prose(text: str, words: Mapping[str, str], logins: bool) -> str:
    """A body without what is hidden, in which people who took part are named by their roles, outside of code."""

    def seen(match: re.Match[str]) -> str:
        if match["hidden"]:
            return ""
        if logins or match["login"] is None:
            return match[0]
        return words.get(match["login"].lower(), match[0])

    return re.sub(r"\n{3,}", "\n\n", _PROSE.sub(seen, text)).strip()


def _people(item: Item) -> dict[str, Person]:
    return {_key(person): person for person in (item.by, *(remark.by for remark in item.remarks))}


def _key(person: Person) -> str:
    return person.login.lower()
