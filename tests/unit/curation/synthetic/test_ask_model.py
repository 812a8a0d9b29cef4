"""Pairs by a model: what is asked, what is read, what is dropped, and everything that an endpoint can answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, chat_server, completion, refusal

from localft.curation.synthetic.filter import NEEDS_TEXT, NOT_JSON, UNSUPPORTED
from localft.curation.synthetic.model.ask_model import Asking
from localft.curation.synthetic.model.journal import Answered, Journal
from localft.curation.synthetic.model.openai import Endpoint, chat_url, choose_key
from localft.curation.synthetic.model.prompt import Pair, messages_of, read_pairs, schema
from localft.curation.synthetic.source_documents import Passage
from localft.curation.synthetic.support import Support
from localft.curation.synthetic.synth import Request, Result, synth
from localft.errors import ConfigError, DatasetError, EndpointError

TEXT = "The option --ctx sets the tokens of a row. Its default is the 99th percentile of the lengths."
GOOD = {"question": "What does --ctx set?", "answer": "The option --ctx sets the tokens of a row."}
MORE = {"question": "What is its default?", "answer": "Its default is the 99th percentile of the lengths."}


def reply(*pairs: dict[str, str]) -> str:
    return json.dumps({"pairs": list(pairs)})


def write(path: Path, n: int = 1) -> Path:
    rows = [
        {
            "text": f"Page: {i}.md\n\n{TEXT} Number {i}.\n",
            "doc": f"n:{i}.md",
            "source": {"kind": "page", "site": "n", "path": f"{i}.md", "heading": []},
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def numbered(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    """Another question for every row."""
    name = body["messages"][1]["content"].partition("of the page ")[2].partition(" ")[0]
    return completion(reply({**GOOD, "question": f"What does --ctx set, by {name}?"}))


def make(tmp_path: Path, server: ChatServer, n: int = 1, **more: Any) -> tuple[Result, list[dict[str, Any]]]:
    support = more.pop("support", 0.5)
    asking = Asking(Endpoint(server.url + "/chat/completions", "m", timeout=5), 3, 1, **{"wait": 0.01, **more})
    out = tmp_path / "out.jsonl"
    result = synth(Request((write(tmp_path / "rows.jsonl", n),), phrasings=0, support=support), out, asking)
    return result, [json.loads(line) for line in out.read_text().splitlines()]


def failure(tmp_path: Path, server: ChatServer, **more: Any) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        make(tmp_path, server, **more)
    assert not (tmp_path / "out.jsonl").exists()
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        reply(GOOD, MORE),
        json.dumps([GOOD, MORE]),
        f"Here you are:\n```json\n{reply(GOOD, MORE)}\n```\nBye {{",
        f"<think>{{'question'}} {reply(MORE)}</think>{reply(GOOD, MORE)}",
        json.dumps(GOOD) + "\n" + json.dumps(MORE),
        reply(GOOD, MORE, GOOD)[:-30],
        json.dumps({"data": {"items": [{"q": GOOD["question"], "a": GOOD["answer"]}, MORE]}}),
    ],
)
def test_pairs_are_found_however_they_come(text: str) -> None:
    assert read_pairs(text) == [Pair(**GOOD), Pair(**MORE)]


@pytest.mark.parametrize(
    "text",
    [
        f"<think>I could write {reply(GOOD)} but",
        f"\n<thinking>\n{reply(GOOD, MORE)}",
        f"[THINK]perhaps {json.dumps(GOOD)}",
        f"<|begin_of_thought|>{reply(MORE)}",
        f"<Reasoning> {json.dumps([GOOD])} no:",
    ],
)
def test_thoughts_that_do_not_end_are_no_answer(text: str) -> None:
    assert read_pairs(text) == []


def test_thoughts_of_every_writing_are_passed_over() -> None:
    for begin, end in (("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"), ("<think>", "</think>")):
        assert read_pairs(f"{begin}{reply(MORE)}{end}\n{reply(GOOD)}") == [Pair(**GOOD)]
    about = {"question": "What does <think> do?", "answer": "It begins a thought."}
    assert read_pairs(reply(about)) == [Pair(**about)]


@pytest.mark.parametrize("text", ["", "no", "{", '{"question": "q"}', '{"question": 1, "answer": "a"}', '{"a":' * 9999])
def test_no_pairs_is_no_crash(text: str) -> None:
    assert read_pairs(text) == []


def test_support_is_measured() -> None:
    support = Support(TEXT)
    assert support.of("The option --ctx sets the tokens of a row.") == 1.0
    assert support.of("Rows have tokens.") == pytest.approx((2 / 2 + 0 / 1) / 2)
    assert support.of("It is the 99th percentile.") == 1.0
    assert support.of("Bananas grow in Ecuador.") == 0.0
    assert support.of("Yes, it is.") == 0.0
    # words 2 of 4 (option, sets), neighbours 1 of 3
    assert support.of("The option sets learning rates.") == pytest.approx((2 / 4 + 0 / 3) / 2)
    assert Support("行の長さ").of("長さ") == 1.0
    assert Support("chunkTokens and n_ctx").of("chunk_tokens") == 1.0


def test_what_a_model_is_asked() -> None:
    passage = Passage("File: a.py\n\nx = 1", "n:a.py", {"kind": "file", "repository": "n", "path": "a.py"})
    system, user = messages_of(passage, passage.body, 2)
    assert system["role"] == "system"
    assert "2 questions and their answers" in user["content"]
    assert user["content"].endswith("The text is of the file a.py in n:\n\nx = 1")


def test_unsupported_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    wrong = {"question": "Who wrote it?", "answer": "Bananas grow in Ecuador."}
    beside = {"question": "What does the text say?", "answer": GOOD["answer"]}
    empty = {"question": "Nothing?", "answer": " "}
    echo = {"question": "--ctx sets tokens", "answer": "--ctx sets tokens."}
    with chat_server(lambda n, body: completion(reply(*body_pairs[n]))) as server:
        body_pairs = [[GOOD, wrong, beside], [GOOD, empty, echo]]
        result, rows = make(tmp_path, server, 2, parallel=1)
    assert [row["messages"][0]["content"] for row in rows] == [GOOD["question"]]
    assert rows[0]["synth"] == {"by": "model", "model": "m", "support": 1.0}
    assert (rows[0]["doc"], rows[0]["source"]["path"]) == ("n:0.md", "0.md")
    assert result.dropped == {
        UNSUPPORTED: 1,
        NEEDS_TEXT: 1,
        "asked already, with the same answer": 1,
        "an empty question or answer": 1,
        "an answer that is its question": 1,
    }
    assert result.pairs == {("model", "page"): 1}


def test_the_journal_is_gone_on_with(tmp_path: Path) -> None:
    def breaks(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return numbered(n, body) if n < 3 else refusal(401)

    with chat_server(breaks) as server:
        failure(tmp_path, server, n=6, parallel=1)
        journal = tmp_path / "out.jsonl.journal"
        assert len(journal.read_bytes().splitlines()) == 3
        # killed in the middle of a line
        with journal.open("ab") as file:
            file.write(b'{"key": "00')
        server.respond = numbered
        result, rows = make(tmp_path, server, 6, parallel=2)
    assert len(server.bodies) == 3 + 1 + 3
    assert (len(rows), result.progress and (result.progress.known, result.progress.done)) == (6, (3, 3))
    assert [row["doc"] for row in rows] == [f"n:{i}.md" for i in range(6)]
    with chat_server(numbered) as server:
        _, again = make(tmp_path, server, 6, support=0.9)
        assert (again, server.bodies) == (rows, [])
        make(tmp_path, server, 7)
        assert len(server.bodies) == 1


def lines() -> Iterator[bytes]:
    """A journal's line with each of its parts of another type."""
    good: dict[str, Any] = {"key": "k", "pairs": [["q", "a"]], "tokens": [1, 2], "seen": 3, "problem": ""}
    odd = (None, True, -1, 1.5, "x", [], {}, [None], [[1, 2]], [["q"]], [["q", "a", "b"]], [1, -2], ["1", "2"])
    for name, value in good.items():
        yield from (
            json.dumps({**good, name: other}).encode()
            for other in odd
            if other != value and (name, other) not in (("key", "x"), ("problem", "x"), ("pairs", []))
        )
        yield json.dumps({each: good[each] for each in good if each != name}).encode()
    for text in ("Infinity", "-Infinity", "NaN", "1e999", "9" * 5000, "[" * 500 + "]" * 500, "[" * 100_000, "\0"):
        yield json.dumps(good).replace("3", text).encode()
        yield json.dumps(good).replace("1, 2", f"1, {text}").encode()
    yield from (b"[1]", b"hello", b'{"key": "a"}', b"", b"\xff", b"null", b"\0" * 99)


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for line in lines():
        path.write_bytes(line + b"\n")
        with pytest.raises(DatasetError, match=r"line 1 of .* is no line"):
            Journal(path)
        assert path.read_bytes() == line + b"\n"
    # a line without an end is cut off where it is one of a journal's, and no other
    for text in ("my only line", '{"key"; 1'):
        path.write_text(text)
        with pytest.raises(DatasetError, match=r"line 1 of .* is no line"):
            Journal(path)
        assert path.read_text() == text
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match="is a symbolic link"):
        Journal(path)
    path.unlink()
    with Journal(path) as journal:
        assert not path.exists()
        journal.add("k", Answered([Pair("q\ud800", "a")], 1, 2, 3))
    assert Journal(path).answered["k"] == Answered([Pair("q\ud800", "a")], 1, 2, 3)


