"""JSON that `gh` saved: every way to save it gives the same rows, and what is wrong is named with file and line."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localft.curation.github.export import Options, Summary, export
from localft.curation.github.repository import Repository
from localft.curation.github.saved import read_saved
from localft.curation.github.selection import Selection
from localft.errors import DatasetError, LocalftError

API = "https://api.github.com/repos/owner/name"
WEB = "https://github.com/owner/name"


def rest_issue(number: int, **more: Any) -> dict[str, Any]:
    return {
        "url": f"{API}/issues/{number}",
        "repository_url": API,
        "html_url": f"{WEB}/issues/{number}",
        "number": number,
        "title": f"Title {number}",
        "user": {"login": "kim", "type": "User"},
        "labels": [{"name": "bug"}],
        "state": "open",
        "comments": 1,
        "created_at": f"2024-03-0{number}T10:00:00Z",
        "updated_at": f"2024-03-0{number}T10:00:00Z",
        "closed_at": None,
        "body": "Body",
    } | more


def rest_pull(number: int, **more: Any) -> dict[str, Any]:
    urls = {"url": f"{API}/pulls/{number}", "issue_url": f"{API}/issues/{number}"}
    page = {"html_url": f"{WEB}/pull/{number}", "diff_url": "x", "state": "closed", "merged_at": "2024-03-05T10:00:00Z"}
    closed = {"closed_at": "2024-03-05T10:00:00Z"}
    return rest_issue(number) | urls | page | closed | more


COMMENT = {
    "id": 5,
    "node_id": "IC_5",
    "issue_url": f"{API}/issues/2",
    "user": {"login": "lee", "type": "User"},
    "created_at": "2024-03-03T10:00:00Z",
    "body": "Said",
}
REVIEW = {
    "id": 6,
    "node_id": "PRR_6",
    "pull_request_url": f"{API}/pulls/2",
    "user": {"login": "max", "type": "User"},
    "state": "APPROVED",
    "submitted_at": "2024-03-04T10:00:00Z",
    "body": "",
}
REVIEW_COMMENT = {
    "id": 7,
    "node_id": "PRRC_7",
    "pull_request_url": f"{API}/pulls/2",
    "user": {"login": "max", "type": "User"},
    "created_at": "2024-03-04T09:00:00Z",
    "body": "Why?",
    "path": "a.py",
    "line": 2,
    "diff_hunk": "@@ -1 +1,2 @@\n one\n+two",
}
FILE = {"filename": "a.py", "status": "modified", "additions": 1, "deletions": 0, "patch": "@@ -1 +1,2 @@\n one\n+two"}
# what `gh pr list --json …` prints: other keys, other spellings, no patches
GH_PULL = {
    "number": 2,
    "title": "Title 2",
    "url": f"{WEB}/pull/2",
    "state": "MERGED",
    "author": {"id": "U_1", "is_bot": False, "login": "kim", "name": "K"},
    "labels": [{"id": "LA_1", "name": "bug", "color": "d73a4a", "description": ""}],
    "body": "Body",
    "createdAt": "2024-03-02T10:00:00Z",
    "updatedAt": "2024-03-05T10:00:00Z",
    "closedAt": "2024-03-05T10:00:00Z",
    "mergedAt": "2024-03-05T10:00:00Z",
    "comments": [{"id": "IC_5", "author": {"login": "lee"}, "createdAt": "2024-03-03T10:00:00Z", "body": "Said"}],
    "reviews": [
        {"id": "PRR_6", "author": {"login": "max"}, "state": "APPROVED", "submittedAt": "2024-03-04T10:00:00Z"}
    ],
    "files": [{"path": "a.py", "additions": 1, "deletions": 0}],
}
GH_ISSUE = {
    "number": 1,
    "title": "Title 1",
    "url": f"{WEB}/issues/1",
    "state": "OPEN",
    "author": {"login": "kim"},
    "createdAt": "2024-03-01T10:00:00Z",
    "closedAt": None,
    "comments": [],
    "labels": [],
    "body": "Body",
}


class Runner:
    """Writes files into a folder and exports it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder / "saved", folder / "out.jsonl"
        self.folder.mkdir()

    def save(self, **files: Any) -> None:
        for name, value in files.items():
            text = value if isinstance(value, str) else json.dumps(value)
            (self.folder / f"{name.replace('_', '-')}.json").write_text(text, "utf-8")

    def __call__(self, path: Path | None = None, **selection: Any) -> Summary:
        options = Options(Repository("owner", "name"), Selection(**selection), saved=path or self.folder)
        return export(options, self.output, print, lambda *_: None)

    def texts(self, **selection: Any) -> list[str]:
        self(**selection)
        return [json.loads(line)["text"] for line in self.output.read_text("utf-8").split("\n")[:-1]]

    def error(self, **selection: Any) -> LocalftError:
        with pytest.raises(DatasetError) as caught:
            self(**selection)
        assert not self.output.exists()
        return caught.value


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


