"""From a repository on a server of our own to rows: what they say, and what is left out."""

from __future__ import annotations

import pytest
from github_runner import Runner
from github_server import GitHub, user

from localft.curation.github.selection import Selection
from localft.curation.text_length import Measure, estimate
from localft.data.rows.reader import read_file
from localft.errors import ConfigError

MERGED = "2024-03-05T09:00:00Z"
SECRET = "glpat-" + "aB3dE6gH9jK2mN5pQ8sT"


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
