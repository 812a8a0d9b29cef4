"""Sound files of every kind that localft reads, each kind written into an empty folder."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from checkpoints import write_checkpoint
from repos import Repo
from tiny_llama import random_adapter, write_model
from vocabs import CHATML

from hostile.attempt import attempt
from localft.adapter import write_adapter

ROWS = [{"prompt": f"What is {i} + {i}?", "completion": f"It is {i + i}."} for i in range(24)]
SMALL = ("--threads", "1", "--model", "m.gguf")
TRAIN = ("finetune", *SMALL, "--batch-size", "2", "--lora-rank", "2", "--data")
BUILD = ("data", "build", "repo", "-o", "out.jsonl", "--kind", "repo", "--kind", "docs", "--kind", "history")


def run(folder: Path, *argv: str) -> None:
    """A command that must succeed."""
    outcome = attempt(argv, folder)
    assert outcome.kind == "accepted", (argv, outcome)


def write_lines(path: Path, rows: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def conversation(i: int) -> dict[str, object]:
    turns = (("system", "Be short."), ("user", f"And {i}?"), ("assistant", f"Number {i}, in words and figures."))
    return {"messages": [{"role": role, "content": content} for role, content in turns], "doc": f"d{i // 2}"}


def model(folder: Path) -> None:
    """A model that was tried already, and rows."""
    write_model(folder / "m.gguf", chat=True)
    run(folder, "chat", *SMALL, "--prompt", "Hi", "--max-tokens", "1")
    write_lines(folder / "d.jsonl", ROWS[:6])


def adapter(folder: Path) -> None:
    model(folder)
    write_adapter(folder / "a.gguf", random_adapter())
    run(folder, "call", "to_peft", "a.gguf", "peft", "m.gguf")


def checkpoint(vocabulary: str) -> Callable[[Path], None]:
    """A Hugging Face checkpoint with a vocabulary of that kind."""

    def make(folder: Path) -> None:
        write_checkpoint(folder / "hf", vocabulary=vocabulary, n_shards=2, n_merges=60)

    return make


def byte_bpe(folder: Path) -> None:
    checkpoint("llama3")(folder)
    write_lines(folder / "d.jsonl", [conversation(i) for i in range(4)])
    run(folder, "convert", "hf", "--out", "m.gguf", "--outtype", "f32")
    shutil.rmtree(folder / "hf")


def trained(folder: Path) -> None:
    """A run, and a home with hashes."""
    model(folder)
    write_lines(folder / "d.jsonl", ROWS)
    run(folder, *TRAIN, "d.jsonl", "--out", "run", "--max-steps", "2")


def large(folder: Path) -> None:
    """A file whose tokens are kept."""
    model(folder)
    write_lines(folder / "d.jsonl", [{"text": f"{i} " + "the cat sat and " * 64} for i in range(4200)])


def tokens(folder: Path) -> None:
    """A home with the tokens of a large file."""
    large(folder)
    run(folder, *TRAIN, "d.jsonl", "--no-val", "--dry-run", "--ctx", "32")


def data(folder: Path) -> None:
    """Data files of every format, and settings."""
    model(folder)
    write_lines(folder / "rows.jsonl", ROWS)
    write_lines(folder / "chats.jsonl", [conversation(i) for i in range(12)])
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    write_lines(folder / "sharegpt.jsonl", [{"conversations": turns}] * 3)
    cells = [(row["prompt"], row["completion"]) for row in ROWS]
    texts = {
        "rows.json": json.dumps(ROWS[:5]),
        "rows.csv": "prompt,completion\n" + "".join(f'"{prompt}",{answer}\n' for prompt, answer in cells),
        "rows.tsv": "prompt\tcompletion\n" + "".join(f"{prompt}\t{answer}\n" for prompt, answer in cells),
        "text.txt": "Once upon a time.\n\nThe end.\n" * 9,
        "page.md": "# Title\n\nText with `code`.\n\n```py\nx = 1\n```\n" * 3,
        "c.toml": 'lr = 1e-3\nbatch_size = 2\nlora_layers = "0-1"\nwarmup = "5%"\n',
        "t.jinja": CHATML,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress((folder / "rows.jsonl").read_bytes(), mtime=0))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")


def repository(folder: Path) -> None:
    repo = Repo(folder / "repo")
    files: dict[str, str | bytes] = {
        "a.py": "def f(x):\n    return x\n" * 5,
        "README.md": "# Read me\n\nWords.\n\n## More\n\nMore words.\n",
        "doc.rst": "Title\n=====\n\nText\n",
        "page.html": "<html><body><h1>T</h1><p>Words</p></body></html>",
        ".gitignore": "*.log\n!keep.log\n",
        ".gitattributes": "*.md text\n",
        "pkg/mod.rs": "fn main() {}\n",
    }
    repo.commit("first\n\nWith a body.", files)
    repo.commit("second", {"a.py": "def f(x):\n    return x + 1\n" * 5, "new.js": "const a = () => 1;\n"})
    (folder / "repo" / "untracked.py").write_text("y = 2\n")


def github(folder: Path) -> None:
    """What the API gives, and what `gh` saved of it."""
    url = "https://api.github.com/repos/owner/name"
    times = {"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-02T00:00:00Z", "closed_at": None}
    common = {"user": {"login": "kim", "id": 7, "type": "User"}, "body": "A body.\n\n```\ncode\n```", **times}
    record = {**common, "labels": [{"name": "bug"}], "state": "open", "comments": 1, "author_association": "OWNER"}
    issue = {**record, "number": 1, "title": "Issue", "url": f"{url}/issues/1"}
    pull = {**record, "number": 2, "title": "Pull", "url": f"{url}/issues/2"}
    pull["pull_request"] = {"url": f"{url}/pulls/2", "merged_at": None}
    said = {**common, "id": 5}
    review = {**said, "pull_request_url": f"{url}/pulls/2"}
    changed = {"filename": "a.py", "status": "modified", "additions": 1, "deletions": 1}
    parts = {
        "issues": [pull, issue],
        "comments": [{**said, "issue_url": f"{url}/issues/2"}],
        "files": [{**changed, "patch": "@@ -1 +1 @@\n-a\n+b"}],
        "reviews": [{**review, "state": "APPROVED"}],
        "review_comments": [{**review, "path": "a.py", "diff_hunk": "@@ -1 +1 @@\n-a\n+b"}],
    }
    for name in ("served", "saved"):
        (folder / name).mkdir()
    for name, value in {**parts, "pull": pull, "issue": issue, "other": []}.items():
        (folder / "served" / f"{name}.json").write_text(json.dumps(value))
    for name, value in parts.items():
        (folder / "saved" / f"{name}{'-2' if name == 'files' else ''}.json").write_text(json.dumps(value))
    (folder / "served" / "headers").write_text('X-RateLimit-Remaining: 4000\r\nETag: "a"\r\n')


def endpoint(folder: Path) -> None:
    """Rows to ask about, and what an endpoint answers."""
    repository(folder)
    run(folder, *BUILD)
    shutil.rmtree(folder / "repo")
    (folder / "served").mkdir()
    content = json.dumps({"pairs": [{"question": "What does f return?", "answer": "It returns x + 1"}]})
    reply = {"choices": [{"message": {"role": "assistant", "content": content}}], "usage": {"prompt_tokens": 9}}
    (folder / "served" / "reply.json").write_text(json.dumps(reply))
    (folder / "served" / "headers").write_text("Server: x\r\n")
