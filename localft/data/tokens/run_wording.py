"""Rows to tokens by the templates of one run, and what there is to say about that."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from localft.data.reading.data_file import place
from localft.data.rows.row import Row, RowKind
from localft.data.tokens.tokenize import Unit, tokenize_row
from localft.data.wording.chat_template import RenderError
from localft.data.wording.template import TemplateInfo, choose_templates, formatter, refused
from localft.errors import DatasetError, TextError
from localft.model.tokenizer import Tokenizer


@dataclass(frozen=True)
class Habits:
    """What a chat template did with the answers of some rows.

    Attributes:
        adds_end: it wrote no end token behind one.
        thinks: one was learned with its reasoning.
        open_tag: the tag with which its prompt begins the model's thinking, behind which an answer without reasoning
            was learned; else "".
        closed: such an answer was learned behind an empty block that the template wrote.
    """

    adds_end: bool = False
    thinks: bool = False
    open_tag: str = ""
    closed: bool = False

    def joined(self, other: Habits) -> Habits:
        """What it did with the answers of both."""
        return Habits(
            self.adds_end or other.adds_end,
            self.thinks or other.thinks,
            self.open_tag or other.open_tag,
            self.closed or other.closed,
        )


class RunWording:
    """The templates of a run, by kind of row, and the formatters made of them."""

    def __init__(
        self, tokenizer: Tokenizer, template: str | None, raw: bool, today: str | None, train_on_prompt: bool
    ) -> None:
        self.tokenizer = tokenizer
        self.train_on_prompt = train_on_prompt
        self.templates = choose_templates(tokenizer, template, raw, today)
        made = {info: formatter(info, tokenizer) for info in set(self.templates.values())}
        self.formatters = {kind: made[info] for kind, info in self.templates.items()}
        self.given = (template, raw)
        self.today = self.templates["text"].date
        self.before = Habits()

    @property
    def habits(self) -> Habits:
        """What the chat template did with answers: here, or where rows were worded before."""
        chats = [formats for kind, formats in self.formatters.items() if self.templates[kind].kind == "chat"]
        return Habits(
            self.before.adds_end or any(formats.adds_end for formats in chats),
            self.before.thinks or any(formats.thinks for formats in chats),
            next((formats.open_tag for formats in chats if formats.open_tag), self.before.open_tag),
            self.before.closed or any(formats.closed for formats in chats),
        )

    def remember(self, habits: Habits) -> None:
        """Take over what was found where rows were worded before."""
        self.before = self.habits.joined(habits)

    @property
    def made_of(self) -> list[object]:
        """All that decides how rows are worded, as plain values; the day only where a template may print it."""
        infos = {kind: info.to_dict() for kind, info in self.templates.items()}
        dated = any("strftime_now" in info.source for info in self.templates.values())
        return [
            {kind: {**info, "date": ""} for kind, info in infos.items()},
            self.today if dated else "",
            self.train_on_prompt,
        ]

    def unit(self, row: Row) -> Unit:
        try:
            formats = self.formatters[row.kind]
            return tokenize_row(row, self.tokenizer, formats, train_on_prompt=self.train_on_prompt)
        except RenderError as error:
            raise refused(row, error) from None
        except TextError as error:
            raise DatasetError(f"{place(row.source, row.line)} has {error.message}", error.hint) from None

    def joins_bluntly(self, row: Row) -> bool:
        """Whether prompt and completion are joined as they stand with no whitespace at the joint."""
        if row.kind == "text" or self.templates[row.kind].kind != "completion":
            return False
        asked, answer = row.messages[0], row.messages[1:2]
        return (
            bool(answer) and not (asked.input or asked.content)[-1:].isspace() and not answer[0].content[:1].isspace()
        )

    def main(self, kinds: Counter[RowKind]) -> TemplateInfo:
        """What chat will follow: the wording of most question-answer rows, raw text where there are none."""
        asked = [kind for kind, _ in kinds.most_common() if kind != "text"]
        info = self.templates[asked[0] if asked else "text"]
        return replace(info, thinking=info.kind == "chat" and self.habits.thinks)

    def notes(self, kinds: Counter[RowKind]) -> list[str]:
        notes = []
        if len({self.templates[kind] for kind in kinds if kind != "text"}) > 1:
            notes.append(f"rows are worded in more than one way; chat will follow `{self.main(kinds).kind}`")
        habits = self.habits
        if habits.open_tag:
            notes.append(
                f"the chat template's prompt opens `{habits.open_tag}`: "
                "answers without reasoning are learned behind the open tag"
            )
        if habits.thinks and habits.closed:
            notes.append(
                "some answers hold reasoning, so chat leaves the model to think first: "
                "the others are learned behind the template's empty block, which chat does not write"
            )
        if habits.adds_end:
            notes.append("the chat template writes no end token behind answers: the model's EOS is put there")
        if self.tokenizer.eos_id is None:
            notes.append("the model has no EOS token: answers get no end token, and chat may not stop by itself")
        return notes
