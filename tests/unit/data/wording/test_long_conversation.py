"""A long conversation becomes what it would become if every prefix of it were rendered in full, in much less time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import vocabs

from localft.data.rows.row import Message
from localft.data.tokens.tokenize import Tokens, encode
from localft.data.wording import marked_texts
from localft.data.wording.bounded.trace import UnsharedError
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.placeholders import Key, fill, placeholder, split
from localft.data.wording.template import BUILT_IN, TemplateInfo, formatter
from localft.errors import LocalftError
from localft.model.tokenizer import Tokenizer

_TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>"
_OPEN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def loop(body: str, before: str = "", behind: str = _OPEN, items: str = "messages") -> str:
    return f"{before}{{% for m in {items} %}}{body}{{% endfor %}}{behind}"


NS = "{% set ns = namespace(n=0, role='', m=none) %}"
COUNT = "{% set ns.n = ns.n + 1 %}"
# Templates whose prefixes are rendered from where the whole had come to.
FOLLOWED = {
    **{name.lower(): getattr(vocabs, name) for name in ("CHATML", "ZEPHYR", "TODAY", "NO_END", "NO_GENERATION_PROMPT")},
    **{f"built-in {kind}": source for kind, source in BUILT_IN.items()},
    "llama 2": vocabs.LLAMA_2,
    "rewords the last": vocabs.THINKING,
    "opens in the loop": loop(_TURN + "{% if loop.last and add_generation_prompt %}<|im_start|>assistant\n{% endif %}"),
    "looks back": loop("{% if loop.previtem and loop.previtem.role == 'user' %}^{% endif %}" + _TURN),
    "looks ahead": loop(_TURN + "{% if loop.nextitem is defined %}~{% endif %}"),
    "looks ahead by number": loop(_TURN + "{% if messages[loop.index0 + 1] is defined %}~{% endif %}"),
    "looks back by number": loop(
        "{% if loop.index0 and messages[loop.index0 - 1].role == 'user' %}^{% endif %}" + _TURN
    ),
    "shows what comes": loop(_TURN + "{% if not loop.last %}{{ loop.nextitem.content[:1] }}{% endif %}"),
    "counts": loop("{{ ns.n }}" + COUNT + _TURN, NS),
    "counts and tells": loop(
        COUNT + _TURN, NS, "{% if add_generation_prompt %}{{ ns.n }}<|im_start|>assistant\n{% endif %}"
    ),
    "remembers a role": loop("{{ ns.role }}{% set ns.role = m.role %}" + _TURN, NS),
    "remembers a message": loop("{% if ns.m %}{{ ns.m.role }}{% endif %}{% set ns.m = m %}" + _TURN, NS),
    "begins late": loop("{{ loop.index0 }}" + _TURN, "{% set messages = messages[1:] %}"),
    "checks first": loop(
        "{% if ns.n % 2 != (m.role == 'assistant') | int %}{{ raise_exception('turns') }}{% endif %}" + COUNT, NS, ""
    )
    + loop(_TURN),
    "counts twice": loop(COUNT, NS, "{% set ns.n = 0 %}") + loop("{{ ns.n }}" + COUNT + _TURN),
    "opens first": loop(_TURN, "{% if add_generation_prompt %}asked{% endif %}"),
    "asks in the loop": loop("{% if add_generation_prompt %}g{% endif %}" + _TURN),
    "a namespace in the loop": loop(
        "{% set n = namespace(x=0) %}{% for c in m.role %}{% set n.x = n.x + 1 %}{% endfor %}{{ n.x }}" + _TURN
    ),
    "names of its own": loop(
        "{{ ns.told }}{{ ns.held }}{% set ns.told = ns.told + 1 %}" + _TURN, "{% set ns = namespace(told=1, held=2) %}"
    ),
    "a macro": loop("{{ say(m) }}", "{% macro say(m) %}" + _TURN + "{% endmacro %}"),
    "cycles": loop("{{ loop.cycle('a', 'b', 'c') }}" + _TURN),
    "skips": loop("{% if m.role == 'system' %}{% continue %}{% endif %}" + _TURN),
    "the first message": loop(_TURN, "{{ messages[0].role }}{% if messages[1] %}{{ messages[1].role }}{% endif %}"),
    "trims the user's": loop(
        "<|im_start|>{{ m.role }}\n{{ m.content | trim if m.role == 'user' else m.content }}<|im_end|>"
    ),
    "twice": loop(_TURN + "{{ m.content }}"),
    "a word in the last": loop(
        _TURN,
        behind=_OPEN + "{% if add_generation_prompt and '/no' in messages[-1].content %}<think></think>{% endif %}",
    ),
    "a word anywhere": loop(
        "{% if '/no' in m.content %}{% set ns.n = 1 %}{% endif %}" + _TURN,
        NS,
        "{% if add_generation_prompt %}<|im_start|>assistant\n{{ ns.n }}{% endif %}",
    ),
    "until the twentieth": loop("{% if loop.index > 20 %}+{% endif %}" + _TURN),
}
# Templates that see how long the conversation is, or keep what cannot be followed.
UNFOLLOWED = {
    "checks first and tells": loop(COUNT, NS, "") + loop("{{ ns.n }}" + _TURN),
    "writes twice": loop("{{ m.role[0] }}", behind="") + loop(_TURN),
    "how many": loop(_TURN, "{{ messages | length }}"),
    "how many in the loop": loop("{{ loop.length }}" + _TURN),
    "how many are left": loop("{% if loop.revindex < 5 %}!{% endif %}" + _TURN),
    "the last first": loop(_TURN, "{{ messages[-1].role }}"),
    "backwards": loop(_TURN, items="messages[::-1]"),
    "two ahead": loop(_TURN + "{% if messages[loop.index0 + 2] is defined %}~{% endif %}"),
    "a list of them": loop("{% set ns.n = ns.n + [m] %}", "{% set ns = namespace(n=[]) %}", "")
    + loop(_TURN, items="ns.n"),
    "a count between": loop(COUNT, NS, "{% set k = ns.n %}") + loop("{{ k }}" + _TURN),
    "a length between": loop("", behind="{% set k = messages | length %}") + loop("{{ k }}" + _TURN),
    "changes": loop("{% if loop.changed(m.role) %}c{% endif %}" + _TURN),
    "cyclers": loop("{{ c.next() }}" + _TURN, "{% set c = cycler(1, 2, 3) %}"),
    "joiners": loop("{{ c() }}" + _TURN, "{% set c = joiner('--') %}"),
    "a loop in the loop": loop("{% for o in messages %}{% if loop.first %}{{ o.role }}{% endif %}{% endfor %}" + _TURN),
    "a namespace in another": loop("{% set n = namespace(x=0) %}{% set ns.n = n %}" + _TURN, NS),
    "printed namespaces": loop("{{ ns }}" + COUNT + _TURN, NS),
    "chosen": loop(_TURN, items="messages | selectattr('role', 'equalto', 'user') | list"),
    "added": loop(_TURN, items="messages + [messages[0]]"),
    "compared": loop(_TURN, "{% if messages == [] %}none{% endif %}"),
    "with a condition": loop("{{ loop.index }}" + _TURN, items="messages if m.role != 'system'"),
    "stops early": loop("{% if loop.index0 > 4 %}{% break %}{% endif %}" + _TURN),
}


def contents(messages: Sequence[Message]) -> dict[Key, str]:
    return {(i, "content"): message.content for i, message in enumerate(messages)}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"))


def talk(n: int, word: str = "thing") -> list[Message]:
    return [Message(("user", "assistant")[i % 2], f"{word} {i}") for i in range(2 * n)]


TALKS = {
    "plain": talk(9),
    "system": [Message("system", " be the "), *talk(9)],
    "words": [Message(m.role, f"{m.content} /no" if i in (6, 16) else m.content) for i, m in enumerate(talk(9))],
    "spaces": [Message(m.role, f" {m.content}\n" if i % 3 else m.content) for i, m in enumerate(talk(9))],
    "thoughts": [Message(m.role, f"a</think>{m.content}" if i > 15 else m.content) for i, m in enumerate(talk(9))],
    "disorder": [*talk(5), *talk(3)[1:], Message("system", "now"), *talk(4)],
    "answer first": talk(9)[1:],
    "special": talk(9, "</s><|im_end|>"),
}


def worded(source: str, tokenizer: Tokenizer, messages: Sequence[Message]) -> Any:
    """A row's tokens and masks, and a prompt's; or what is said of it."""
    made = formatter(TemplateInfo("chat", source, "model", "2025-03-04"), tokenizer)
    try:
        rows: list[Tokens] = [encode(part, tokenizer) for part in made.rows(messages)]
        prompt = encode(made.prompt(messages[:-1]), tokenizer)
    except (LocalftError, RenderError) as error:
        return type(error), str(error)
    return rows, prompt, made.adds_end


@pytest.mark.parametrize("name", [*FOLLOWED, *UNFOLLOWED])
def test_a_long_conversation_is_worded_as_a_short_one(
    name: str, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {**FOLLOWED, **UNFOLLOWED}[name]
    for messages in TALKS.values():
        monkeypatch.setattr(marked_texts, "_LONG", 1000)
        full = worded(source, tokenizer, messages)
        monkeypatch.setattr(marked_texts, "_LONG", 2)
        assert worded(source, tokenizer, messages) == full


@pytest.mark.parametrize("name", [*FOLLOWED, *UNFOLLOWED])
def test_a_prefix_is_rendered_as_by_itself(name: str) -> None:
    source = {**FOLLOWED, **UNFOLLOWED}[name]
    template = ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"}, "2025-03-04")
    messages = [{"role": m.role, "content": m.content} for m in TALKS["words"]]
    if name in UNFOLLOWED:
        with pytest.raises(UnsharedError):
            template.trace_prefix(template.trace(messages, generation_prompt=True), 9, generation_prompt=True)
        return
    for asks in (False, True):
        record = template.trace(messages, generation_prompt=asks)
        assert record.text == template.render(messages, generation_prompt=asks)
        for n in range(record.need, len(messages)):
            trace = template.trace_prefix(record, n, generation_prompt=asks)
            assert record.text[: trace.n_shared] + trace.tail == template.render(messages[:n], generation_prompt=asks)
        last = template.trace_prefix(record, 17, generation_prompt=asks)
        assert last.n_shared > len(record.text) // 2 or name in ("opens first", "rewords the last")


def test_passes_grow_with_the_conversation_and_no_faster(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer's prompt was rendered from the beginning: 5,000 turns took a minute."""

    def n_units(n: int) -> int:
        made = formatter(TemplateInfo("chat", vocabs.CHATML, "model", "2025-03-04"), tokenizer)
        made.rows(talk(n))
        spent: int = 12_000_000 - made._template._left
        return spent

    assert 1.8 < n_units(400) / n_units(200) < 2.2


