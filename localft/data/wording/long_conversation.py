"""The answers of a long conversation, found as those of a short one are, in a time that grows with its length alone.

For each answer the template is asked what it writes before it, and so a conversation of n answers would be rendered n
times. Here each of those renderings begins where the whole one had come to (see `bounded/trace.py`), and is compared
with it from there on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.cuts import OPEN, Closing, Cut, closing_of, header_of, n_common
from localft.data.wording.placeholders import PLACEHOLDER, Key, placeholder
from localft.model.tokenizer import Tokenizer

Messages = Sequence[Mapping[str, str]]
_BACK = 64  # characters, more than a placeholder has


class Rendering:
    """A conversation rendered as a whole, and its prefixes by what they have in common with it.

    Raises:
        UnsharedError: the template does not allow that.
    """

    def __init__(self, template: ChatTemplate, messages: Messages, generation_prompt: bool) -> None:
        self._template, self._messages, self._generation_prompt = template, messages, generation_prompt
        self._record = template.trace(messages, generation_prompt=generation_prompt)
        self.text = self._record.text

    def prefix(self, n: int) -> tuple[int, str]:
        """The rendering of the first `n` messages: so many characters of the whole, and a tail behind them."""
        if n == len(self._messages):
            return len(self.text), ""
        if n < self._record.need:
            return 0, self._template.render(self._messages[:n], generation_prompt=self._generation_prompt)
        trace = self._template.trace_prefix(self._record, n, generation_prompt=self._generation_prompt)
        return trace.n_shared, trace.tail

    def before(self, n: int) -> tuple[int, str]:
        """The same of what stands before message `n`; before the first there may be nothing that can be rendered."""
        try:
            return self.prefix(n)
        except RenderError:
            if n:
                raise
            return 0, ""


@dataclass(frozen=True)
class Answer:
    """One answer: where it stands, and the header in front of it that the generation prompt does not write."""

    number: int
    cut: Cut
    header: str


class MarkedConversation:
    """A long conversation with placeholders for its contents.

    Args:
        messages: placeholders for contents.
        generation_prompt: whether `text` ends with the opening of the next answer.

    Attributes:
        text: all of it.

    Raises:
        UnsharedError: the template does not allow that.
    """

    def __init__(
        self, template: ChatTemplate, tokenizer: Tokenizer, messages: Messages, generation_prompt: bool
    ) -> None:
        self._tokenizer = tokenizer
        self._prompts = Rendering(template, messages, True)
        self._answered = Rendering(template, messages, False)
        self.text = (self._prompts if generation_prompt else self._answered).text
        self._n_common = n_common(self._prompts.text, self._answered.text)
        self._starts = [match.start() for match in PLACEHOLDER.finditer(self.text)]
        self._places: dict[str, list[int]] = {}
        for match in PLACEHOLDER.finditer(self.text):
            self._places.setdefault(match[0], []).append(match.start())

    def answers(self, numbers: Sequence[int]) -> list[Answer] | None:
        """The answers with these numbers; None where one cannot be told apart."""
        found = []
        for i in numbers:
            answer = self._answer(i)
            if answer is None:
                return None
            found.append(answer)
        return found

    def _answer(self, i: int) -> Answer | None:
        here = placeholder(i, "content")
        places = self._places.get(here, [])
        n_prompt, prompt = self._prompts.before(i)
        n_answered, answered = self._answered_prefix(i)
        # all that is compared begins here: before it both are the same
        start = max(0, min(n_prompt, n_answered, self._n_common) - _BACK)
        prompt = self._prompts.text[start:n_prompt] + prompt
        answered = self._answered.text[start:n_answered] + answered
        seen_before = any(place < start for place in places)
        at = -1 if seen_before else answered.find(here)
        header = header_of(prompt, answered, at)
        opening = start + len(prompt) + len(header)
        if len(places) != 1 or places[0] < opening or not self.text.startswith(prompt + header, start):
            return None
        if self._starts[bisect_left(self._starts, opening)] != places[0]:
            return None
        end = self._closing(answered[at + len(here) :] if at >= 0 else "").behind(
            self._tokenizer, self.text, places[0] + len(here)
        )
        return None if end is None else Answer(i, Cut(opening, *end), header)

    def _closing(self, written: str) -> Closing:
        found = closing_of(self._tokenizer, written)
        return found if found.ends or self._prompts.text != self._answered.text else OPEN

    def _answered_prefix(self, i: int) -> tuple[int, str]:
        try:
            return self._answered.prefix(i + 1)
        except RenderError:
            return 0, ""


def follows_prompts(
    template: ChatTemplate,
    messages: Messages,
    answers: Sequence[Answer],
    text: str,
    filled: Mapping[Key, str],
    real: str,
) -> bool:
    """Whether every answer of a conversation follows the prompt that chat would give.

    Args:
        messages: with their contents.
        answers: as they stand in `text`.
        text: the conversation with placeholders; with `filled` in their places it is `real`.

    Raises:
        UnsharedError: the template does not allow that.
    """
    prompts = Rendering(template, messages, True)
    n_same = n_common(real, prompts.text)
    shift, ends, shifts = 0, [0], [0]
    for match in PLACEHOLDER.finditer(text):
        shift += len(filled.get((int(match[1]), match[2]), "")) - len(match[0])
        ends.append(match.end())
        shifts.append(shift)
    for answer in answers:
        end = answer.cut.start + shifts[bisect_right(ends, answer.cut.start) - 1]
        n, tail = prompts.before(answer.number)
        start = min(n, n_same, end)
        if prompts.text[start:n] + tail + answer.header != real[start:end]:
            return False
    return True
