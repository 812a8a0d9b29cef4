"""What every error keeps to: it says what to do, and no file can make it long."""

from __future__ import annotations

import pickle

import pytest

from localft.errors import ConfigError, LocalftError


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("line 3 of `a.jsonl` is no JSON", "line 3 of `a.jsonl` is no JSON"),
        (f'"lr" is `{"9" * 5000}`, not a number', f'"lr" is `{"9" * 79}…`, not a number'),
        (f"\"lr\" is '{'9' * 5000}'", f"\"lr\" is '{'9' * 79}…'"),
        (f"`/long/{'a' * 300}/model.gguf` is no file", f"`/long/{'a' * 300}/model.gguf` is no file"),
        (f"`a` is one; {'words and ' * 12}`b` another", f"`a` is one; {'words and ' * 12}`b` another"),
        (f"the model's {'words and ' * 12}the user's", f"the model's {'words and ' * 12}the user's"),
        ("x" * 1_000_000, "x" * 399 + "…"),
        (f"`{'/x' * 1_000_000}`", f"`{'/x' * 499}/…`"),
    ],
)
def test_a_message_stays_short(message: str, shown: str) -> None:
    error = LocalftError(message, message)
    assert (error.message, error.hint) == (shown, shown)


def test_an_error_in_python_shows_its_hint_and_survives_a_process() -> None:
    error = ConfigError("`--lr` cannot be `much`", "peak learning rate")
    assert str(error) == "`--lr` cannot be `much`\nhint: peak learning rate"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.hint) == (ConfigError, error.message, error.hint)
    assert str(LocalftError("it failed", "")) == "it failed"


def test_an_error_without_a_hint_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        LocalftError("it failed")  # type: ignore[call-arg]