@pytest.mark.parametrize("trim", [str, str.strip, str.rstrip, str.lstrip])
def test_contents_that_are_trimmed_in_turns_are_found(trim: Any) -> None:
    messages = [Message("user", f" {i} ") for i in range(300)]
    marked = "".join(f"<{placeholder(i, 'content')}>" for i in range(300))
    texts = [trim(m.content) if i % 2 else m.content for i, m in enumerate(messages)]
    filled = fill(split(marked), contents(messages), "".join(f"<{text}>" for text in texts))
    assert filled is not None
    assert [filled[i, "content"] for i in range(300)] == texts


def test_contents_of_nothing_but_spaces_are_not_tried_in_every_way() -> None:
    """A regular expression tried each of two ways at each of sixty places."""
    messages = [Message("user", " ") for _ in range(60)]
    marked = "".join(placeholder(i, "content") for i in range(60))
    assert fill(split(marked), contents(messages), " " * 30 + "x") is None
    assert fill(split(marked), contents(messages), " " * 30) is not None


def test_a_content_that_stands_twice_is_trimmed_twice_the_same_way() -> None:
    messages, here = [Message("user", " a "), Message("user", " b ")], placeholder(0, "content")
    marked = f"{here}-{here}+{placeholder(1, 'content')}"
    assert fill(split(marked), contents(messages), "a-a+ b ") == {(0, "content"): "a", (1, "content"): " b "}
    assert fill(split(marked), contents(messages), "a- a + b ") is None
