"""ChatSession on tiny random models: the adapter's effect, memory, the KV cache, and what ends an answer."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from checkpoints import write_checkpoint
from tiny_llama import N_CTX_TRAIN, random_adapter, write_model

from localft.adapter import merge, write_adapter
from localft.chat import ChatSession
from localft.chat.prompter import continued
from localft.data.rows.row import Message
from localft.errors import AdapterError, ConfigError, EngineError, ModelError
from localft.model.convert import convert

IDS = [1, 260, 261, 265, 262, 263]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    made = {
        "raw": write_model(folder / "raw.gguf"),
        "chat": write_model(folder / "chat.gguf", chat=True),
        "lora": folder / "lora.gguf",
    }
    write_adapter(made["lora"], random_adapter())
    return made


def session(files: dict[str, Path], kind: str = "chat", lora: bool = False, **settings: object) -> ChatSession:
    settings = {"n_threads": 1, "max_tokens": 12, **settings}
    return ChatSession(files[kind], files["lora"] if lora else None, **settings)  # type: ignore[arg-type]


def nmse(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(((ours - reference) ** 2).sum() / (reference**2).sum())


def test_adapter_scale_zero_is_the_base_to_the_bit(files: dict[str, Path]) -> None:
    with session(files, lora=True, adapter_scale=0.0, exact=True) as off, session(files, exact=True) as base:
        assert np.array_equal(off.logits(IDS), base.logits(IDS))


def test_a_merged_f32_model_equals_base_and_adapter(files: dict[str, Path], tmp_path: Path) -> None:
    merge(files["lora"], files["raw"], tmp_path / "merged.gguf")
    with session(files, "raw", lora=True, exact=True) as unmerged:
        with_adapter, without = unmerged.logits(IDS), unmerged.logits(IDS, adapter=False)
    with ChatSession(tmp_path / "merged.gguf", n_threads=1, exact=True) as merged:
        assert nmse(merged.logits(IDS), with_adapter) < 1e-9
    assert nmse(without, with_adapter) > 1e-2, "the adapter must change something, or this test shows nothing"


def test_our_adapter_loads_in_stock_llama_cpp_python(files: dict[str, Path]) -> None:
    import llama_cpp

    stock = llama_cpp.Llama(
        str(files["raw"]), lora_path=str(files["lora"]), n_ctx=64, n_threads=1, logits_all=True, verbose=False,
        type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, flash_attn=False,
    )  # fmt: skip
    stock.eval(IDS)
    with session(files, "raw", lora=True, exact=True) as ours:
        assert nmse(ours.logits(IDS), np.array(stock.scores[len(IDS) - 1])) < 1e-9
    stock.close()


def test_half_the_scale_is_half_the_adapter(files: dict[str, Path], tmp_path: Path) -> None:
    adapter = random_adapter(alpha=4.0)
    write_adapter(tmp_path / "half.gguf", adapter)
    half = ChatSession(files["raw"], tmp_path / "half.gguf", n_threads=1, exact=True)
    with half, session(files, "raw", lora=True, adapter_scale=0.5, exact=True) as scaled:
        assert nmse(scaled.logits(IDS), half.logits(IDS)) < 1e-9


def test_switching_leaves_nothing_of_the_other_in_the_cache(files: dict[str, Path]) -> None:
    """Without a reset the cache keeps the other side's keys, and the answers are silently wrong."""
    with session(files, lora=True, exact=True) as both:
        mixed = [both.logits(IDS, adapter=on) for on in (True, False, True, False)]
    with session(files, lora=True, exact=True) as fresh:
        on = fresh.logits(IDS)
    with session(files, exact=True) as fresh:
        off = fresh.logits(IDS)
    assert all(np.array_equal(one, other) for one, other in zip(mixed, (on, off, on, off), strict=True))


