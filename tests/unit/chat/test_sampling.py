"""Choosing tokens, and text that streams whole characters and stops in time."""

from __future__ import annotations

import numpy as np
import pytest

from localft.chat import Sampling, TextStream
from localft.chat.sampling import choose
from localft.errors import ConfigError

LOGITS = np.log(np.array([0.05, 0.5, 0.15, 0.3], np.float32))


def drawn(sampling: Sampling, n: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(sampling.seed)
    return np.bincount([choose(LOGITS, sampling, rng) for _ in range(n)], minlength=4) / n


def test_temperature_zero_is_greedy_and_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert choose(LOGITS, Sampling(), rng) == 1
    assert rng.bit_generator.state == before


def test_sampling_follows_the_probabilities() -> None:
    np.testing.assert_allclose(drawn(Sampling(temp=1, top_k=0, top_p=1)), [0.05, 0.5, 0.15, 0.3], atol=0.03)


def test_top_k_keeps_the_best_tokens() -> None:
    np.testing.assert_allclose(drawn(Sampling(temp=1, top_k=2, top_p=1)), [0, 0.625, 0, 0.375], atol=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    np.testing.assert_allclose(drawn(Sampling(temp=1, top_k=0, top_p=0.7)), [0, 0.625, 0, 0.375], atol=0.03)
    np.testing.assert_allclose(drawn(Sampling(temp=1, top_k=0, top_p=0.01)), [0, 1, 0, 0])


def test_temperature_flattens() -> None:
    flat = drawn(Sampling(temp=100, top_k=0, top_p=1))
    np.testing.assert_allclose(flat, 0.25, atol=0.03)


def test_the_same_seed_draws_the_same_and_seed_zero_is_a_seed() -> None:
    draws = [
        [choose(LOGITS, s, r) for _ in range(50)]
        for s, r in ((Sampling(temp=1), np.random.default_rng(k)) for k in (0, 0, 1))
    ]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    "bad",
    [
        {"temp": -1.0},
        {"temp": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"max_tokens": -1},
        {"seed": -1},
        {"stop": ("",)},
    ],
)
def test_settings_out_of_range_are_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        Sampling(**bad)  # type: ignore[arg-type]
    assert f"`{next(iter(bad))}`" in caught.value.message


def test_a_character_split_over_tokens_comes_out_whole() -> None:
    stream = TextStream()
    assert [stream.feed(bytes([b])) for b in "né€".encode()] == ["n", "", "é", "", "", "€"]
    assert stream.end() == ""


def test_a_broken_character_becomes_a_replacement_at_the_end() -> None:
    stream = TextStream()
    assert stream.feed(b"a\xe2\x82") == "a"
    assert stream.end() == "\ufffd"


def test_a_stop_string_over_several_tokens_is_never_shown() -> None:
    stream = TextStream(["\nUser:"])
    shown = [stream.feed(p) for p in (b"yes", b"\n", b"Us", b"age\n", b"User", b": more")]
    assert shown == ["yes", "", "", "\nUsage", "", ""]
    assert stream.stopped
    assert stream.end() == ""


def test_the_first_of_two_stop_strings_wins_and_a_held_beginning_is_given_back() -> None:
    stream = TextStream(["END", "E!"])
    assert stream.feed(b"a E!b END") == "a "
    stream = TextStream(["END"])
    assert stream.feed(b"the EN") == "the "
    assert stream.end() == "EN"


@pytest.mark.parametrize("temp", [5e-324, 1e-300, 1e-30, 1e30, 1e300])
def test_any_temperature_draws_a_token(temp: float) -> None:
    """One so small that a 32-bit number cannot hold it made NaN of the probabilities."""
    flat = drawn(Sampling(temp=temp, top_k=0, top_p=1), 400)
    np.testing.assert_allclose(flat, [0, 1, 0, 0] if temp < 1 else 0.25, atol=0.1)
