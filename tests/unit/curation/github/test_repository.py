"""Which repository, and since when: how both are written."""

from __future__ import annotations

import pytest

from localft.curation.dates import parse_since
from localft.curation.github.repository import Repository, parse_repository
from localft.errors import ConfigError


def test_repositories() -> None:
    for text in ("owner/name", "https://github.com/owner/name", "https://github.com/owner/name.git", " owner/name/ "):
        assert parse_repository(text) == Repository("owner", "name")
    assert str(parse_repository("a-b/.github")) == "a-b/.github"
    for text in ("name", "a/b/c", "owner/..", "/name", "owner/", "ow ner/name", "https://host/owner/name", "a/b?x", ""):
        with pytest.raises(ConfigError, match="is no repository"):
            parse_repository(text)


def test_dates() -> None:
    assert parse_since("2024-03-01") == "2024-03-01T00:00:00Z"
    assert parse_since("2024-03-01T12:30:00+02:00") == "2024-03-01T10:30:00Z"
    assert parse_since("2024-03-01T12:30:00Z") == "2024-03-01T12:30:00Z"
    for text in ("yesterday", "2024-13-01", "", "9" * 5000):
        with pytest.raises(ConfigError, match="is no date"):
            parse_since(text)