def test_a_cached_prefix_changes_nothing(files: dict[str, Path]) -> None:
    with session(files, exact=True) as chat:
        longer = chat.logits([*IDS, 266, 267])
        branched = chat.logits([*IDS, 268])
        again = chat.logits([*IDS, 266, 267])
    with session(files, exact=True) as fresh:
        assert nmse(branched, fresh.logits([*IDS, 268])) < 1e-9
    assert nmse(again, longer) < 1e-9


def test_a_second_turn_decodes_only_what_is_new(files: dict[str, Path]) -> None:
    with session(files) as chat:
        "".join(chat.ask("the cat sat"))
        decoded: list[int] = []
        decode = chat._runtime._decode
        chat._runtime._decode = lambda ids: (decoded.append(len(ids)), decode(ids))[1]  # type: ignore[method-assign]
        "".join(chat.ask("and ran"))
        whole = chat._prompt_ids(chat.messages)
    assert decoded[0] < len(whole) // 2
    assert decoded[1:] == [1] * len(decoded[1:])


def test_compare_is_one_model_with_and_without(files: dict[str, Path]) -> None:
    with session(files, lora=True, exact=True) as chat:
        adapter = "".join(chat.ask("the cat"))
        before = list(chat.messages)
        again = chat.compare()
        later = chat.compare("the cat")
        assert chat.endings == {"base": "max_tokens", "adapter": "max_tokens"}
        assert chat.messages == before
    with session(files, exact=True) as base:
        assert again == ("".join(base.ask("the cat")), adapter)
    assert again[0] != again[1]
    assert later != again, "what was said before is part of a comparison"


def test_compare_without_an_adapter_or_a_question_is_refused(files: dict[str, Path]) -> None:
    with session(files) as chat, pytest.raises(ConfigError, match="no adapter"):
        chat.compare("the cat")
    with session(files, lora=True) as chat, pytest.raises(ConfigError, match="nothing has been asked"):
        chat.compare()


def test_the_conversation_is_remembered_and_forgotten(files: dict[str, Path]) -> None:
    with session(files) as chat:
        first = "".join(chat.ask("the cat"))
        assert chat.messages == [Message("user", "the cat"), Message("assistant", first)]
        second = "".join(chat.ask("the cat"))
        assert len(chat.messages) == 4
        chat.reset()
        assert chat.messages == []
        assert "".join(chat.ask("the cat")) == first
    assert first != second


def test_retry_answers_the_same_question_and_sampling_goes_on(files: dict[str, Path]) -> None:
    with session(files, temp=2.0, top_k=0, top_p=1.0) as chat:
        first = "".join(chat.ask("the cat"))
        second = "".join(chat.retry())
        assert chat.messages == [Message("user", "the cat"), Message("assistant", second)]
        assert first != second
        chat.reset()
        assert "".join(chat.ask("the cat")) == first


def test_an_answer_that_is_broken_off_is_remembered_as_far_as_it_came(files: dict[str, Path]) -> None:
    with session(files) as chat:
        answer = chat.ask("the cat")
        begun = next(answer)
        answer.close()  # type: ignore[attr-defined]
        assert chat.messages == [Message("user", "the cat"), Message("assistant", begun)]
        assert "".join(chat.ask("go on"))


