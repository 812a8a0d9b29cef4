"""Questions about pull requests, issues and commits: what changed and why, from their own descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from localft.curation.synthetic.source_documents import Passage, SourceDocument
from localft.curation.synthetic.templates import phrasings
from localft.curation.synthetic.templates.fence import fenced
from localft.curation.synthetic.templates.questions import Question, date_of

_MOST_FILES = 12
_FILE = re.compile(r"File: (?P<path>.+) \((?P<status>[a-z]+)(?: from [^()]*)?, \+\d+ -\d+\)\Z")
_SAID = re.compile(r"(?:Comment|Reply|Review comment|Review) by .+:\Z")
_GOES_ON = "Description, continued:"
_MORE = re.compile(r" and \d+ more\Z")
_LEFT_OUT = "[left out: "


class _Thread(NamedTuple):
    """A pull request or an issue: its title, "State: …" and such lines, its description, and the files it changes."""

    title: str
    about: dict[str, str]
    description: str
    files: tuple[str, ...]


def thread_questions(document: SourceDocument) -> Iterator[Question]:
    """What a pull request or an issue is about, where its first row is there."""
    passage = document.passages[0]
    thread = None if passage.is_part else _read_thread(document.passages)
    number = passage.fact("number") or passage.doc.rpartition("#")[2]
    if thread is None or not number:
        return
    is_pull = passage.kind == "pull_request"
    noun = "Pull request" if is_pull else "Issue"
    state = f" ({thread.about['State']})" if "State" in thread.about else ""
    parts = [f"{noun} #{number}, “{thread.title}”{state}" + ("." if not thread.description else ":")]
    chosen: tuple[str, ...]
    if thread.description:
        parts.append(thread.description)
        chosen = phrasings.PULL_REQUEST if is_pull else phrasings.ISSUE
    else:
        parts[0] += " It has no description."
        chosen = phrasings.PULL_REQUEST_TITLE if is_pull else phrasings.ISSUE_TITLE
    if thread.files:
        parts.append(f"Files: {_shortened(thread.files)}.")
    fields = {"name": passage.name, "number": number}
    yield Question(passage, passage.kind, chosen, "\n\n".join(parts), fields)


def _read_thread(passages: Sequence[Passage]) -> _Thread | None:
    first, *lines = passages[0].text.strip("\n").split("\n")
    title = first.partition(": ")[2].strip()
    if not title:
        return None
    about = {}
    while lines and lines[0].partition(": ")[0] in ("State", "Labels"):
        key, _, value = lines.pop(0).partition(": ")
        about[key] = value
    blocks = [_until_section(lines)]
    is_whole = len(blocks[0]) < len(lines)
    for passage in passages[1:]:
        rest = passage.text.strip("\n").split("\n")[1:]
        start = next((i for i, line in enumerate(rest) if line.strip()), 0)
        if is_whole or rest[start : start + 1] != [_GOES_ON]:
            break
        blocks.append(_until_section(rest[start + 1 :]))
    description = "\n\n".join("\n".join(block).strip("\n") for block in blocks).strip()
    files = [match["path"] for passage in passages for line in passage.text.split("\n") if (match := _FILE.match(line))]
    return _Thread(title, about, "" if description == "(no description)" else description, tuple(dict.fromkeys(files)))


def _until_section(lines: Sequence[str]) -> list[str]:
    """Lines before the first remark or file."""
    stop = next((i for i, line in enumerate(lines) if _SAID.match(line) or _FILE.match(line)), len(lines))
    return list(lines[:stop])


def subject_of(passage: Passage) -> str:
    """The first line of a commit's message."""
    return passage.text.partition("\n")[0].removeprefix("Commit: ").strip()