PULL = """\
Pull request #2 in owner/name: Title 2
State: merged on 2024-03-05, opened on 2024-03-02
Labels: bug

Body

Comment by commenter 1 on 2024-03-03:
Said

Review comment by reviewer 1 on 2024-03-04, on a.py, line 2:
> @@ -1 +1,2 @@
>  one
> +two

Why?

Review by reviewer 1 on 2024-03-04, approved:

File: a.py (modified, +1 -0)
@@ -1 +1,2 @@
 one
+two"""


def test_what_gh_api_saved(run: Runner) -> None:
    run.save(pulls=[rest_pull(2)], comments=[COMMENT], reviews=[REVIEW], pull_comments=[REVIEW_COMMENT], files_2=[FILE])
    assert run.texts() == [PULL]
    assert run().notes == []
    row = json.loads(run.output.read_text("utf-8"))
    assert row["doc"] == "owner/name#2"
    assert row["source"] == {
        "kind": "pull_request",
        "repository": "owner/name",
        "number": 2,
        "url": f"{WEB}/pull/2",
        "date": "2024-03-02T10:00:00Z",
    }


def test_what_gh_pr_list_and_gh_api_saved_become_one(run: Runner) -> None:
    """`gh pr list` has no patches and no review comments; `gh api` adds them, and nothing is there twice."""
    issue = rest_issue(2) | {"pull_request": {"merged_at": "2024-03-05T10:00:00Z"}, "state": "closed"}
    run.save(a=[GH_PULL], b=[issue, rest_issue(1)], c=[COMMENT], d=[REVIEW_COMMENT], e=[REVIEW], files_2=[FILE])
    texts = run.texts()
    assert texts[0] == PULL
    assert len(texts) == 2


def test_what_gh_list_saved_alone(run: Runner) -> None:
    run.save(pulls=[GH_PULL], issues=[GH_ISSUE])
    texts = run.texts()
    assert texts[0] == PULL[: PULL.index("\n\nReview comment")] + (
        "\n\nReview by reviewer 1 on 2024-03-04, approved:\n\nFile: a.py (modified, +1 -0)"
    )
    assert texts[1] == "Issue #1 in owner/name: Title 1\nState: open, opened on 2024-03-01\n\nBody"
    assert run().notes == ["1 item came without patches: docs/github.md says how to save them too"]
    assert run.texts(state="merged", limit=1) == texts[:1]
    assert run.texts(kind="issue") == texts[1:]
    assert run.texts(since="2024-03-03T00:00:00Z") == texts  # the issue's JSON does not say when it changed


