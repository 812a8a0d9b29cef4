"""Pairs by the bundled model: with a grammar whatever it writes is JSON of the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from localft.chat.sampling import Sampling
from localft.curation.synthetic.model import local_model as gguf
from localft.curation.synthetic.model.grammar import Grammar, grammar_of
from localft.curation.synthetic.model.local_model import LocalModel
from localft.curation.synthetic.model.prompt import messages_of, read_pairs, schema
from localft.curation.synthetic.source_documents import Passage
from localft.errors import EngineError
from localft.model.local_base import local_base

PASSAGE = Passage("The dog ran home. " * 20, "n:a.md", {"kind": "page", "site": "n", "path": "a.md"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALFT_HOME", str(tmp_path_factory.mktemp("home")))
        local = LocalModel(local_base("demo"), n_threads=1)
    yield local
    local.close()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_reply_always_parses(model: LocalModel, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(gguf, "_PAIR_TOKENS", 60)
    reply = model.ask(messages_of(PASSAGE, PASSAGE.body, 2), 2, seed)
    value = json.loads(reply.text)
    assert list(value) == ["pairs"]
    assert 1 <= len(value["pairs"]) <= 2
    assert all(list(pair) == ["question", "answer"] for pair in value["pairs"])
    assert read_pairs(reply.text)
    assert reply.n_completion is not None
    assert 0 < reply.n_completion <= 2 * 60 + 100


def test_the_same_seed_gives_the_same_reply(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "_PAIR_TOKENS", 20)
    one, same, other = (model.ask(messages_of(PASSAGE, "A dog.", 1), 1, seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_long_row_is_cut_at_a_line(model: LocalModel) -> None:
    text = "".join(f"{i}: the dog ran home.\n" for i in range(1000))
    cut = model.cut(Passage(text, "", {}), 3)
    assert 100 < len(cut) < len(text)
    assert text.startswith(cut + "\n")
    assert model.ask(messages_of(PASSAGE, cut, 3), 1, 1).n_prompt is not None
    assert model.cut(Passage("dog" * 9999, "", {}), 3) == ""
    with pytest.raises(EngineError, match="does not fit"):
        model.ask(messages_of(PASSAGE, text, 3), 3, 1)


def test_the_grammar_has_no_control_characters_in_strings(model: LocalModel) -> None:
    tokenizer, runtime = model._tokenizer, model._runtime
    grammar = Grammar(runtime.vocab, grammar_of(schema(1)))
    pieces = {tokenizer.piece(token, False): token for token in range(tokenizer.n_vocab)}
    brace, newline = pieces[b"{"], pieces[b"\n"]
    assert grammar.first_allowed([newline, brace]) == brace
    for character in '{"pairs": [{"question": "a':
        grammar.accept(pieces[character.encode()])
    assert grammar.first_allowed([newline]) is None
    assert grammar.first_allowed([newline, pieces[b'"']]) == pieces[b'"']
    logits = np.full(tokenizer.n_vocab, -5.0, np.float32)
    logits[newline], logits[brace] = 9, 8
    assert grammar.choose(logits, Sampling(), np.random.default_rng(0)) == brace
    grammar.close()
