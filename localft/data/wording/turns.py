"""Messages as a template is given them: an answer's reasoning goes where the template looks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from localft.data.rows.row import Message
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.placeholders import Key, placeholder

KEYS = ("reasoning_content", "thinking", "reasoning")
_CLOSE = "</think>"
_LEADING = re.compile(r"\s*<think>")
_THINK_TAG = re.compile(r"<[^<>]{0,40}think[^<>]{0,40}>", re.IGNORECASE)
_CLOSING_TAG = re.compile(r"</|end", re.IGNORECASE)


class Turn(NamedTuple):
    """One message, its reasoning apart from what it says.

    Attributes:
        content: what it says; of an answer as the file has it, where reasoning is not told apart.
        reasoning: what was thought before.
        key: the template's key for it; "" where it stands in the content, between `opening` and `closing`.
        trained: an answer that is learned.
    """

    role: str
    content: str
    input: str = ""
    reasoning: str = ""
    key: str = ""
    opening: str = ""
    closing: str = ""
    trained: bool = True

    @property
    def shape(self) -> tuple[object, ...]:
        """Turns of the same shape have the same text with placeholders."""
        if self.key or self.closing:
            return self.role, bool(self.input), self.key, self.opening, self.closing, bool(self.reasoning)
        return (self.role, bool(self.input), self.thinks) if _CLOSE in self.content else (self.role, bool(self.input))

    def plain(self) -> dict[str, str]:
        """As the template sees it."""
        return self._dict(self.content, self.input, self.reasoning)

    def marked(self, i: int) -> dict[str, str]:
        """The same as message `i`, with placeholders for what was written."""
        reasoning = placeholder(i, "reasoning") if self.reasoning else ""
        return self._dict(placeholder(i, "content"), placeholder(i, "input"), reasoning)

    def _dict(self, content: str, given: str, reasoning: str) -> dict[str, str]:
        fields = {"role": self.role, "content": content}
        if self.input:
            fields["input"] = given
        if self.key:
            fields[self.key] = reasoning
        elif self.closing:
            fields["content"] = f"{self.opening}{reasoning}{self.closing}{content}"
        return fields

    @property
    def thinks(self) -> bool:
        """There is reasoning in it, told apart or not."""
        if self.reasoning or self.closing:
            return bool(self.reasoning.strip())
        return self.role == "assistant" and _CLOSE in self.content and bool(_within(self.content)[1].strip())


def plain(turns: Iterable[Turn]) -> list[dict[str, str]]:
    """As a template sees them."""
    return [turn.plain() for turn in turns]


def marked(turns: Iterable[Turn]) -> list[dict[str, str]]:
    """The same with placeholders."""
    return [turn.marked(i) for i, turn in enumerate(turns)]


def contents(turns: Iterable[Turn]) -> dict[Key, str]:
    """What stands for the placeholders."""
    found: dict[Key, str] = {}
    for i, turn in enumerate(turns):
        found[i, "content"] = turn.content
        if turn.input:
            found[i, "input"] = turn.input
        if turn.reasoning:
            found[i, "reasoning"] = turn.reasoning
    return found


class Reasoning:
    """How a template takes the reasoning of an answer, found by rendering one.

    Args:
        template: any.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def readings(self, messages: Sequence[Message]) -> list[list[Turn]]:
        """The ways in which these messages may be given to the template: the one for answers first.

        In the others earlier answers are given as a template may take those, the last message as in the first.

        Raises:
            RenderError: a message holds reasoning apart, and the template prints none.
        """
        for role, content, _, reasoning, _ in messages:
            if reasoning or (role == "assistant" and _CLOSE in content):
                break
        else:
            return [
                [Turn(role, content, given, "", "", "", "", trained) for role, content, given, _, trained in messages]
            ]
        if any(m.reasoning for m in messages) and not self.key:
            raise RenderError("it does not print the reasoning that the row holds apart from the answer", _NOT_PRINTED)
        ways = _WAYS[self._way]
        return [[self._turn(m, way if m is not messages[-1] else ways[0]) for m in messages] for way in ways]

    def _turn(self, message: Message, way: str) -> Turn:
        role, content, given, reasoning, trained = message
        if reasoning:
            return Turn(role, content, given, reasoning, self.key, trained=trained)
        if role != "assistant" or _CLOSE not in content or way == "content":
            return Turn(role, content, given, trained=trained)
        opening, reasoning, closing, rest = _within(content)
        if way == "inline":
            return Turn(role, rest, given, reasoning, "", opening, closing, trained)
        if _LEADING.match(content) or self._opens:
            return Turn(role, rest, given, reasoning, self.key if reasoning else "", trained=trained)
        return Turn(role, content, given, trained=trained)

    @cached_property
    def key(self) -> str:
        """The key under which the template prints reasoning, or ""."""
        here = placeholder(1, "reasoning")
        return next((key for key in KEYS if here in self._answer(placeholder(1, "content"), key)), "")

    @cached_property
    def sample(self) -> Turn | None:
        """An answer with reasoning as this template takes it; None where reasoning is part of what is said."""
        if self._way == "inline":
            return Turn("assistant", "", "", "thought", "", "<think>\n", "\n</think>\n\n")
        return Turn("assistant", "", "", "thought", self.key) if self.key else None

    @cached_property
    def _way(self) -> Literal["inline", "key", "content"]:
        """Where the reasoning belongs that stands in the content between `<think>` and `</think>`.

        It stays there where the template looks for it, and where the template prints it as any text without writing
        another such block of its own.
        """
        reasoning, said = placeholder(1, "reasoning"), placeholder(1, "content")
        written = f"<think>{reasoning}</think>{said}"
        text = self._answer(written)
        spaced = f"<think>\n{reasoning}\n</think>\n\n{said}"
        if self._answer(said).replace(said, written) != text or spaced not in self._answer(spaced):
            return "inline"
        if not self.key:
            return "content"
        by_key = self._answer(said, self.key)
        own = by_key[: by_key.find(reasoning)].rstrip().endswith("<think>")
        return "content" if own and len(_THINK_TAG.findall(text, text.rfind(_ASKED))) == 2 else "key"

    @cached_property
    def _opens(self) -> bool:
        try:
            prompt = self._template.render(_QUESTION, generation_prompt=True)
        except RenderError:
            return False
        return open_tag(prompt) == "<think>"

    def _answer(self, content: str, key: str = "") -> str:
        answer = {"role": "assistant", "content": content}
        if key:
            answer[key] = placeholder(1, "reasoning")
        try:
            return self._template.render([*_QUESTION, answer], generation_prompt=False)
        except RenderError:
            return ""


