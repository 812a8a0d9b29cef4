"""What a model is asked, and how its reply is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from localft.curation.synthetic.source_documents import Passage

SYSTEM = (
    "You write question-and-answer pairs that teach a model about a project. You use nothing but the text that you "
    "are given."
)
RULES = """Write {n} of what is in the text below, as JSON: {{"pairs": [{{"question": "…", "answer": "…"}}]}}

- Ask what somebody who works with {name} would ask. They do not see the text: name the file, function, option or \
subject that you mean, never "the text" or "this file".
- Answer in full sentences from the text alone, in its own words where you can. Ask nothing that it does not answer.
- Each question asks for something else. Write in the language of the text.

The text is {about}:

{text}"""
# a part of every journal's keys: another wording of the above is another question
VERSION = 1

_THOUGHT = re.compile(r"\A.*</think>", re.DOTALL)
# thoughts that were broken off: what they consider is no answer
_THINKING = re.compile(r"\s*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\]|<\|begin_of_thought\|>)", re.IGNORECASE)
_THOUGHT_ENDS = re.compile(r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|<\|end_of_thought\|>", re.IGNORECASE)
# characters of a reply that are read
_MOST = 1 << 17
# how often a reply is read in search of JSON that is not broken, and characters of what is nested too deeply
_MOST_READ, _DEEP = 8, 4096
_QUESTIONS, _ANSWERS = ("question", "q", "prompt"), ("answer", "a", "response")


class Pair(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


def schema(n_pairs: int) -> dict[str, Any]:
    """JSON schema of a reply; every key is required and no other allowed, as strict endpoints want it."""
    text = {"type": "string"}
    pair = _object({"question": text, "answer": text})
    return _object({"pairs": {"type": "array", "items": pair, "minItems": 1, "maxItems": n_pairs}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def messages_of(passage: Passage, text: str, n_pairs: int) -> list[dict[str, str]]:
    """What a model is asked.

    Args:
        passage: says where the text is from.
        text: of the passage, perhaps only its beginning.
        n_pairs: how many are asked for.
    """
    n = "one question and its answer" if n_pairs == 1 else f"{n_pairs} questions and their answers"
    asked = RULES.format(n=n, name=passage.name or "it", about=_about(passage), text=text)
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]


def in_one_turn(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Messages for a template without a system role: what it would say begins the user's turn."""
    system, user, *others = messages
    if system["role"] != "system":
        return messages
    return [{"role": "user", "content": f"{system['content']}\n\n{user['content']}"}, *others]


def _about(passage: Passage) -> str:
    number = passage.fact("number")
    words = {
        "file": f"of the file {passage.path}",
        "page": f"of the page {passage.path}",
        "pull_request": f"of pull request #{number}",
        "issue": f"of issue #{number}",
        "commit": f"of commit {passage.fact('revision')[:12]}",
    }.get(passage.kind, "")
    return f"{words} in {passage.name}" if words and passage.name else words or "this"


def read_pairs(reply: str) -> list[Pair]:
    """Every pair in a reply: JSON as asked for, in a code fence, behind words, or broken off.

    What is broken off in the middle of a pair loses that pair.
    """
    if _THINKING.match(reply):
        ends = [end.end() for end in _THOUGHT_ENDS.finditer(reply)]
        reply = reply[ends[-1] :] if ends else ""
    return list(_pairs(_THOUGHT.sub("", reply, count=1)[:_MOST]))


def _pairs(text: str) -> Iterator[Pair]:
    decoder = json.JSONDecoder(strict=False)
    at, left = text.find("{"), _MOST_READ * len(text)
    while at >= 0 and left > 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            left -= error.pos - at if isinstance(error, json.JSONDecodeError) else _DEEP
            end = at + 1
        else:
            yield from _found(value, 0)
        at = text.find("{", end)


def _found(value: Any, depth: int) -> Iterator[Pair]:
    """Pairs anywhere in a JSON value, a few levels deep."""
    if isinstance(value, list) and depth < 4:
        for each in value:
            yield from _found(each, depth + 1)
    elif isinstance(value, dict):
        question, answer = (_first(value, keys) for keys in (_QUESTIONS, _ANSWERS))
        if question is not None and answer is not None:
            yield Pair(question, answer)
        elif depth < 4:
            for each in value.values():
                yield from _found(each, depth + 1)


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((value[key] for key in keys if isinstance(value.get(key), str)), None)
