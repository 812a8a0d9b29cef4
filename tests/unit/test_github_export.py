"""From a repository on a server of our own to rows: what is asked for, what a second run costs, what is left out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from github_server import Clock, Fault, GitHub, user

from localft.curation.github.api import client
from localft.curation.github.api.trouble import GitHubError
from localft.curation.github.export import Options, Summary, export
from localft.curation.github.repository import Repository, Selection, parse_repository, parse_since
from localft.curation.text_length import Measure, estimate
from localft.data.rows.reader import read_file
from localft.errors import ConfigError, DatasetError

MERGED = "2024-03-05T09:00:00Z"
SECRET = "glpat-" + "aB3dE6gH9jK2mN5pQ8sT"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    github = GitHub()
    monkeypatch.setattr(client, "time", Clock(github))
    yield github
    github.stop()


@pytest.fixture
def sample(github: GitHub) -> GitHub:
    """Two issues and two pull requests, one of them with all that a pull request can have."""
    github.issue(1, "Tabs are wrong", body="They are.", labels=[{"name": "bug"}, {"name": "parser"}])
    github.comment(1, "lee", "2024-03-01T11:00:00Z", "Seen too, @Kim.")
    github.issue(2, "Old", state="closed", closed_at="2024-03-02T12:00:00Z")
    github.pull(3, "Half done")
    github.pull(4, "Fix tabs", state="closed", closed_at=MERGED, merged_at=MERGED, body="Closes #1.\r\n\r\n<!-- no -->")
    github.comment(4, "max", "2024-03-04T11:00:00Z", "Nice, @lee: see `@kim`, @property and max@kim.org.")
    github.comment(4, "codecov[bot]", "2024-03-04T12:00:00Z", "Coverage: 93 %", user=user("codecov[bot]", bot=True))
    github.review_comment(4, "lee", "2024-03-04T13:00:00Z", "Why three?")
    github.review(4, "lee", "2024-03-04T13:01:00Z", "CHANGES_REQUESTED", "One question.")
    github.review(4, "lee", "2024-03-04T13:02:00Z", "COMMENTED")
    github.review_comment(4, "kim", "2024-03-04T14:00:00Z", "Because.", in_reply_to_id=9, line=None, original_line=3)
    github.review(4, "lee", "2024-03-04T15:00:00Z", "APPROVED")
    github.file(4, "a.py", "@@ -1,2 +1,3 @@\n one\n+two\n+three", additions=2)
    github.file(4, "b.py", None, "renamed", previous_filename="c.py", additions=0)
    return github


class Runner:
    """Exports from the server into one file."""

    def __init__(self, github: GitHub, folder: Path) -> None:
        self.output, self.github = folder / "out.jsonl", github
        self.options = Options(Repository("owner", "name"), Selection(), api_url=github.url)
        self.said: list[str] = []
        self.progress: Callable[[str, int, int], None] = lambda what, done, total: None

    def __call__(self, **options: Any) -> Summary:
        self.github.asked.clear()
        return export(replace(self.options, **options), self.output, self.said.append, self.progress)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text("utf-8").split("\n")[:-1]]

    def numbers(self, **selection: Any) -> list[int]:
        self(selection=Selection(**selection))
        return [row["source"]["number"] for row in self.rows()]


@pytest.fixture
def run(github: GitHub, tmp_path: Path) -> Runner:
    return Runner(github, tmp_path)


# --- rows -------------------------------------------------------------------------------------------------------------

PULL = """\
Pull request #4 in owner/name: Fix tabs
State: merged on 2024-03-05, opened on 2024-03-04

Closes #1.

Comment by commenter 1 on 2024-03-04:
Nice, reviewer 1: see `@kim`, @property and max@kim.org.

Review comment by reviewer 1 on 2024-03-04, on a.py, line 3:
> @@ -1,2 +1,3 @@
>  one
> +two
> +three

Why three?

Review by reviewer 1 on 2024-03-04, changes requested:
One question.

Reply by author on 2024-03-04, on a.py, line 3:
Because.

Review by reviewer 1 on 2024-03-04, approved:

File: a.py (modified, +2 -0)
@@ -1,2 +1,3 @@
 one
+two
+three

File: b.py (renamed from c.py, +0 -0)"""
ISSUE = """\
Issue #1 in owner/name: Tabs are wrong
State: open, opened on 2024-03-01
Labels: bug, parser

They are.