def open_tag(prompt: str) -> str:
    """The tag with which a prompt, or what of it follows the last message, lets the model begin to think; else ""."""
    tags = _THINK_TAG.findall(prompt)
    return tags[-1] if tags and not _CLOSING_TAG.search(tags[-1]) else ""


def has_tag(text: str) -> bool:
    """Whether it has a tag that begins or ends thinking."""
    return "think" in text.lower() and bool(_THINK_TAG.search(text))


def thinks_first(content: str) -> bool:
    """Whether an answer as written begins with `<think>`."""
    return bool(_LEADING.match(content))


def behind_open_tag(prompt: str, text: str) -> str:
    """What of an answer that begins with `<think>` is left behind a prompt that has written it."""
    rest = text[match.end() :] if (match := _LEADING.match(text)) else text
    space = prompt[len(prompt.rstrip()) :]
    return rest.removeprefix(space)


def _within(content: str) -> tuple[str, str, str, str]:
    """What stands before the reasoning, the reasoning, what ends it, and the rest."""
    close = content.index(_CLOSE)
    leading = _LEADING.match(content)
    head = content[:close]
    text = head[leading.end() :] if leading else head
    reasoning = text.strip()
    start = close - len(text.lstrip()) if reasoning else close - len(text)
    tail = content[close + len(_CLOSE) :]
    rest = tail.lstrip()
    end = start + len(reasoning)
    return content[:start], reasoning, content[end : len(content) - len(rest)], rest


_ASKED = "localft asks"
_QUESTION = [{"role": "user", "content": _ASKED}]
_WAYS = {"inline": ("inline", "content"), "key": ("key",), "content": ("content", "inline")}
_NOT_PRINTED = (
    "write the reasoning into the answer, between <think> and </think>, or leave it out, or use another template "
    "(--template)"
)