def commit_questions(document: SourceDocument, shared_subjects: frozenset[str]) -> Iterator[Question]:
    """What a commit changed and why, from its message, and what its diff is, row by row.

    A commit is called by its subject where that names it, else by its hash.
    """
    passage = document.passages[0]
    subject = subject_of(passage)
    revision = passage.fact("revision")[:12] or passage.doc.rpartition("@")[2]
    named = subject and subject not in shared_subjects and subject != "(no message)"
    rows = [_read_commit(each) for each in document.passages]
    left_out = ", ".join(row.left_out for row in rows if row.left_out)
    files = list(dict.fromkeys(name for row in rows for name in row.files))
    if not (named or revision) or not files or not _is_first(passage):
        return
    commit = f"the commit “{subject}”" if named else f"commit {revision}"
    fields = {"name": passage.name, "commit": commit}
    lines = rows[0].message.split("\n")[1:]
    body = "\n".join(line for line in lines if not line.startswith("Date: ")).strip()
    date = date_of(passage)
    head = f"On {date}" if date else f"Commit {revision}" if revision else "It"
    summary = f"{head}{', commit ' + revision if date and revision else ''}: {subject}"
    why = [summary, *([body] if body else []), f"Changed files: {_shortened(files)}."]
    every_file = len(files) <= _MOST_FILES and not _MORE.search(left_out)
    chosen = phrasings.COMMIT_WHY if body else phrasings.COMMIT_FILES if date and every_file else phrasings.COMMIT
    yield Question(passage, "commit", chosen, "\n\n".join(why), fields)
    yield from _diff_questions(list(zip(document.passages, rows, strict=True)), left_out, fields)


def _diff_questions(
    rows: Sequence[tuple[Passage, _Commit]], left_out: str, fields: dict[str, str]
) -> Iterator[Question]:
    shown = [(each, row) for each, row in rows if row.diff]
    of_it = f"the diff of {fields['commit']}"
    chosen: tuple[str, ...]
    for number, (each, row) in enumerate(shown, 1):
        where = f"part {number} of {len(shown)}"
        if len(shown) > 1:
            lead, chosen = f"{where.capitalize()} of {of_it}:", phrasings.DIFF_ROWS
        elif left_out:
            lead, chosen = f"A part of {of_it}; left out are {left_out}:", phrasings.DIFF_PART
        else:
            lead, chosen = f"{of_it[0].upper()}{of_it[1:]}:", phrasings.DIFF
        yield Question(each, "diff", chosen, f"{lead}\n\n{fenced(row.diff, 'diff')}", {**fields, "where": where})


class _Commit(NamedTuple):
    """A row of a commit: what it says, its diff, what that lacks as the row gives it, and the files of both."""

    message: str
    diff: str
    left_out: str
    files: list[str]


def _read_commit(passage: Passage) -> _Commit:
    text, left_out = _without_note(passage.text.strip("\n"))
    message, mark, diff = text.partition("\ndiff --git ")
    diff = f"diff --git {diff}" if mark else ""
    return _Commit(message, diff, left_out, _files(diff, left_out))


def _is_first(passage: Passage) -> bool:
    """Whether it has the message."""
    match passage.source.get("part"):
        case [int(number), int()]:
            return number == 1
    return True


def _without_note(diff: str) -> tuple[str, str]:
    """A diff, and the names of what it lacks as the row gives them."""
    above, _, last = diff.rstrip().rpartition("\n")
    is_note = last.startswith(_LEFT_OUT) and last.endswith("]")
    return (above.rstrip("\n"), last[len(_LEFT_OUT) : -1]) if is_note else (diff, "")


def _files(diff: str, left_out: str) -> list[str]:
    names = [line.rsplit(" b/", 1)[-1] for line in diff.split("\n") if line.startswith("diff --git ")]
    more = [re.sub(r" \([^()]*\)\Z", "", name) for name in left_out.split(", ")] if left_out else []
    return list(dict.fromkeys([*names, *more]))


def _shortened(files: Sequence[str]) -> str:
    more = len(files) - _MOST_FILES
    return ", ".join(files[:_MOST_FILES]) + (f" and {more} more" if more > 0 else "")
