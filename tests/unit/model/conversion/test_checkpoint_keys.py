"""The table of a checkpoint's keys: what is not the value that llama.cpp computes with is refused, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import write_checkpoint
from converted import config_of

from localft.errors import ModelError
from localft.model.conversion.checkpoint_keys import TABLES, by_name
from localft.model.conversion.hparams import read_hparams
from localft.model.conversion.json_object import JsonObject
from localft.model.conversion.vocabulary import Vocabulary, read_vocabulary
from localft.model.convert import convert

ONLY = [
    (file, name)
    for file in ("config.json", "tokenizer_config.json", "rope_parameters")
    for name, key in by_name(file).items()
    if key.use == "only"
]
SAME = [(name, str(key.allowed[0])) for name, key in by_name("config.json").items() if key.use == "same"]
HARMLESS = [(file, name) for file in TABLES for name, key in by_name(file).items() if key.use == "harmless"]


def changed(folder: Path, file: str, **values: Any) -> Path:
    """A checkpoint whose `file` has these keys too."""
    checkpoint = write_checkpoint(folder, vocabulary="llama3")
    if file == "rope_parameters":
        file, values = "config.json", {"rope_parameters": {"rope_theta": 10000.0} | values}
    path = checkpoint / file
    there = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(there | values))
    return checkpoint


def read(folder: Path) -> Vocabulary:
    return read_vocabulary(folder, read_hparams(folder))


def test_no_key_stands_twice_in_a_table() -> None:
    for file, rows in TABLES.items():
        names = [name for row in rows for name in row.names.split()]
        assert len(names) == len(set(names)), file
        assert all(row.transformers and row.llama_cpp and row.why for row in rows), file


@pytest.mark.parametrize(("file", "name"), ONLY)
def test_a_value_that_llama_cpp_does_not_compute_with_is_refused(file: str, name: str, tmp_path: Path) -> None:
    checkpoint = changed(tmp_path / "a", file, **{name: "odd"})
    with pytest.raises(ModelError, match=f"\"{name}\" in `.*` is `'odd'`; .* is needed") as caught:
        read(checkpoint)
    assert caught.value.hint == by_name(file)[name].why
    for value in (None, *by_name(file)[name].allowed):
        read(changed(tmp_path / "a", file, **{name: value}))


@pytest.mark.parametrize(("name", "other"), SAME)
def test_another_name_for_a_size_is_equal_or_refused(name: str, other: str, tmp_path: Path) -> None:
    # llama.cpp's converter takes n_layers before num_hidden_layers, n_heads before num_attention_heads
    value = config_of(write_checkpoint(tmp_path / "a", vocabulary="llama3"))[other]
    read_hparams(changed(tmp_path / "a", "config.json", **{name: value}))
    with pytest.raises(ModelError, match=f'"{name}" in .*; the value of "{other}" is needed'):
        read_hparams(changed(tmp_path / "a", "config.json", **{name: value * 2}))


def test_harmless_keys_change_nothing_but_what_they_were_made_from(tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "a", vocabulary="llama3")
    before = read_hparams(plain), read(plain)
    assert convert(str(plain)).warnings == ()
    for file in TABLES:
        names = [name for at, name in HARMLESS if at == file]
        changed(tmp_path / "a", file, **dict.fromkeys(names, 7))
        assert not names or (read_hparams(plain), read(plain)) == before, file


def test_keys_that_nothing_reads_are_said(tmp_path: Path) -> None:
    checkpoint = changed(tmp_path / "a", "config.json", logit_scale=2.0, **{f"x{i}": 1 for i in range(6)})
    for file in ("tokenizer_config.json", "generation_config.json"):
        path = checkpoint / file
        path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | {"foo": 1}))
    first, *others = convert(str(checkpoint)).warnings
    assert first.startswith(
        "config.json has 7 keys that neither transformers nor llama.cpp reads for such a model, and"
    )
    assert first.endswith("left out: `logit_scale`, `x0`, `x1`, `x2`, `x3`, …")
    assert [text.split(" that ")[0] for text in others] == [
        "tokenizer_config.json has 1 key",
        "generation_config.json has 1 key",
    ]


def test_every_key_that_is_said_to_be_used_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[str]] = {file: set() for file in TABLES}
    get = JsonObject.get

    def recorded(self: JsonObject, key: str) -> Any:
        seen[self._table].add(key)
        return get(self, key)

    monkeypatch.setattr(JsonObject, "get", recorded)
    scaling = {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    mistral = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 9}
    for rope in ("rope_scaling", "rope_parameters"):
        read(write_checkpoint(tmp_path / rope, vocabulary="fallback", **mistral, **{rope: scaling}))
    for vocabulary in ("llama3", "sentencepiece"):
        read(write_checkpoint(tmp_path / vocabulary, vocabulary=vocabulary))
    checkpoint = write_checkpoint(tmp_path / "nopost", vocabulary="fallback")
    path = checkpoint / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    read(checkpoint)
    aside = {"architectures", "quantization_config", "cls_token_id", "any", "token"}  # read from the bare object
    for file in TABLES:
        used = {name for name, key in by_name(file).items() if key.use == "used"}
        assert used - seen[file] - aside == set(), file


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"attention_bias": None, "mlp_bias": None, "tie_word_embeddings": None}, ("n_head_kv", 2)),
        ({"hidden_act": None, "rms_norm_eps": None, "rope_theta": None}, ("rms_eps", 1e-6)),
        ({"hidden_act": "swish"}, ("n_head", 4)),
        ({"pad_token_id": -1}, ("n_head", 4)),
        ({"num_key_value_heads": None}, ("n_head_kv", 4)),
        ({"max_position_embeddings": None}, ("n_ctx_train", 2048)),
        ({"model_type": "mistral", "max_position_embeddings": None}, ("n_ctx_train", 131072)),
        ({"model_type": None, "layer_types": ["full_attention"] * 2, "pruned_heads": {}}, ("n_layer", 2)),
    ],
)
def test_null_and_defaults_are_taken(config: dict[str, Any], expected: tuple[str, Any], tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", **{"num_key_value_heads": 2}, weights="none")
    (checkpoint / "config.json").write_text(json.dumps(config_of(checkpoint) | config))
    assert getattr(read_hparams(checkpoint), expected[0]) == expected[1]
    read(checkpoint)


def test_mistrals_eight_key_heads_where_none_are_named(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", model_type="mistral", num_attention_heads=16, weights="none")
    values = config_of(checkpoint)
    del values["num_key_value_heads"]
    (checkpoint / "config.json").write_text(json.dumps(values))
    assert read_hparams(checkpoint).n_head_kv == 8


@pytest.mark.parametrize("value", ["qwen2", "gemma", "Llama", 3])
def test_a_model_of_another_class_is_refused(value: Any, tmp_path: Path) -> None:
    # transformers would compute with that class, llama.cpp's converter go by "architectures"
    with pytest.raises(ModelError, match=r'"model_type" in .*; "llama" or "mistral" is needed'):
        read_hparams(write_checkpoint(tmp_path / "a", model_type=value, weights="none"))