def test_what_a_server_does_not_know_is_left_out(tmp_path: Path) -> None:
    def picky(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        for name, message in (("max_tokens", "Unsupported parameter: 'max_tokens'"), ("temperature", "temperature!")):
            if name in body:
                return refusal(400, message)
        return refusal(400, "bad response_format") if "response_format" in body else numbered(n, body)

    with chat_server(picky) as server:
        make(tmp_path, server, 2, parallel=1)
    formats = [body.get("response_format", {}).get("type") for body in server.bodies]
    assert formats == ["json_schema"] * 3 + ["json_object", None, None]
    assert [
        sorted(set(body) & {"max_tokens", "max_completion_tokens", "temperature", "seed"}) for body in server.bodies
    ][-1] == ["max_completion_tokens", "seed"]
    assert server.bodies[0]["response_format"]["json_schema"]["schema"] == schema(3)


def test_too_many_requests_are_waited_for(tmp_path: Path) -> None:
    def busy(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return refusal(429, "slow down", Retry_After="0.2") if n == 0 else refusal(503) if n == 1 else numbered(n, body)

    started = time.monotonic()
    with chat_server(busy) as server:
        _, rows = make(tmp_path, server)
    assert (len(rows), len(server.bodies)) == (1, 3)
    assert 0.2 <= time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("response", "message", "n"),
    [
        (refusal(401, "Incorrect API key provided: sk-secret"), "wants a key (401)", 1),
        (refusal(403), "forbids this key to use `m` (403)", 1),
        (refusal(404, "no m"), "has no model `m`, or is no such API (404): no m", 1),
        ((429, {"error": {"message": "No", "code": "insufficient_quota"}}, {}), "has no credit left (429): No", 1),
        (refusal(402, "pay"), "has no credit left (402): pay", 1),
        (refusal(429, "Quota exceeded for requests per minute"), "too many requests (429): Quota exceeded for", 3),
        (refusal(429, "see your plan and billing details"), "too many requests (429): see your plan", 3),
        (refusal(301, Location="http://127.0.0.1:1/"), "has moved (301)", 1),
        (refusal(429, "slow down"), "too many requests (429): slow down (3 attempts)", 3),
        (refusal(500, "oops"), "fails (500): oops (3 attempts)", 3),
        ((200, b"<html>", {}), "answers something that is no chat completion (3 attempts)", 3),
        ((200, {"choices": []}, {}), "answers something that is no chat completion", 3),
        # errors with status 200, as routers and servers of one's own send them
        ((200, {"error": {"message": "upstream is down", "code": 502}}, {}), "fails (502): upstream is down (3", 3),
        ((200, {"error": {"message": "no such model", "code": 404}}, {}), "or is no such API (404): no such model", 1),
        ((200, {"error": {"message": "pay", "code": "insufficient_quota"}}, {}), "has no credit left (429): pay", 1),
        ((200, {"error": "the model is loading"}, {}), "answers with an error: the model is loading", 3),
        ((200, {"object": "error", "message": "too hot"}, {}), "no chat completion: too hot", 3),
        ((200, {"detail": "Not authenticated"}, {}), "no chat completion: Not authenticated", 3),
        (refusal(400, "maximum context length is 10"), "refuses a request (400): maximum context length is 10", 1),
    ],
)
def test_each_error_has_its_sentence(tmp_path: Path, response: Any, message: str, n: int) -> None:
    with chat_server(lambda *_: response) as server:
        error = failure(tmp_path, server, retries=2)
    assert message in error.message
    assert "sk-secret" not in f"{error.message}{error.hint}"
    assert error.hint
    assert len(server.bodies) == n


def test_a_silent_server_and_none_at_all(tmp_path: Path) -> None:
    def slow(*_: Any) -> tuple[int, Any, dict[str, str]]:
        time.sleep(0.5)
        return completion("")

    with chat_server(slow) as server:
        endpoint = Endpoint(f"{server.url}/chat/completions", "m", timeout=0.1)
        with pytest.raises(EndpointError, match=r"did not answer within 0\.1 seconds"):
            endpoint.ask([], 1, 1)
    with pytest.raises(EndpointError, match="cannot be reached: Connection refused"):
        endpoint.ask([], 1, 1)


def test_one_row_that_is_refused_does_not_stop_the_others(tmp_path: Path) -> None:
    def long(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        too_long = "page 1.md" in body["messages"][1]["content"]
        return refusal(400, "context length exceeded") if too_long else numbered(n, body)

    with chat_server(long) as server:
        result, rows = make(tmp_path, server, 4, parallel=1)
    assert [row["doc"] for row in rows] == ["n:0.md", "n:2.md", "n:3.md"]
    assert result.left_out == {"rows that the endpoint refused": 1}


def test_replies_without_pairs_are_asked_for_once_more(tmp_path: Path) -> None:
    with chat_server(lambda n, body: completion(None if n < 3 else reply(GOOD), None)) as server:
        result, rows = make(tmp_path, server, 2, parallel=1)
    assert (len(server.bodies), len(rows), result.dropped) == (4, 1, {NOT_JSON: 1})
    assert [body["seed"] for body in server.bodies] == [1, 2, 1, 2]
    assert not result.exact
    assert result.progress is not None
    assert result.progress.n_prompt > 100


def test_the_key_is_sent_and_never_said(tmp_path: Path) -> None:
    with chat_server(lambda *_: refusal(500, "bad sk-1234 in header")) as server:
        endpoint = Endpoint(f"{server.url}/chat/completions", "m", "sk-1234")
        with pytest.raises(EndpointError) as caught:
            endpoint.ask([], 1, 1)
    assert server.headers[0]["Authorization"] == "Bearer sk-1234"
    assert "sk-1234" not in f"{caught.value.message}{caught.value.hint}{endpoint!r}"
    assert "[key]" in caught.value.message


def test_addresses_and_keys() -> None:
    base = "http://127.0.0.1:8080"
    for given in (base, f"{base}/v1", f"{base}/v1/", f"{base}/v1/chat/completions"):
        assert chat_url(given) == f"{base}/v1/chat/completions"
    assert chat_url("https://h/openai/v3") == "https://h/openai/v3/chat/completions"
    for wrong in ("127.0.0.1:8080", "ftp://h", "http://", "http://h:x", "http://[", "http://h /v1"):
        with pytest.raises(ConfigError, match="address"):
            chat_url(wrong)
    for wrong in ("http://user:hunter2@h/v1", "http://user:hunter2/hunter2@h/v1"):
        with pytest.raises(ConfigError) as caught:
            chat_url(wrong)
        assert "hunter2" not in caught.value.message
    both = {"LOCALFT_API_KEY": " a ", "OPENAI_API_KEY": "b"}
    assert (choose_key("http://h/v1", both), choose_key("https://h/v1", {"OPENAI_API_KEY": "b"})) == ("a", "b")
    assert choose_key("http://h/v1", {"OPENAI_API_KEY": "b"}) == ""
    assert choose_key("http://127.0.0.1:1/v1", {"OPENAI_API_KEY": "b"}) == "b"
    with pytest.raises(ConfigError, match="characters that no key has"):
        Endpoint("u", "m", "a\nb")


def test_a_row_that_always_fails_is_left_out_and_counted(tmp_path: Path) -> None:
    """It ended the run, and each later one at the same place."""

    def fails(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return refusal(500, "too odd") if "Number 2." in body["messages"][-1]["content"] else numbered(n, body)

    for parallel in (1, 3):
        with chat_server(fails) as server:
            result, rows = make(tmp_path, server, 6, parallel=parallel, retries=1)
        assert (len(rows), dict(result.left_out)) == (5, {"rows that the endpoint failed at": 1})
        assert result.progress
        assert (result.progress.failed == set(), result.progress.seconds_left) == (False, 0.0)


@pytest.mark.parametrize("n_good", [0, 1, 4])
def test_an_endpoint_that_fails_at_every_row_ends_the_run(tmp_path: Path, n_good: int) -> None:
    def breaks(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return numbered(n, body) if n < n_good else refusal(503, "down")

    with chat_server(breaks) as server:
        error = failure(tmp_path, server, n=20, parallel=1, retries=1)
        assert "fails (503): down (2 attempts)" in error.message
        assert len(server.bodies) == n_good + 2 * 3


@pytest.mark.parametrize(
    "said",
    [
        "System role not supported",
        "Only user and assistant roles are supported, system is not",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "messages[0].role: unknown variant `system`",
    ],
)
def test_a_model_without_a_system_role_is_told_in_the_users_turn(tmp_path: Path, said: str) -> None:
    def strict(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if body["messages"][0]["role"] == "system":
            return refusal(400, said)
        assert body["messages"][0]["content"].startswith("You write question-and-answer pairs")
        return completion(reply(GOOD))

    with chat_server(strict) as server:
        _, rows = make(tmp_path, server, 1)
        assert [[turn["role"] for turn in body["messages"]] for body in server.bodies] == [["system", "user"], ["user"]]
    assert len(rows) == 1
