"""What is asked of the API: what a second run costs, what an interrupted one goes on with, and what fails."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from github_runner import Runner
from github_server import Fault, GitHub

from localft.curation.github.api.trouble import GitHubError
from localft.curation.github.repository import Repository
from localft.curation.github.selection import Selection
from localft.errors import DatasetError

FIRST = [
    "/repos/owner/name/issues",
    "/repos/owner/name/issues/4/comments",
    "/repos/owner/name/pulls/4/reviews",
    "/repos/owner/name/pulls/4/comments",
    "/repos/owner/name/pulls/4/files",
    "/repos/owner/name/pulls/3/reviews",
    "/repos/owner/name/pulls/3/comments",
    "/repos/owner/name/pulls/3/files",
    "/repos/owner/name/issues/1/comments",
]


def test_a_second_run_costs_nothing(sample: GitHub, run: Runner) -> None:
    first = run()
    assert sample.paths == FIRST
    assert (first.n_requests, first.n_not_modified, first.n_unchanged, first.n_listed) == (9, 0, 0, 4)
    before = run.output.read_bytes()
    run.output.unlink()
    second = run()
    assert sample.paths == ["/repos/owner/name/issues 304"]
    assert (second.n_requests, second.n_not_modified, second.n_unchanged) == (1, 1, 4)
    assert second.remaining == first.remaining == 4991
    assert run.output.read_bytes() == before


def test_only_what_changed_is_asked_for(sample: GitHub, run: Runner) -> None:
    run()
    sample.comment(4, "max", "2024-04-01T00:00:00Z", "And now?")
    run()
    assert sample.paths == [
        "/repos/owner/name/issues",
        "/repos/owner/name/issues/4/comments",
        "/repos/owner/name/pulls/4/reviews 304",
        "/repos/owner/name/pulls/4/comments 304",
        "/repos/owner/name/pulls/4/files 304",
    ]
    assert "And now?" in run.rows()[0]["text"]


def test_a_full_last_page_may_get_a_next_one(github: GitHub, run: Runner) -> None:
    """Page 1 of 100 comments stays the same, ETag and all, when the 101st comes."""
    github.issue(1, "Long")
    for n in range(100):
        github.comment(1, "lee", "2024-03-02T10:00:00Z", f"c{n}")
    run(chunk_tokens=9999)
    github.comment(1, "lee", "2024-03-03T10:00:00Z", "c100")
    run(chunk_tokens=9999)
    assert github.paths[1:] == ["/repos/owner/name/issues/1/comments"] * 2
    assert run.rows()[0]["text"].endswith("c100")


def test_an_interrupted_run_goes_on(sample: GitHub, run: Runner) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    run.progress = stop
    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(run.output.parent.iterdir()) == []
    run.progress = lambda what, done, total: None
    run()
    assert sample.paths == ["/repos/owner/name/issues 304", "/repos/owner/name/issues/1/comments"]
    assert len(run.rows()) == 4


def test_pages_of_the_list_and_of_parts(sample: GitHub, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    whole = run.output.read_bytes()
    sample.page_size = 1
    monkeypatch.setenv("LOCALFT_HOME", str(run.output.parent / "empty"))
    run.output.unlink()
    run()
    assert run.output.read_bytes() == whole
    assert len([path for path in sample.paths if path.endswith("name/issues")]) == 4
    run()
    assert run.output.read_bytes() == whole
    assert sample.paths == ["/repos/owner/name/issues 304"] * 4


def test_what_is_wanted(sample: GitHub, run: Runner) -> None:
    assert run.numbers(kind="pull_request") == [4, 3]
    assert run.numbers(kind="issue") == [2, 1]
    assert run.numbers(state="open") == [3, 1]
    assert "state=open" in sample.asked[0].target
    assert run.numbers(state="closed") == [2]
    assert "state=closed" in sample.asked[0].target
    assert run.numbers(state="merged") == [4]
    assert run.numbers(since="2024-03-03T00:00:00Z") == [4, 3]
    assert "since=2024-03-03T00%3A00%3A00Z" in sample.asked[0].target
    assert run.numbers(kind="issue", limit=1) == [2]


def test_a_limit_ends_the_listing(sample: GitHub, run: Runner) -> None:
    sample.page_size = 1
    assert run.numbers(limit=2) == [4, 3]
    assert sample.paths.count("/repos/owner/name/issues") == 2


def test_offline_is_the_cache_and_no_request(sample: GitHub, run: Runner) -> None:
    run()
    before = run.output.read_bytes()
    summary = run(offline=True)
    assert (sample.asked, summary.n_requests) == ([], 0)
    assert run.output.read_bytes() == before
    run(offline=True, selection=Selection(kind="issue", limit=1))
    assert [row["doc"] for row in run.rows()] == ["owner/name#2"]
    with pytest.raises(DatasetError, match="nothing of `owner/other` is in the cache"):
        run(offline=True, repository=Repository("owner", "other"))


def test_a_damaged_cache_is_fetched_again(sample: GitHub, run: Runner, home: Path) -> None:
    run()
    before = run.output.read_bytes()
    files = sorted((home / "github").rglob("*.gz"))
    assert len(files) == 5
    for n, file in enumerate(files):
        data = file.read_bytes()
        file.write_bytes((data[:40], b"", b"\x1f\x8b junk", b"{}", data[:-30] + b"x" * 30)[n])
    run()
    assert sample.paths == FIRST
    assert run.output.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_others_may_not_read_the_cache(sample: GitHub, run: Runner, home: Path) -> None:
    run()
    assert (home / "github").stat().st_mode & 0o077 == 0


def test_a_repository_that_was_renamed(sample: GitHub, run: Runner) -> None:
    sample.moved["owner/old"] = "owner/name"
    summary = run(repository=Repository("owner", "old"))
    assert summary.notes == ["`owner/old` is called `owner/name` now"]
    assert sample.paths == ["/repos/owner/old/issues", *FIRST]
    assert run.rows()[0]["doc"] == "owner/old#4"


@pytest.mark.parametrize("status", [404, 410, 422, 502])
def test_one_that_cannot_be_had_is_left_out_and_asked_for_again(sample: GitHub, run: Runner, status: int) -> None:
    sample.faults.append(Fault("pulls/4/files", status, times=99))
    summary = run()
    assert [row["source"]["number"] for row in run.rows()] == [3, 2, 1]
    assert summary.left_out[f"pull requests, for which GitHub answered {status}"] == 1
    assert summary.notes == ["what GitHub did not give is asked for again by the next run"]
    sample.faults.clear()
    run()
    assert [row["source"]["number"] for row in run.rows()] == [4, 3, 2, 1]


def test_an_outage_ends_the_run(github: GitHub, run: Runner) -> None:
    for number in range(1, 6):
        github.pull(number, "Some")
    github.faults.append(Fault("/reviews", 503, times=99))
    with pytest.raises(GitHubError, match="GitHub answered 503"):
        run()
    assert len(github.asked) == 1 + 3 * 5
    assert not run.output.exists()


def test_a_token_that_may_not_read_it_ends_the_run(sample: GitHub, run: Runner) -> None:
    sample.faults.append(Fault("/reviews", 403, b'{"message": "Resource not accessible"}'))
    with pytest.raises(GitHubError, match="does not allow to read `/repos/owner/name/pulls/4/reviews`"):
        run()


def test_a_repository_that_is_not_there(sample: GitHub, run: Runner) -> None:
    with pytest.raises(GitHubError, match="GitHub has no `/repos/owner/nothing/issues`") as caught:
        run(repository=Repository("owner", "nothing"))
    assert caught.value.hint == (
        "check the spelling; for a private repository set GITHUB_ENTERPRISE_TOKEN to a token that may read it"
    )
    assert len(run.said) == 1
    assert run.said[0].startswith("without a token (GITHUB_ENTERPRISE_TOKEN) GitHub allows 60 requests an hour")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: gzip.compress(data)[:-20],
    "no gzip": lambda data: data,
    "no JSON": lambda data: gzip.compress(data[:-5]),
    "NUL": lambda data: gzip.compress(bytes(99)),
    "a bomb": lambda data: gzip.compress(bytes(1 << 21)),
    "500 deep": lambda data: gzip.compress(
        b'{"format":1,"record":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b',"parts":{}}'
    ),
    "100,000 deep": lambda data: gzip.compress(b"[" * 100_000),
    "infinity": lambda data: gzip.compress(re.sub(rb'"number": ?4', b'"number":Infinity', data)),
    "a number that is too large": lambda data: gzip.compress(re.sub(rb'"number": ?4', b'"number":1e999', data)),
    "5,000 digits": lambda data: gzip.compress(re.sub(rb'"number": ?4', b'"number":' + b"9" * 5000, data)),
    "an ETag with half a character": lambda data: gzip.compress(data.replace(b'"etag":"', b'"etag":"\\ud800')),
    "an address with half a character": lambda data: gzip.compress(data.replace(b'"address":"', b'"address":"\\ud800')),
    "another address": lambda data: gzip.compress(re.sub(rb'"address":"http', b'"address":"file', data)),
    "another format": lambda data: gzip.compress(re.sub(rb'"format":1', b'"format":"1"', data)),
    "a list": lambda data: gzip.compress(b"[" + data + b"]"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_of_the_cache_is_fetched_anew(
    sample: GitHub, run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run()
    before = run.output.read_bytes()
    monkeypatch.setattr("localft.curation.github.api.cache._MOST_BYTES", 1 << 20)
    files = sorted((home / "github").rglob("*.json.gz"))
    assert len(files) == 5
    for file in files:
        file.write_bytes(DAMAGE[name](gzip.decompress(file.read_bytes())))
    run()
    assert run.output.read_bytes() == before
    run(offline=True)
    assert run.output.read_bytes() == before


def test_a_list_without_an_end_is_an_error(sample: GitHub, run: Runner) -> None:
    """Each of its pages names a next one that was not there before."""
    for path in ("issues", "pulls/4/reviews"):
        nexts = [f'<{sample.url}/repos/owner/name/{path}?page={page}>; rel="next"' for page in range(9)]
        sample.faults[:] = [Fault(rf"/{path}\?", body=b"[]", headers={"Link": link}) for link in nexts]
        with pytest.raises(GitHubError, match="without end"):
            run()
        assert len(sample.faults) >= 7


def test_nothing_that_is_wanted(sample: GitHub, run: Runner) -> None:
    run()
    selection = Selection(kind="pull_request", state="merged", since="2030-01-01T00:00:00Z")
    message = "`owner/name` has no merged pull requests changed since 2030-01-01"
    for more, where in (({}, ""), ({"offline": True}, " in the cache")):
        with pytest.raises(DatasetError) as caught:
            run(selection=selection, **more)
        assert caught.value.message == message + where
        assert caught.value.hint == "`--state`, `--kind`, `--since` and `--limit` choose others"
    assert len(run.rows()) == 4


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b"[1]", b'[{"number": "1", "updated_at": ""}]', b'[{"number": 1}]', b"null"]
)
def test_a_list_that_is_none(github: GitHub, run: Runner, body: bytes) -> None:
    github.faults.append(Fault("/issues", body=body))
    with pytest.raises(GitHubError, match="is no list"):
        run()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": 7}, '"title" in issue #1 as GitHub gave it is a number, expected text'),
        ({"title": None}, '"title" in issue #1 as GitHub gave it is missing, expected text'),
        ({"body": ["x"]}, '"body" in issue #1 as GitHub gave it is a list, expected text'),
        ({"user": "kim"}, "the author in issue #1 as GitHub gave it is 'kim', expected an object"),
        ({"labels": {}}, '"labels" in issue #1 as GitHub gave it is an object, expected a list'),
        ({"labels": [3]}, "a label of issue #1 as GitHub gave it is a number, expected an object"),
        ({"state": "gone"}, "\"state\" in issue #1 as GitHub gave it is 'gone', expected open, closed or merged"),
        ({"created_at": "soon"}, "\"created_at\" in issue #1 as GitHub gave it is 'soon', expected a time such as"),
    ],
)
def test_values_that_are_not_what_they_should_be(
    github: GitHub, run: Runner, change: dict[str, Any], message: str
) -> None:
    github.issue(1, **{"title": "First"} | change)
    with pytest.raises(DatasetError, match=re.escape(message)):
        run()


def test_parts_that_are_not_what_they_should_be(sample: GitHub, run: Runner) -> None:
    sample.file(4, "x", patch=5)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r'"patch" in file 3 of pull request #4 as GitHub gave it is a number'):
        run()