Comment by commenter 1 on 2024-03-01:
Seen too, author."""


def test_one_row_each_the_newest_first(sample: GitHub, run: Runner) -> None:
    summary = run()
    rows = run.rows()
    assert [row["doc"] for row in rows] == ["owner/name#4", "owner/name#3", "owner/name#2", "owner/name#1"]
    assert rows[0]["text"] == PULL
    assert rows[3]["text"] == ISSUE
    assert rows[2]["text"].split("\n")[1:] == [
        "State: closed on 2024-03-02, opened on 2024-03-02",
        "",
        "(no description)",
    ]
    assert rows[0]["source"] == {
        "kind": "pull_request",
        "repository": "owner/name",
        "number": 4,
        "url": "https://github.com/owner/name/pull/4",
        "date": "2024-03-04T10:00:00Z",
    }
    assert rows[3]["source"]["kind"] == "issue"
    assert (summary.n_pull_requests, summary.n_issues, summary.n_rows, summary.n_split) == (2, 2, 4, 0)
    assert summary.left_out == {"bots' comments and reviews": 1}
    assert summary.n_tokens == sum(estimate(row["text"]) + 1 for row in rows)
    assert summary.n_bytes == run.output.stat().st_size
    assert read_file(run.output).rows[0].text == PULL


def test_logins_and_bots_are_kept_on_demand(sample: GitHub, run: Runner) -> None:
    run(logins=True, selection=Selection(bots=True))
    text = run.rows()[0]["text"]
    assert "opened on 2024-03-04 by @kim\n" in text
    assert "Comment by @max on 2024-03-04:\nNice, @lee:" in text
    assert "Comment by @codecov[bot] on 2024-03-04:\nCoverage: 93 %" in text


def test_secrets_are_redacted_dropped_or_kept(sample: GitHub, run: Runner) -> None:
    sample.file(4, "c.py", f"@@ -0,0 +1 @@\n+{SECRET}", additions=1)
    sample.comment(1, "lee", "2024-03-01T12:00:00Z", f"Mine is {SECRET}!")
    summary = run()
    assert summary.secrets == {"gitlab token": 2}
    assert summary.n_secret_items == 2
    assert SECRET not in run.output.read_text("utf-8")
    assert run.rows()[0]["text"].endswith("\n+[redacted: gitlab token]")
    summary = run(secrets="drop")
    assert [row["source"]["number"] for row in run.rows()] == [3, 2]
    assert (summary.left_out["pull requests with secrets"], summary.left_out["issues with secrets"]) == (1, 1)
    summary = run(secrets="keep")
    assert run.output.read_text("utf-8").count(SECRET) == 2
    assert summary.secrets == {"gitlab token": 2}


def test_rows_have_at_most_chunk_tokens(sample: GitHub, run: Runner) -> None:
    sample.comment(1, "lee", "2024-03-01T12:00:00Z", "\n\n".join("word " * 20 for _ in range(9)))
    summary = run(chunk_tokens=128)
    rows = [row["text"] for row in run.rows() if row["doc"] == "owner/name#1"]
    assert rows[1].startswith("Issue #1 in owner/name: Tabs are wrong (part 2)\n\nComment by commenter 1")
    assert summary.longest <= summary.chunk_tokens == 128
    assert summary.n_split == 2
    assert summary.chunk_reason.startswith("--chunk-tokens; estimated at 2.5 bytes a token")
    with pytest.raises(ConfigError, match="--chunk-tokens `127` is too small"):
        run(chunk_tokens=127)


def test_tokens_of_a_model(sample: GitHub, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    words = Measure(lambda text: len(text.split()), 0, 150, "words", True, lambda: closed.append(1))
    monkeypatch.setattr("localft.curation.github.export.measure", lambda *_: words)
    summary = run(model="some")
    assert summary.n_tokens == sum(len(row["text"].split()) for row in run.rows())
    assert (summary.tokens_exact, closed) == (True, [1])


def test_what_bots_opened_is_left_out_and_not_fetched(sample: GitHub, run: Runner) -> None:
    sample.pull(5, "Bump a from 1 to 2", user=user("dependabot[bot]", bot=True))
    summary = run(selection=Selection(limit=2))
    assert [row["source"]["number"] for row in run.rows()] == [4, 3]
    assert summary.left_out["pull requests that bots opened"] == 1
    assert summary.notes == []
    assert not any("/5" in path for path in sample.paths)
    assert run.numbers(limit=1, bots=True) == [5]
    assert run(offline=True, selection=Selection()).left_out["pull requests that bots opened"] == 1
    assert [row["source"]["number"] for row in run.rows()] == [4, 3]


def test_what_no_text_can_hold_is_taken_out(github: GitHub, run: Runner) -> None:
    label = {"name": "\udcff"}
    github.issue(1, "A\x00b\ud83d\n\x1b[31mc", body="d\r\ne\rf\tg\u2028h", labels=[label])
    run()
    assert run.rows()[0]["text"].split("\n", 1)[0] == "Issue #1 in owner/name: Ab? [31mc"
    assert run.rows()[0]["text"].endswith("\n\nd\nef\tg\u2028h")
    assert len(read_file(run.output).rows) == 1


def test_an_account_that_was_deleted(github: GitHub, run: Runner) -> None:
    github.issue(1, "First", user=None)
    github.comment(1, "x", MERGED, "Hi", user=None)
    github.comment(1, "y", MERGED, "Ho")
    run()
    text = run.rows()[0]["text"]
    assert "Comment by a deleted account on" in text
    assert "Comment by commenter 1 on" in text


# --- requests ---------------------------------------------------------------------------------------------------------

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


# --- what GitHub does not give ----------------------------------------------------------------------------------------


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


# --- names and dates --------------------------------------------------------------------------------------------------


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
