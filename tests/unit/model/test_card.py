"""Law 16: every model card parses; a bad one is refused with the nearest name."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from checkpoints import write_checkpoint

import localft.model.card as module
import localft.model.source as source
from localft.errors import ConfigError
from localft.model.card import find_card, load_cards, read_card
from localft.model.conversion.hparams import ARCHITECTURES
from localft.model.convert import convert
from localft.model.source import card_defaults
from localft.settings.resolve import resolve

GOOD = """\
hf_id = "owner/name"
architecture = "llama"
parameters = 1_000
licence = "MIT"
description = "A model"
"""


SIZES = "n_vocab = 1\nn_embd = 1\nn_layer = 1\nn_head = 1\nn_head_kv = 1\nn_ff = 9\n"


def write(folder: Path, text: str, name: str = "card.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_card_parses() -> None:
    cards = load_cards()
    assert {name: card.hf_id for name, card in cards.items()} == {
        "demo": None,
        "flash-llama-30m": "TaylorAI/Flash-Llama-30M-48001",
        "llama-160m": "JackFram/llama-160m",
        "llama-2-7b": "meta-llama/Llama-2-7b-hf",
        "llama-3.2-1b": "meta-llama/Llama-3.2-1B-Instruct",
        "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.2",
        "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "smollm2-360m": "HuggingFaceTB/SmolLM2-360M-Instruct",
        "tinyllama": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "tinymistral": "Locutusque/TinyMistral-248M",
    }
    known = {architecture.gguf for architecture in ARCHITECTURES.values()}
    assert {card.architecture for card in cards.values()} <= known
    assert [name for name, card in cards.items() if card.gated] == ["llama-2-7b", "llama-3.2-1b", "mistral-7b-instruct"]


def test_shapes_have_as_many_parameters_as_their_cards_say() -> None:
    shapes = {name: card for name, card in load_cards().items() if card.shape}
    assert load_cards().keys() - shapes.keys() == {"demo", "flash-llama-30m"}
    for name, card in shapes.items():
        s = card.shape
        assert s is not None
        head = s.n_embd * s.n_embd // s.n_head
        layer = 2 * s.n_head * head + 2 * s.n_head_kv * head + 3 * s.n_embd * s.n_ff + 2 * s.n_embd
        total = (1 if s.tied else 2) * s.n_vocab * s.n_embd + s.n_layer * layer + s.n_embd
        assert total == pytest.approx(card.parameters, rel=1e-4), name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n_embd = 8", r'"n_vocab" in the shape .* is `None`'),
        (f"{SIZES}tied = 1", r'"tied" in the shape .* is `1`'),
        (f"{SIZES}tied = true\nn_head_v = 3", 'unknown size "n_head_v"'),
        (f"{SIZES.replace('9', '0')}tied = true", r'"n_ff" in the shape .* is `0`'),
    ],
)
def test_a_bad_shape_is_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_card(write(tmp_path, f"{GOOD}[shape]\n{line}\n"))


def test_the_demo_card_points_into_the_package() -> None:
    card = load_cards()["demo"]
    assert card.bundled == Path(module.__file__).resolve().parents[1] / "demo" / "model"
    assert card.chat


def test_a_card_is_found_by_name_and_by_repo_id() -> None:
    assert find_card("tinyllama") is find_card("TinyLlama/TinyLlama-1.1B-Chat-v1.0")
    assert find_card("tinyllama/tinyllama-1.1b-chat-v1.0") is find_card("tinyllama")
    assert find_card("no-such-card") is None


def test_cards_are_found_installed_and_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = module.cards_folder()
    package = tmp_path / "site-packages" / "localft"
    package.mkdir(parents=True)
    monkeypatch.setattr(module, "PACKAGE", package)
    with pytest.raises(ConfigError, match="the model cards are missing"):
        module.cards_folder()
    shutil.copytree(checkout, package / "models")
    assert module.cards_folder() == package / "models"
    assert len(load_cards()) == 10


def test_defaults_are_settings(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, GOOD + "[defaults]\nlr = 1e-4\nlora_rank = 16\n"))
    assert dict(card.defaults) == {"lr": 1e-4, "lora_rank": 16}
    with pytest.raises(TypeError):
        card.defaults["lr"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (GOOD.replace("licence", "license"), 'unknown key "license"', "did you mean `licence`?"),
        (GOOD + "gate = true\n", 'unknown key "gate"', "did you mean `gated`?"),
        (GOOD + "zzz = 1\n", 'unknown key "zzz"', "known: architecture"),
        (GOOD + "[defaults]\nlora_rnk = 8\n", 'unknown default "lora_rnk"', "did you mean `lora_rank`?"),
        (GOOD.replace('architecture = "llama"\n', ""), 'has no "architecture"', "add a line"),
        (GOOD.replace("1_000", '"1B"'), '"parameters" in model card', None),
        (GOOD.replace("1_000", "0"), "is not above 0", None),
        (GOOD + "gated = 1\n", "is not true or false", None),
        (GOOD.replace("owner/name", "name"), "is not `owner/name`", None),
        (GOOD.replace('hf_id = "owner/name"\n', ""), 'either "hf_id" or "bundled"', None),
        (GOOD + 'bundled = "demo"\n', 'either "hf_id" or "bundled"', None),
        ("hf_id = ", "cannot be read", None),
    ],
)
def test_bad_cards(text: str, message: str, hint: str | None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_card(write(tmp_path, text))
    assert message in caught.value.message
    assert "card.toml" in caught.value.message
    assert hint is None or (caught.value.hint is not None and hint in caught.value.hint)


def test_bad_names_and_bytes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has a name"):
        read_card(write(tmp_path, GOOD, "My Card.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_card(tmp_path / "bytes.toml")


def test_a_file_that_was_converted_from_a_card_keeps_its_settings(tmp_path: Path) -> None:
    """`--model demo-q8_0.gguf` trained with the general defaults, and not with the demo model's."""
    moved = tmp_path / "anything"
    for outtype in ("q8_0", "q4_k_m"):
        for path in (convert("demo", outtype).path, moved.with_suffix(".gguf"), moved):
            if not path.exists():
                shutil.copy(convert("demo", outtype).path, path)
            assert card_defaults(str(path)) == card_defaults("demo") != {}
            config = resolve({"model": str(path), "epochs": 3}, None, card_defaults)
            assert (config.lr, config.sources["lr"], config.epochs) == (1e-3, "model card", 3)


def test_other_files_have_no_card(tmp_path: Path) -> None:
    plain = convert(str(write_checkpoint(tmp_path / "demo"))).path
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(9))
    for path in (plain, tmp_path / "x.gguf", tmp_path, tmp_path / "missing.gguf", Path("x" * 5000)):
        assert card_defaults(str(path)) == {}


def test_a_files_type_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = convert("demo").path
    card = dataclasses.replace(load_cards()["demo"], defaults={"outtype": "f16", "lr": 1.0})
    monkeypatch.setattr(source, "load_cards", lambda: {"demo": card})
    monkeypatch.setattr(source, "find_card", {"demo": card}.get)
    assert card_defaults("demo") == {"outtype": "f16", "lr": 1.0}
    assert card_defaults(str(path)) == {"lr": 1.0}
