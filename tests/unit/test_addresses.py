"""What of an address is shown and kept: no password, no token, no part of a signature."""

from __future__ import annotations

import pytest

from localft.addresses import without_secrets
from localft.errors import LocalftError

S3 = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDHIDE%2F20250101&X-Amz-Date=20250101T000000Z"
    "&X-Amz-Expires=3600&X-Amz-Security-Token=HIDE&X-Amz-SignedHeaders=host&X-Amz-Signature=HIDE"
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (f"https://b.s3.amazonaws.com/a.jsonl?{S3}", "https://b.s3.amazonaws.com/a.jsonl"),
        (f"https://b.s3.amazonaws.com/a.jsonl?versionId=3&{S3}:2", "https://b.s3.amazonaws.com/a.jsonl?versionId=3:2"),
        (f"https://h/a.jsonl?{S3.lower()}", "https://h/a.jsonl"),
        (f"https://h/a.jsonl?{S3.replace('-', '%2D')}:20%", "https://h/a.jsonl:20%"),
        ("https://h/a?AWSAccessKeyId=HIDE&Expires=1&Signature=HIDE%3D", "https://h/a"),
        ("https://h/a?X-Goog-Algorithm=G&X-Goog-Credential=HIDE&X-Goog-Signature=HIDE", "https://h/a"),
        ("https://h/a?GoogleAccessId=HIDE&Expires=1&Signature=HIDE", "https://h/a"),
        ("https://h/a?sv=1&ss=b&srt=o&sp=r&se=2025-01-01T00:00:00Z&st=2&spr=https&sig=HIDE%3D&b=1", "https://h/a?b=1"),
        ("https://h/a?Policy=HIDE__&Signature=HIDE&Key-Pair-Id=HIDE&Expires=2", "https://h/a"),
        ("https://h/a?sp=2&st=3&se=4&policy=p&expires=5", "https://h/a?sp=2&st=3&se=4&policy=p&expires=5"),
        ("https://h/a?page=2&token=HIDE&lang=en#access_token=HIDE&x=1", "https://h/a?page=2&lang=en#x=1"),
        ("https://h/a?access_token=HIDE;private_token=HIDE;a=1", "https://h/a?a=1"),
        ("https://h/a?api_key=HIDE&apikey=HIDE&key=HIDE&password=HIDE&client_secret=HIDE&auth=HIDE", "https://h/a"),
        ("https://h/a?author=kim&tokenizer=b&max_tokens=3", "https://h/a?author=kim&tokenizer=b&max_tokens=3"),
        ("https://h/a?next=https%3A%2F%2Fu%3AHIDE%40h%2F&b=2", "https://h/a?b=2"),
        ("https://h/a?u=https://i/?token=HIDE&b=2", "https://h/a?u=https://i/?b=2"),
        ("https://me:HIDE@h:8080/a.jsonl:3", "https://h:8080/a.jsonl:3"),
        ("https://HIDE@github.com/owner/name.git", "https://github.com/owner/name.git"),
        ("https://me:HI@DE@h/a", "https://h/a"),
        ("https://me:HIDE/HIDE@h/a", "https://h/a"),
        ("ssh://git@h/a", "ssh://h/a"),
        ("http://h:80/@scope/a", "http://h:80/@scope/a"),
        ("http://[::1]:80/@a:2", "http://[::1]:80/@a:2"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("git@github.com:owner/name", "git@github.com:owner/name"),
        ("C:\\a?token=1 of hf:a/b:2", "C:\\a?token=1 of hf:a/b:2"),
        ("`https://h/a?sig=HIDE`, 'http://u:HIDE@h/b' and https://h/c", "`https://h/a`, 'http://h/b' and https://h/c"),
    ],
)
def test_what_is_kept_of_an_address(address: str, expected: str) -> None:
    assert without_secrets(address) == expected
    assert without_secrets(expected) == expected
    assert "HIDE" not in f"{LocalftError(f'no `{address}`', f'see {address}').__dict__}"


@pytest.mark.parametrize("part", ["@", "&", "https://", "?", "?a=https%3A%2F%2F", "%", ":2", "/a@b:"])
def test_long_addresses_take_no_long_time(part: str) -> None:
    without_secrets("https://h/?" + part * (200_000 // len(part)))
