"""What reaches a terminal: every command on a real one, with names and contents that try to steer it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import gguf
import pytest
from adapters import factors, raw_adapter
from chat_server import chat_server, completion, refusal
from checkpoints import _field, write_checkpoint
from github_server import Fault, GitHub
from pseudo_terminal import Shown, Terminals
from repos import Repo
from tiny_llama import write_model

from localft.adapter.origin import BASE_NAME, BASE_SHA256
from localft.cli import cli

MARK = "M4RK"
# The title, the screen, hidden and blinking text, C1, overrides and isolates, U+FEFF, tags, markup.
EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x1b[8m\x1b[5m\x9b31m\x9d2;t\x9c\x90q\x1b\\\x1b(0\x1bc\u202e\u2066\u2069\ufeff\U000e0041"
    f"\r\x08\x7f\x85\x0e\u2028{MARK}[blink][link=e:]x\x1b"
)
FORGED = "\x1b]52;c;b3duZWQ=\x07\x1b[1000D"
# Emoji of several, Persian, Hindi, Arabic with a mark of direction, a soft hyphen.
SPEECH = "👨\u200d👩\u200d👧 می\u200cخواهم क्\u200dष عدد\u200f: 5 Donau\xaddampf \u200eab"
JOINING = "\u200c\u200d\u200e\u200f\xad"

# All that we write ourselves: colours, a line erased, rich's bar, and readline's line (pasting, moving, erasing).
COLOUR = r"(?:[0-4]|[39][0-7]|38;5;\d+|38;2;\d+;\d+;\d+)"
OURS = re.compile(rf"\x1b\[(?:{COLOUR}(?:;{COLOUR})*m|K|2K|1A|\?25[hl]|\?2004[hl]|\?1034h|C)")


def cleaned(shown: Shown) -> str:
    """The text alone; anything in it that a terminal might obey, or that we never write, fails the test."""
    text = OURS.sub("", shown.text)
    strange = {char for char in text if not char.isprintable() and char not in "\r\n\t" + JOINING}
    assert not strange, f"{sorted(strange)} in {shown.text!r}"
    assert "Traceback" not in text
    assert shown.status != 99
    return text


class Work:
    """A folder to run commands in."""

    def __init__(self, folder: Path, terminals: Terminals) -> None:
        self.folder, self.terminals = folder, terminals

    def __call__(self, *arguments: str | Path, mark: str = MARK, **more: Any) -> str:
        """The text that a command shows; `mark` is in it, so that what tries to steer the terminal came that far."""
        shown = self.terminals.run([*map(str, arguments)], self.folder, **more)
        text = cleaned(shown)
        assert mark in re.sub(r"\s|[│╭╮╰╯]", "", text), shown.text
        return text

    def rows(self, name: str, *rows: Any) -> str:
        path = self.folder / name
        path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), "utf-8")
        return name

    def model(self, file: str = "base.gguf", **more: Any) -> str:
        write_model(self.folder / file, **more)
        return file


Case = Callable[[Work], object]
CASES: list[tuple[str, Case]] = []


def case(command: str) -> Callable[[Case], Case]:
    def keep(each: Case) -> Case:
        CASES.append((command, each))
        return each

    return keep


def commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name


@pytest.fixture(scope="module")
def terminals() -> Iterator[Terminals]:
    with Terminals() as terminals:
        yield terminals


@pytest.fixture
def work(tmp_path: Path, terminals: Terminals) -> Work:
    return Work(tmp_path, terminals)


@pytest.mark.parametrize("command", sorted(commands(cli)))
def test_what_click_says_of_an_argument(command: str, work: Work) -> None:
    work(*command.split(), f"--{EVIL}")
    work(*command.split()[:-1], EVIL)


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", EVIL),
        ("chat", EVIL),
        ("chat", "--temp", EVIL),
        ("finetune", EVIL),
        ("finetune", "--lr", EVIL, "--model", "demo", "--data", "x"),
        ("finetune", "--lora-rank", EVIL, "--model", "demo", "--data", "x"),
        ("bench", "--ctx", EVIL),
        ("data", "build", ".", "-o", "x", "--max-file-size", EVIL),
        ("data", "build", ".", "-o", "x", "--kind", EVIL),
        ("data", "synth", "x", "-o", "x", "--price", EVIL),
        ("data", "show", "x", "--model", "demo", "--row", EVIL),
        ("data", "github", "a/b", "-o", "x", "--since", EVIL),
    ],
)
def test_what_is_said_of_a_value(arguments: tuple[str, ...], work: Work) -> None:
    work(*arguments)


@case("convert")
def a_checkpoint(work: Work) -> None:
    folder = write_checkpoint(work.folder / EVIL)
    with (folder / "tokenizer.model").open("ab") as file:
        file.write(_field(3, _field(1, f"nfkc {EVIL}".encode())))
    assert "normalises" in work("convert", folder.name, "--outtype", "f32")
    work("convert", folder.name, "--outtype", "f32", "--json", "--out", f"{EVIL}.gguf")
    (folder / "config.json").write_text(json.dumps({"architectures": [EVIL], "model_type": EVIL}))
    work("convert", folder.name, "--force")


@case("convert")
def a_name(work: Work) -> None:
    work("convert", EVIL)
    work("convert", "demo", "--outtype", EVIL)


def pairs(n: int = 24) -> list[dict[str, str]]:
    return [{"prompt": f"{i} {EVIL} {FORGED}?", "completion": f" {SPEECH} {i * i} {EVIL}"} for i in range(n)]


@case("finetune")
def a_run(work: Work) -> None:
    data = work.rows(f"{EVIL}.jsonl", *pairs(9))
    model = work.model(f"{EVIL}.gguf", name=EVIL)
    run = ("finetune", "--model", model, "--data", data, "--val-samples", "1", "--ctx", "1024")
    run = (*run, "--max-steps", "1", "--threads", "1")
    text = work(*run, "--out", EVIL)
    assert "[blink][link=e:]x" in re.sub(r"\s|[│╭╮╰╯]", "", text)
    work(*run, "--out", "plain", TERM="dumb")
    work(*run, "--out", f"json {EVIL}", "--json")
    work("finetune", "--resume", EVIL)


@case("finetune")
def a_config(work: Work) -> None:
    (work.folder / f"{EVIL}.toml").write_text(json.dumps(EVIL) + " = 1\n")
    work("finetune", "--config", f"{EVIL}.toml")
    work("finetune", "--model", work.model(), "--data", EVIL)
    work("finetune", "--train-data", EVIL, "--model-base", EVIL)


@case("finetune")
def a_row_that_is_refused(work: Work) -> None:
    work("finetune", "--model", work.model(), "--data", work.rows("a.jsonl", {EVIL: EVIL}))
    template = "{{ raise_exception(" + json.dumps(EVIL) + ") }}"
    messages = {"messages": [{"role": role, "content": EVIL} for role in ("user", "assistant")]}
    model = work.model("refusing.gguf", chat=True, template=template)
    work("finetune", "--model", model, "--data", work.rows("b.jsonl", *([messages] * 9)))


def chat(work: Work, *arguments: str | Path, **more: Any) -> str:
    return work("chat", "--threads", "1", "--max-tokens", "99", *arguments, **more)


# An answer's tokens: sequences begin in one and end in another, and the last one does not end.
SAID = (
    "\x1b",
    "]0;ow",
    "ned\x07",
    "\x1b[8",
    "mhid",
    "den\x9b",
    "10",
    "00D\u202e",
    MARK,
    "\r\x7f",
    SPEECH,
    "\x1b]never",
)


@case("chat")
def an_answer(work: Work) -> None:
    model = work.model(f"{EVIL}.gguf", says=SAID)
    text = chat(work, "--model", model, "--raw", "--prompt", f"{EVIL} {SPEECH} the cat")
    assert text.count(SPEECH) == 2
    assert text.endswith(f"the cathiddenM4RK{SPEECH}never\r\n")
    typed = ("the cat", "/retry", "/nope", "/compare", "/system", "/help", "/exit")
    assert chat(work, "--model", model, type=typed, LANG="C.UTF-8").count(f"M4RK{SPEECH}never\r\n") == 2


@case("chat")
def a_system_message_and_an_adapter_of_another(work: Work) -> None:
    model = work.model(chat=True, says=SAID)
    with raw_adapter(
        work.folder / f"{EVIL}.gguf",
        name=lambda writer: writer.add_string(BASE_NAME, EVIL),
        hash=lambda writer: writer.add_string(BASE_SHA256, EVIL),
    ) as writer:
        factors(writer)
    chat(work, "--lora", f"{EVIL}.gguf", "--prompt", "x")
    options = ("--model", model, "--lora", f"{EVIL}.gguf", "--system", f"{SPEECH} {EVIL}")
    text = chat(work, *options, type=("/system", "/exit"))
    assert "was trained on" in text or "is not the file" in text
    assert text.count(SPEECH) == 1


@case("chat")
def a_template_that_refuses(work: Work) -> None:
    model = work.model(chat=True, template="{{ raise_exception(" + json.dumps(EVIL) + ") }}")
    chat(work, "--model", model, type=("the cat", "/exit"))
    chat(work, "--model", model, "--prompt", "x")
    (work.folder / f"{EVIL}.jinja").write_text("{{ " + EVIL)
    chat(work, "--model", model, "--template", f"{EVIL}.jinja", "--prompt", "x", mark="unexpected")
    chat(work, "--model", model, "--template", EVIL, "--prompt", "x")


@case("bench")
def a_model(work: Work) -> None:
    model = work.model(f"{EVIL}.gguf", name=EVIL)
    work("bench", "--model", model, "--threads", "1", "--ctx", "8")
    work("bench", "--model", model, "--threads", "1", "--ctx", "8", "--json")
    work("bench", "--model", EVIL)
    damaged(work.folder / f"damaged {EVIL}.gguf")
    work("bench", "--model", f"damaged {EVIL}.gguf")


def damaged(path: Path) -> None:
    """A header with a hostile architecture, hostile keys and hostile tensors."""
    writer = gguf.GGUFWriter(path, EVIL)
    writer.add_string(EVIL, EVIL)
    factors(writer, EVIL)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@case("doctor")
def the_environment(work: Work) -> None:
    home = {"LOCALFT_HOME": str(work.folder / EVIL), "HF_HOME": str(work.folder / f"hub {EVIL}")}
    assert work("doctor", **home).count(MARK) >= 2
    work("doctor", "--json", **home)


@case("data build")
def a_repository(work: Work) -> None:
    repo = Repo(work.folder / EVIL)
    files = {f"{EVIL}.py": f"# {EVIL}\nx = 1\n" * 9, f"{EVIL}.md": f"# {EVIL}\n\n{SPEECH}\n" * 9, f"{EVIL}.lock": EVIL}
    repo.commit(
        f"{EVIL}\n\n{EVIL}",
        {"a.py": f"# {EVIL}\n" * 9, **files, f"{EVIL}.bin": b"\0" * 99, f"vendor/{EVIL}.py": "y = 2\n"},
    )
    repo.git("config", "user.name", EVIL)
    kinds = [word for kind in ("repo", "docs", "history") for word in ("--kind", kind)]
    work("data", "build", EVIL, *kinds, "-o", f"{EVIL}.jsonl")
    work("data", "build", EVIL, "-o", "rows.jsonl", "--json", "--name", EVIL)
    work("data", "build", EVIL, "-o", "rows.jsonl", "--rev", f"a{EVIL}")
    work("data", "build", f"{EVIL}none", "-o", "rows.jsonl")
    work("data", "build", f"file:///{EVIL}.git", "-o", "rows.jsonl")


def documents(work: Work) -> str:
    rows = [
        {"text": f"File: {EVIL}{i}.txt\n\n{EVIL} {i}.\n", "doc": f"{EVIL}{i}", "source": {"kind": "file", "path": EVIL}}
        for i in range(12)
    ]
    return work.rows(f"{EVIL}.jsonl", *rows)


@case("data synth")
def an_endpoint(work: Work) -> None:
    rows = documents(work)
    answers = iter((completion(json.dumps({"pairs": [{"question": f"{EVIL}?", "answer": EVIL}]})), refusal(404, EVIL)))
    with chat_server(lambda n, body: next(answers)) as server:
        options = ("--endpoint", server.url, "--endpoint-model", EVIL, "--limit", "2", "--parallel", "1")
        text = work("data", "synth", rows, "-o", f"{EVIL}.out", *options, "--retries", "0")
    assert "replies so far" in text
    work("data", "synth", rows, "-o", f"{EVIL}.out", "--endpoint", EVIL, "--endpoint-model", EVIL)
    work("data", "synth", rows, "-o", f"{EVIL}.out")
    work("data", "synth", rows, "-o", f"{EVIL}.out", "--json")
    work("data", "synth", f"{EVIL}none", "-o", "x")


@case("data split")
def documents_apart(work: Work) -> None:
    work("data", "split", documents(work), "-o", EVIL)
    work("data", "split", documents(work), "-o", f"other {EVIL}", "--json")
    work("data", "split", work.rows("bad.jsonl", {EVIL: 1}), documents(work), "-o", EVIL)
    work("data", "split", f"{EVIL}none", "-o", "x")


@case("data check")
def rows_of_all_sorts(work: Work) -> None:
    rows = [*pairs(), *pairs(3), {EVIL: EVIL}, f"{EVIL}\n", {"messages": [{"role": EVIL, "content": EVIL}]}]
    data = work.rows(f"{EVIL}.jsonl", *rows)
    work("data", "check", data, "--all")
    work("data", "check", data, "--all", "--model", work.model(f"{EVIL}.gguf"), "--val-data", data)
    work("data", "check", data, "--json")
    work("data", "check", f"{EVIL}none")


@case("data github")
def a_server(work: Work) -> None:
    github = GitHub()
    try:
        options = ("owner/name", "-o", f"{EVIL}.jsonl", "--api-url", github.url)
        github.issue(1, EVIL, body=EVIL, labels=[{"name": EVIL}])
        github.pull(2, EVIL)
        github.comment(1, EVIL, "2024-03-01T11:00:00Z", EVIL)
        github.file(2, EVIL, f"@@ -0,0 +1 @@\n+{EVIL}")
        work("data", "github", *options, "--logins")
        github.faults.append(Fault("", 422, json.dumps({"message": EVIL}).encode(), times=9))
        work("data", "github", *options)
    finally:
        github.stop()
    work("data", "github", EVIL, "-o", "x")
    (work.folder / EVIL).mkdir()
    (work.folder / EVIL / f"{EVIL}.json").write_text(json.dumps({EVIL: EVIL}))
    work("data", "github", "owner/name", "-o", "x", "--from", EVIL)


@case("data show")
def rows_as_they_are(work: Work) -> None:
    data, model = work.rows(f"{EVIL}.jsonl", *pairs(), {EVIL: EVIL}), work.model(f"{EVIL}.gguf")
    text = work("data", "show", data, "--model", model, "-n", "2")
    assert text.count(SPEECH) == 2
    work("data", "show", data, "--model", model, "--tokens", NO_COLOR="1")
    work("data", "show", data, "--model", model, "--row", "99")
    work("data", "show", data, "--model", model, "--html", f"{EVIL}.html")
    page = (work.folder / f"{EVIL}.html").read_text("utf-8")
    assert page.count("\u200c") == page.count("\xad") == 24
    assert {char for char in page if not char.isprintable() and char not in "\n" + JOINING} == set()


def test_every_command_has_a_case() -> None:
    assert {command for command, _ in CASES} == set(commands(cli))


@pytest.mark.parametrize(("command", "each"), [pytest.param(*one, id=f"{one[0]}: {one[1].__name__}") for one in CASES])
def test_nothing_from_outside_steers_a_terminal(command: str, each: Case, work: Work) -> None:
    each(work)


def test_a_file_gets_an_answer_byte_for_byte(work: Work) -> None:
    model, out = work.model(says=SAID), work.folder / "out.txt"
    arguments = ["chat", "--model", model, "--raw", "--prompt", "the cat", "--threads", "1"]
    assert work.terminals.run(arguments, work.folder, out=out).status == 0
    assert out.read_bytes() == ("".join(SAID) + "\n").encode()


def test_a_file_gets_names_and_json_as_they_are(work: Work) -> None:
    name = b"a \x1b[2J \xff \xe2\x80\xae.html"
    data, model, out = work.rows(f"{EVIL}.jsonl", *pairs(3)), work.model(), work.folder / "out.txt"
    arguments = ["data", "show", data, "--model", model, "--html", name.decode("utf-8", "surrogateescape")]
    assert work.terminals.run(arguments, work.folder, out=out).status == 0
    assert out.read_bytes() == name + b"\n"
    out.unlink()
    arguments = ["finetune", "--model", model, "--data", data, "--dry-run", "--json", "--no-val", "--ctx", "1024"]
    assert work.terminals.run(arguments, work.folder, out=out).status == 0
    events = [json.loads(line) for line in out.read_text("utf-8").split("\n")[:-1]]
    assert events[-1]["settings"]["data"]["value"] == [f"{EVIL}.jsonl"]
    assert "\u202e" in out.read_text("utf-8")