def test_ctrl_c_in_a_long_prompt_is_heard_inside_llama_cpp(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import llama_cpp

    decode, statuses = llama_cpp.llama_decode, list[int]()

    def interrupted(context: object, batch: object) -> int:
        signal.raise_signal(signal.SIGINT)
        statuses.append(decode(context, batch))
        return statuses[-1]

    ids = [*IDS * 20, 266]
    handler = signal.getsignal(signal.SIGINT)
    with session(files, "raw", exact=True) as chat:
        expected = chat.logits(ids)
        chat._runtime.clear()
        monkeypatch.setattr(llama_cpp, "llama_decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            chat.logits(ids)
        monkeypatch.undo()
        assert statuses == [2], "llama.cpp was to stop in the middle"
        assert signal.getsignal(signal.SIGINT) == handler
        assert np.array_equal(chat.logits(ids), expected)


def test_a_system_message_changes_the_answer_and_raw_text_has_none(files: dict[str, Path]) -> None:
    with session(files) as chat:
        plain = "".join(chat.ask("the cat"))
        chat.reset()
        chat.system = "a dog ran"
        assert "".join(chat.ask("the cat")) != plain
        assert chat.to_row()["messages"][0] == {"role": "system", "content": "a dog ran"}
    with session(files, "raw") as chat, pytest.raises(ConfigError, match="no system message"):
        chat.system = "be brief"


def test_raw_text_is_continued_as_it_stands(files: dict[str, Path]) -> None:
    with session(files, "raw") as chat:
        assert chat.template.kind == "raw"
        completed = "".join(chat.complete("the cat"))
        first = "".join(chat.ask("the cat"))
        assert completed == first
        assert "".join(chat.ask("")) == "".join(chat.complete("the cat" + first))
        assert chat.to_row() == {"text": continued(chat.messages)}


def test_raw_overrides_the_chat_template(files: dict[str, Path]) -> None:
    with session(files, "chat", raw=True) as chat, session(files, "raw") as plain:
        assert chat.template.kind == "raw"
        assert "".join(chat.ask("the cat")) == "".join(plain.ask("the cat"))


def test_what_a_user_adds_to_raw_text_starts_a_line() -> None:
    turns = [
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c"),
        Message("assistant", "d\n"),
        Message("user", "e"),
    ]
    assert continued(turns) == "ab\ncd\ne"


def test_the_recorded_template_is_followed_and_can_be_overridden(files: dict[str, Path], tmp_path: Path) -> None:
    with session(files, "raw", template="alpaca") as chat:
        recorded = chat.template
        wanted = "".join(chat.ask("the cat"))
    adapter = random_adapter(**{"localft.template": json.dumps(recorded.to_dict())})
    write_adapter(tmp_path / "a.gguf", adapter)
    with ChatSession(files["chat"], tmp_path / "a.gguf", adapter_scale=0, n_threads=1, max_tokens=12) as chat:
        assert chat.template == recorded
        assert "".join(chat.ask("the cat")) == wanted
    with ChatSession(files["chat"], tmp_path / "a.gguf", n_threads=1, template="chat") as chat:
        assert chat.template.kind == "chat"


def test_a_recorded_template_that_is_damaged_is_an_adapter_error(files: dict[str, Path], tmp_path: Path) -> None:
    write_adapter(tmp_path / "a.gguf", random_adapter(**{"localft.template": "{not json"}))
    with pytest.raises(AdapterError, match="prompt format"):
        ChatSession(files["chat"], tmp_path / "a.gguf")


def test_max_tokens_and_the_reason(files: dict[str, Path]) -> None:
    with session(files, "raw", max_tokens=3) as chat:
        n_before = len(chat._prompt_ids([Message("user", "the cat")]))
        "".join(chat.ask("the cat"))
        assert chat.stop_reason == "max_tokens"
        assert len(chat._runtime.ids) <= n_before + 3


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(files: dict[str, Path]) -> None:
    with session(files, "raw", max_tokens=30) as chat:
        whole = "".join(chat.ask("the cat"))
    stop = whole[5:7]
    with session(files, "raw", max_tokens=30, stop=stop) as chat:
        assert "".join(chat.ask("the cat")) == whole[: whole.find(stop)]
        assert chat.stop_reason == "stop"


def test_the_end_token_ends_the_answer(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter([260, 261, 2])
    monkeypatch.setattr("localft.chat.session.choose", lambda *_: next(tokens))
    with session(files) as chat:
        assert "".join(chat.ask("the cat")) == chat._tokenizer.decode([260, 261]).lstrip()
        assert chat.stop_reason == "end"


def test_a_full_context_ends_the_answer_and_a_longer_prompt_is_refused(files: dict[str, Path]) -> None:
    with session(files, "raw", n_ctx=32, max_tokens=0) as chat:
        "".join(chat.ask("the cat"))
        assert chat.stop_reason == "context"
        with pytest.raises(EngineError, match="the context holds 32"):
            "".join(chat.ask("the dog ran and ran"))
        assert len(chat.messages) == 2
        chat.reset()
        assert "".join(chat.ask("the dog"))


def test_a_context_beyond_training_is_said(files: dict[str, Path]) -> None:
    with session(files, n_ctx=2 * N_CTX_TRAIN) as chat:
        assert f"trained on {N_CTX_TRAIN} tokens" in chat.notes[0]
    with session(files) as chat:
        assert (chat.n_ctx, chat.notes) == (N_CTX_TRAIN, [])


def test_weights_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    with (
        ChatSession(write_model(tmp_path / "nan.gguf", nan=True), n_threads=1) as chat,
        pytest.raises(EngineError, match="finite"),
    ):
        "".join(chat.ask("the cat"))


def test_a_missing_or_damaged_model_is_a_model_error(tmp_path: Path, files: dict[str, Path]) -> None:
    with pytest.raises(ModelError):
        ChatSession(tmp_path / "missing.gguf")
    (tmp_path / "cut.gguf").write_bytes(files["raw"].read_bytes()[:-1000])
    with pytest.raises(ModelError, match="truncated"):
        ChatSession(tmp_path / "cut.gguf")
    with pytest.raises(ModelError, match="adapter"):
        ChatSession(files["lora"])


@pytest.mark.parametrize(
    "bad",
    [
        {"n_ctx": 2},
        {"n_threads": 0},
        {"n_threads": 100_000},
        {"adapter_scale": float("nan")},
        {"temperature": 1},
        {"temp": -1},
    ],
)
def test_settings_out_of_range_are_refused(files: dict[str, Path], bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        ChatSession(files["raw"], **bad)  # type: ignore[arg-type]


def test_token_ids_outside_the_vocabulary_are_refused(files: dict[str, Path]) -> None:
    with session(files) as chat:
        for ids in ([], [-1], [10**6], [1] * (N_CTX_TRAIN + 1)):
            with pytest.raises(EngineError):
                chat.logits(ids)


def test_nothing_of_llama_cpp_reaches_the_terminal(files: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    with session(files, lora=True) as chat:
        "".join(chat.ask("the cat"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("end", ["<A>", "<B>", "<|endoftext|>", "<|im_end|>"])
def test_every_end_that_the_checkpoint_names_ends_an_answer(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a list only the first did, and none that only generation_config.json names."""
    checkpoint = write_checkpoint(tmp_path / "m", vocabulary="smollm", vocab_size=460, bos_token_id=None)
    names = {457: "<A>", 458: "<B>", 459: "<|endoftext|>"}
    for file, values in (
        ("config.json", {"eos_token_id": [457, 459]}),
        ("generation_config.json", {"eos_token_id": 458}),
        ("tokenizer_config.json", {"added_tokens_decoder": {str(i): {"content": t} for i, t in names.items()}}),
    ):
        there = json.loads((checkpoint / file).read_text()) if (checkpoint / file).exists() else {}
        (checkpoint / file).write_text(json.dumps(there | values))
    with ChatSession(convert(str(checkpoint)).path, n_threads=1) as chat:
        (id_,) = chat._tokenizer.encode(end, special=True)
        monkeypatch.setattr("localft.chat.session.choose", lambda *_: id_)
        assert ("".join(chat.ask("hi")), chat.stop_reason) == ("", "end")


def test_a_vocabulary_that_names_no_pre_tokenizer_is_noted(tmp_path: Path) -> None:
    made = convert(str(write_checkpoint(tmp_path / "m", vocabulary="smollm")), "f32").path
    with ChatSession(made, n_threads=1) as chat:
        assert chat.notes == []
    older = tmp_path / "older.gguf"
    older.write_bytes(made.read_bytes().replace(b"tokenizer.ggml.pre", b"tokenizer.ggml.xxx"))
    with ChatSession(older, n_threads=1) as chat:
        assert 'names no pre-tokenizer ("tokenizer.ggml.pre")' in chat.notes[0]