@pytest.mark.parametrize(
    "text",
    [
        "{0}",
        "[{0}]",
        "[{0},{1}]",
        "[{0}][{1}]",
        "[{0}]\n[{1}]\n",
        "[[{0}],[{1}]]",
        "{0}\n{1}\n",
        "\ufeff  [\n{0}\n,\n{1}]",
    ],
)
def test_every_way_to_print_pages(run: Runner, text: str) -> None:
    """One object, one list, lists behind one another (--paginate), a list of pages (--slurp), lines (--jq '.[]')."""
    first, second = (json.dumps(rest_issue(number)) for number in (1, 2))
    (run.folder / "issues.json").write_text(text.replace("{0}", first).replace("{1}", second), "utf-8")
    assert len(run.texts()) == (2 if "{1}" in text else 1)


def test_a_file_alone_and_files_by_their_folder(run: Runner, tmp_path: Path) -> None:
    run.save(issues=[rest_issue(1)])
    assert run(run.folder / "issues.json").n_issues == 1
    run.save(pulls=[rest_pull(2)])
    (run.folder / "12" / "2").mkdir(parents=True)
    (run.folder / "12" / "2" / "files.json").write_text(json.dumps([FILE]))
    assert run.texts()[0].endswith("+two")


def test_what_was_not_saved_is_said(run: Runner) -> None:
    stray = COMMENT | {"issue_url": f"{API}/issues/77", "node_id": "IC_9"}
    run.save(pulls=[rest_pull(2)], stray=[stray])
    summary = run()
    assert summary.left_out == {"comments, reviews and files of what was not saved itself": 1}
    assert summary.notes == [
        "1 item came without comments: docs/github.md says how to save them too",
        "1 item came without patches: docs/github.md says how to save them too",
    ]


def test_a_record_that_does_not_say_what_it_is(run: Runner) -> None:
    run.save(some=[{"number": 3, "title": "T", "state": "OPEN"}])
    error = run.error()
    assert (
        error.message
        == f"nothing in line 1 of `{run.folder / 'some.json'}` says whether #3 is a pull request or an issue"
    )
    assert error.hint == "save its `url` too, or say `--kind pr` or `--kind issue`"
    assert run.texts(kind="issue") == ["Issue #3 in owner/name: T\nState: open\n\n(no description)"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('[{"number": 1', "line 1 of `{}` is not JSON: ", "save it again"),
        ('[\n{"number": 1,\n "title": tru}]', "line 3 of `{}` is not JSON: Expecting value", "save it again"),
        ('[\n{"number": 1, "title": "x"},\n', "`{}` ends in the middle of 1 list", "saved only in part"),
        ("<!DOCTYPE html>", "`{}` is a web page (HTML)", "the address of the file itself"),
        ("[[[1]]]", "line 1 of `{}` is a number, expected an object", "gh api"),
        ('\n["x"]', "line 2 of `{}` is 'x', expected an object", "gh api"),
        ('[{"a": 1, "b": 2}]', "line 1 of `{}` is no pull request, issue, comment, review or file: a, b", "gh api"),
        ("[{}]", "line 1 of `{}` is no pull request, issue, comment, review or file: no keys", "gh api"),
        ('{"message": "Not Found", "documentation_url": "x"}', "line 1 of `{}` is an error that GitHub", "again"),
        ('{"filename": "a", "status": "added"}', "nothing says which pull request line 1 of `{}` be", "files-12"),
        ('{"issue_url": "x", "body": ""}', "line 1 of `{}` does not say what it belongs to", "gh api"),
        ('{"issue_url": "https://h/repos/a/b/issues/1"}', "line 1 of `{}` belongs to `a/b`, not to", "give `a/b`"),
        ("", "`owner/name` has no pull requests and issues in `", "--state"),
        ("[" * 100_000 + "1", "line 1 of `{}` is a number", "gh api"),
        ('{"a":' * 100_000 + "1", "line 1 of `{}` is not JSON: nested too deeply", "save it again"),
    ],
)
def test_files_that_are_not_what_they_should_be(run: Runner, text: str, message: str, hint: str) -> None:
    run.save(some=text)
    error = run.error()
    assert error.message.startswith(message.replace("{}", str(run.folder / "some.json")))
    assert hint in (error.hint or "")


def test_values_that_are_not_what_they_should_be_name_file_and_line(run: Runner) -> None:
    run.save(some="[\n" + ",\n".join(json.dumps(r) for r in (rest_issue(1), rest_issue(2, body=5))) + "]")
    assert (
        run.error().message
        == f'"body" in issue #2 in line 3 of `{run.folder / "some.json"}` is a number, expected text'
    )
    (run.folder / "some.json").unlink()
    run.save(pulls=[GH_PULL | {"comments": ["x"]}])
    message = f"comment 1 of pull request #2 in line 1 of `{run.folder / 'pulls.json'}` is 'x', expected an object"
    assert run.error().message == message


def test_folders_and_files_that_are_not_there(run: Runner, tmp_path: Path) -> None:
    assert run.error().message == f"`{run.folder}` holds no .json, .jsonl or .ndjson file"
    with pytest.raises(DatasetError, match="no data file"):
        run(tmp_path / "nothing.json")
    (run.folder / "u.json").write_bytes("[]".encode("utf-16"))
    assert re.search("is UTF-16, expected UTF-8", run.error().message)


_KEYS = [*rest_pull(2), *GH_PULL, *COMMENT, *REVIEW_COMMENT, *FILE, "pull_request", "previous_filename"]
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**30)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([API, WEB]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=12,
)
_BASES = st.sampled_from([rest_issue(1), rest_pull(2), GH_PULL, GH_ISSUE, COMMENT, REVIEW, REVIEW_COMMENT, FILE])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(st.tuples(_BASES, st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3)), max_size=4))
def test_mutated_json_gives_rows_or_a_sentence(
    run: Runner, records: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    run.save(files_2=[base | changes for base, changes in records])
    with suppress(LocalftError):
        run()


@pytest.mark.parametrize("name", ["all.json", "all.json.gz"])
def test_more_than_memory_holds_is_refused_by_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed file of a few kilobytes may hold gigabytes."""
    monkeypatch.setattr("localft.curation.github.saved.MOST_BYTES", 1 << 20)
    data = json.dumps([rest_issue(n % 9 + 1, body="again " * 100) for n in range(2000)]).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(DatasetError, match=rf"`{tmp_path / name}` holds more than 1 MiB"):
        read_saved(tmp_path / name, Repository("owner", "name"))


@pytest.mark.parametrize(
    ("hidden", "left_out"),
    [
        ({"isMinimized": True, "minimizedReason": "spam"}, {"comments hidden as spam": 1}),
        ({"isMinimized": True, "minimizedReason": "OFF_TOPIC"}, {"comments hidden as off-topic": 1}),
        ({"isMinimized": True, "minimizedReason": "abuse"}, {"comments hidden as abuse": 1}),
        ({"isMinimized": True, "minimizedReason": None}, {"comments hidden as spam": 1}),
        ({"minimized": {"reason": "SPAM"}}, {"comments hidden as spam": 1}),
        ({"isMinimized": True, "minimizedReason": "outdated"}, {}),
        ({"isMinimized": True, "minimizedReason": "resolved"}, {}),
        ({"isMinimized": False, "minimizedReason": ""}, {}),
        ({"minimized": None}, {}),
    ],
)
def test_what_is_hidden_as_spam_stays_out(tmp_path: Path, hidden: dict[str, Any], left_out: dict[str, int]) -> None:
    comments = [COMMENT, COMMENT | {"id": 8, "node_id": "IC_8", "body": "Buy this"} | hidden]
    (tmp_path / "issues.json").write_text(json.dumps([rest_issue(2)]))
    (tmp_path / "comments.json").write_text(json.dumps(comments))
    out = tmp_path / "out" / "rows.jsonl"
    out.parent.mkdir()
    summary = export(Options(Repository("owner", "name"), Selection(), tmp_path), out, print, lambda *_: None)
    text = json.loads(out.read_text().splitlines()[0])["text"]
    assert ("Said" in text, "Buy this" in text, dict(summary.left_out)) == (True, not left_out, left_out)
