"""Adapter files: round trip, what is refused, PEFT's folder, and the merged model."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_llama import N_EMBD, N_HEAD, SHAPES, random_adapter, write_model

from localft.adapter import (
    Adapter,
    LoraTensor,
    check_adapter,
    file_sha256,
    from_peft,
    merge,
    read_adapter,
    to_peft,
    write_adapter,
)
from localft.adapter.peft import gguf_name, hf_module
from localft.errors import AdapterError, LocalftError, ModelError

Q = "blk.0.attn_q.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.gguf"
    write_adapter(path, random_adapter())
    return path


def same(one: Adapter, other: Adapter) -> bool:
    return list(one.tensors) == list(other.tensors) and all(
        np.array_equal(x, y)
        for name in one.tensors
        for x, y in zip(one.tensors[name], other.tensors[name], strict=True)
    )


def test_an_adapter_comes_back_to_the_bit(tmp_path: Path) -> None:
    adapter = random_adapter(alpha=3.5, **{"general.name": "mine", "localft.version": "1", "x.int": -3, "x.float": 0.1})
    write_adapter(tmp_path / "a.gguf", adapter)
    read = read_adapter(tmp_path / "a.gguf")
    assert same(read, adapter)
    assert (read.architecture, read.rank, read.alpha, read.metadata) == ("llama", 4, 3.5, adapter.metadata)
    assert read.lora_scale(Q) == 3.5 / 4


@pytest.mark.parametrize(("dtype", "error"), [(np.float16, 1e-3), ("bf16", 1e-2), ("q8_0", 1e-2)])
def test_factors_of_other_types_are_read_as_f32(tmp_path: Path, dtype: object, error: float) -> None:
    a, b = np.random.default_rng(0).normal(size=(32, N_EMBD)), np.random.default_rng(1).normal(size=(N_EMBD, 32))
    kinds = {"bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    with raw_adapter(tmp_path / "a.gguf") as writer:
        for suffix, values in (("lora_a", a), ("lora_b", b)):
            values = values.astype(np.float32)
            kind = kinds.get(str(dtype))
            data = gguf.quants.quantize(values, kind) if kind else values.astype(np.float16)
            writer.add_tensor(f"{Q}.{suffix}", data, raw_dtype=kind)
    read = read_adapter(tmp_path / "a.gguf").tensors[Q]
    assert np.abs(read.a - a).max() < 4 * error
    assert np.abs(read.b - b).max() < 4 * error


class raw_adapter:  # noqa: N801
    """A GGUF that starts as a sound adapter's; what is added in the block decides what is wrong with it."""

    def __init__(self, path: Path, architecture: str = "llama", **changes: Callable[[gguf.GGUFWriter], None] | None):
        self.writer = gguf.GGUFWriter(path, architecture)
        defaults = {
            "type": lambda w: w.add_type("adapter"),
            "lora": lambda w: w.add_string("adapter.type", "lora"),
            "alpha": lambda w: w.add_float32("adapter.lora.alpha", 8.0),
        }
        for add in {**defaults, **changes}.values():
            if add:
                add(self.writer)

    def __enter__(self) -> gguf.GGUFWriter:
        return self.writer

    def __exit__(self, *_: object) -> None:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def factors(writer: gguf.GGUFWriter, name: str = Q, shape: tuple[int, int] = SHAPES["attn_q"], rank: int = 4) -> None:
    writer.add_tensor(f"{name}.lora_a", np.ones((rank, shape[1]), np.float32))
    writer.add_tensor(f"{name}.lora_b", np.ones((shape[0], rank), np.float32))


def hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    """Every kind of adapter that must be refused: file, and words of the sentence that refuses it."""
    made: dict[str, tuple[Path, str]] = {}

    def case(name: str, words: str, fill: Callable[[gguf.GGUFWriter], None] = factors, arch: str = "llama", **changes):
        with raw_adapter(folder / f"{name}.gguf", arch, **changes) as writer:
            fill(writer)
        made[name] = (folder / f"{name}.gguf", words)

    def patched(name: str, words: str, change: Callable[[bytes], bytes]) -> None:
        path = folder / f"{name}.gguf"
        path.write_bytes(change((folder / "sound.gguf").read_bytes()))
        made[name] = (path, words)

    with raw_adapter(folder / "sound.gguf") as writer:
        factors(writer)
    n_ff = SHAPES["ffn_up"][0]
    nan = np.full((4, N_EMBD), np.nan, np.float32)
    one_sided = {"a": "lora_a", "b": "lora_b"}
    case("architecture", 'architecture "gpt2"', arch="gpt2")
    case("no-type", "general.type", type=None)
    case("model-type", "general.type", type=lambda w: w.add_type("model"))
    case("int-type", "general.type", type=lambda w: w.add_uint32("general.type", 3))
    case("no-adapter-type", "adapter.type", lora=None)
    case("control-vector", "adapter.type", lora=lambda w: w.add_string("adapter.type", "control_vector"))
    case("int-alpha", "adapter.lora.alpha", alpha=lambda w: w.add_uint32("adapter.lora.alpha", 8))
    case("f64-alpha", "adapter.lora.alpha", alpha=lambda w: w.add_float64("adapter.lora.alpha", 8.0))
    case("nan-alpha", "adapter.lora.alpha", alpha=lambda w: w.add_float32("adapter.lora.alpha", float("nan")))
    case("no-tensors", "no LoRA tensors", fill=lambda w: None)
    case("unknown-layer", "blk.7.attn_q.weight", fill=lambda w: factors(w, "blk.7.attn_q.weight"))
    case("unknown-suffix", "neither", fill=lambda w: w.add_tensor(f"{Q}.lora_c", np.ones((4, 4), np.float32)))
    case("embedding", "token_embd.weight", fill=lambda w: factors(w, "token_embd.weight"))
    case("vector", "no matrix", fill=lambda w: factors(w, "output_norm.weight", (1, N_EMBD)))
    case(
        "rank",
        "rank 4",
        fill=lambda w: (
            w.add_tensor(f"{Q}.lora_a", np.ones((4, N_EMBD), np.float32)),
            w.add_tensor(f"{Q}.lora_b", np.ones((N_EMBD, 5), np.float32)),
        ),
    )
    case(
        "swapped",
        "inputs",
        fill=lambda w: (
            w.add_tensor(f"{Q}.lora_a", np.ones((N_EMBD, 4), np.float32)),
            w.add_tensor(f"{Q}.lora_b", np.ones((4, N_EMBD), np.float32)),
        ),
    )
    case("shape", "inputs", fill=lambda w: factors(w, "blk.0.ffn_up.weight", (n_ff + 32, N_EMBD)))
    case("transposed", "inputs", fill=lambda w: factors(w, "blk.0.ffn_up.weight", (N_EMBD, n_ff)))
    case("three-dims", "shape", fill=lambda w: w.add_tensor(f"{Q}.lora_a", np.ones((2, 4, N_EMBD), np.float32)))
    case("int-factor", "type i32", fill=lambda w: w.add_tensor(f"{Q}.lora_a", np.ones((4, N_EMBD), np.int32)))
    case(
        "nan",
        "not finite",
        fill=lambda w: (
            w.add_tensor(f"{Q}.lora_a", nan),
            w.add_tensor(f"{Q}.lora_b", np.ones((N_EMBD, 4), np.float32)),
        ),
    )
    for key, suffix in one_sided.items():
        shape = (4, N_EMBD) if key == "a" else (N_EMBD, 4)
        case(
            f"only-{key}", "partner", fill=lambda w, s=suffix, n=shape: w.add_tensor(f"{Q}.{s}", np.ones(n, np.float32))
        )
    case("alora", "activated", alora=lambda w: w.add_array("adapter.alora.invocation_tokens", [1, 2]))
    case("alignment", "general.alignment", alignment=lambda w: w.add_uint32("general.alignment", 8))
    patched("magic", "does not start", lambda data: b"GGML" + data[4:])
    patched("version", "version", lambda data: data[:4] + struct.pack("<I", 99) + data[8:])
    patched("empty", "does not start", lambda data: b"")
    patched("cut-header", "ends in the middle", lambda data: data[:100])
    patched("cut-data", "truncated", lambda data: data[:-40])
    patched("many-tensors", "more than it can hold", lambda data: data[:8] + struct.pack("<Q", 2**60) + data[16:])
    patched("many-keys", "more than it can hold", lambda data: data[:16] + struct.pack("<Q", 2**60) + data[24:])
    patched("long-key", "ends in the middle", lambda data: data[:24] + struct.pack("<Q", 2**63) + data[32:])
    dims = struct.pack("<IQQ", 2, N_EMBD, 4)
    patched("absurd-dims", "impossible", lambda data: data.replace(dims, struct.pack("<IQQ", 2, 2**40, 2**40), 1))
    patched("zero-dims", "impossible", lambda data: data.replace(dims, struct.pack("<IQQ", 2, 0, 4), 1))
    patched("huge-dims", "truncated", lambda data: data.replace(dims, struct.pack("<IQQ", 2, N_EMBD, 4000), 1))
    patched("bad-utf8", "UTF-8", lambda data: data.replace(b"adapter.type", b"\xff\xfeapter.type", 1))
    missing = folder / "missing.gguf"
    made["missing"] = (missing, "cannot be read")
    made["folder"] = (folder, "cannot be read")
    return made


CASES = [
    "architecture", "no-type", "model-type", "int-type", "no-adapter-type", "control-vector", "int-alpha",
    "f64-alpha", "nan-alpha", "no-tensors", "unknown-layer", "unknown-suffix", "embedding", "vector", "rank",
    "swapped", "shape", "transposed", "three-dims", "int-factor", "nan", "only-a", "only-b", "alora",
    "alignment", "magic", "version", "empty", "cut-header", "cut-data", "many-tensors", "many-keys",
    "long-key", "absurd-dims", "zero-dims", "huge-dims", "bad-utf8", "missing", "folder",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return hostile(tmp_path_factory.mktemp("hostile"))


def test_the_list_of_hostile_adapters_is_complete(hostiles: dict[str, tuple[Path, str]]) -> None:
    assert sorted(hostiles) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_adapter_is_refused_with_a_sentence(
    base: Path, hostiles: dict[str, tuple[Path, str]], name: str
) -> None:
    path, words = hostiles[name]
    with pytest.raises(AdapterError) as caught:
        check_adapter(path, base)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert not caught.value.message.endswith(".")


def test_the_sound_adapter_behind_the_hostile_ones_is_accepted(
    base: Path, hostiles: dict[str, tuple[Path, str]]
) -> None:
    fit = check_adapter(hostiles["magic"][0].with_name("sound.gguf"), base)
    assert (fit.rank, fit.alpha, fit.n_tensors, fit.notes) == (4, 8.0, 1, ())


_LOAD_ALL = """
import sys
from localft.chat import ChatSession
from localft.errors import AdapterError
for path in sys.argv[2:]:
    try:
        "".join(ChatSession(sys.argv[1], path, max_tokens=2, n_ctx=32, n_threads=1).ask("the cat"))
    except AdapterError:
        print("refused")
"""


def test_no_hostile_adapter_crashes_the_process(base: Path, hostiles: dict[str, tuple[Path, str]]) -> None:
    """llama.cpp aborts or segfaults on many of these, so each goes all the way through a chat, outside this process."""
    paths = [str(path) for path, _ in hostiles.values()]
    done = subprocess.run([sys.executable, "-c", _LOAD_ALL, str(base), *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refused"] * len(CASES)


def test_output_lora_is_refused_on_a_tied_base_and_taken_on_an_untied_one(tmp_path: Path, base: Path) -> None:
    tied = write_model(tmp_path / "tied.gguf", tied=True)
    n_vocab = int(gguf.GGUFReader(base).tensors[0].shape[1])
    with raw_adapter(tmp_path / "a.gguf") as writer:
        factors(writer, "output.weight", (n_vocab, N_EMBD))
    assert check_adapter(tmp_path / "a.gguf", base).n_tensors == 1
    with pytest.raises(AdapterError, match="tied to the token embeddings"):
        check_adapter(tmp_path / "a.gguf", tied)


def test_an_adapter_without_alpha_has_scale_one_and_says_so(tmp_path: Path, base: Path) -> None:
    with raw_adapter(tmp_path / "a.gguf", alpha=None) as writer:
        factors(writer)
    assert read_adapter(tmp_path / "a.gguf").lora_scale(Q) == 1.0
    assert check_adapter(tmp_path / "a.gguf", base).notes == (
        "the adapter stores no alpha, so its LoRA scale is 1 instead of alpha / rank",
    )


def test_a_base_that_is_an_adapter_or_damaged_is_a_model_error(tmp_path: Path, lora: Path) -> None:
    with pytest.raises(ModelError, match="adapter"):
        check_adapter(lora, lora)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    with pytest.raises(ModelError):
        check_adapter(lora, tmp_path / "bad.gguf")


def test_the_file_that_was_trained_on_gives_no_note_and_others_do(tmp_path: Path, base: Path) -> None:
    metadata = {"localft.base.sha256": file_sha256(base), "localft.base.name": "mine", "localft.base.type": "f32"}
    write_adapter(tmp_path / "gone.gguf", random_adapter(**metadata))
    write_adapter(tmp_path / "here.gguf", random_adapter(**metadata, **{"localft.base.path": str(base)}))
    half = write_model(tmp_path / "half.gguf", dtype=np.float16)
    again = write_model(tmp_path / "again.gguf", name="again")
    other = write_model(tmp_path / "other.gguf", seed=4)
    patched = gguf.GGUFReader(other, "r+")
    next(t for t in patched.tensors if t.name == "output_norm.weight").data[:] *= 1.5

    def notes(lora: str, used: Path) -> tuple[str, ...]:
        return check_adapter(tmp_path / lora, used).notes

    trained_on = "the adapter was trained on"
    assert notes("here.gguf", base) == notes("gone.gguf", base) == ()
    assert notes("here.gguf", half) == (f"{trained_on} f32 and is used on f16, another file of the same model",)
    assert notes("gone.gguf", half) == (f"{trained_on} f32 and is used on f16",)
    assert notes("here.gguf", again) == (
        f"`{again}` is not the file that {trained_on}, another file of the same model",
    )
    assert notes("here.gguf", other) == (
        f'{trained_on} "mine", of which `{other}` is no other file: its answers may be poor',
    )


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    first = file_sha256(path)
    monkeypatch.setattr("localft.adapter.identity._hash", lambda _: "computed anew")
    assert file_sha256(path) == first
    path.write_bytes(b"more than one")
    assert file_sha256(path) == "computed anew"


def test_a_value_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    bad = LoraTensor(np.full((2, 4), np.inf, np.float32), np.ones((4, 2), np.float32))
    with pytest.raises(AdapterError, match="not finite"):
        write_adapter(tmp_path / "a.gguf", Adapter("llama", 2, 4.0, {Q: bad}))
    assert list(tmp_path.iterdir()) == []


# --- merge


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_merged_model_is_the_base_with_only_the_adapted_tensors_changed(
    tmp_path: Path, lora: Path, dtype: type
) -> None:
    base = write_model(tmp_path / "base.gguf", dtype=dtype)
    assert merge(lora, base, tmp_path / "merged.gguf", adapter_scale=0.5) == 14
    adapter = read_adapter(lora)
    old = {t.name: t.data for t in gguf.GGUFReader(base).tensors}
    new = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "merged.gguf").tensors}
    assert list(old) == list(new)
    for name in old:
        if name not in adapter.tensors:
            assert np.array_equal(old[name], new[name])
            continue
        a, b = adapter.tensors[name]
        expected = (old[name].astype(np.float64) + 0.5 * 8.0 / 4 * (b.astype(np.float64) @ a)).astype(dtype)
        np.testing.assert_allclose(new[name], expected, rtol=2e-3 if dtype == np.float16 else 1e-6, atol=1e-6)


def test_merging_into_a_quantised_base_is_refused_and_leaves_nothing(tmp_path: Path, base: Path, lora: Path) -> None:
    quantised = tmp_path / "q8_0.gguf"
    quantise(base, quantised)
    out = tmp_path / "out" / "merged.gguf"
    with pytest.raises(AdapterError, match="q8_0"):
        merge(lora, quantised, out)
    assert not out.exists()


def quantise(source: Path, target: Path) -> None:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) == 0


# --- PEFT


def test_names_map_both_ways() -> None:
    names = [*random_adapter().tensors, "output.weight"]
    assert [gguf_name(hf_module(name)) for name in names] == names
    assert hf_module("blk.11.attn_output.weight") == "model.layers.11.self_attn.o_proj"


def test_a_peft_folder_comes_back_to_the_bit(tmp_path: Path, base: Path) -> None:
    adapter = random_adapter(alpha=12.0)
    to_peft(adapter, tmp_path / "peft", base, base_model_name="org/tiny")
    back = from_peft(tmp_path / "peft", base)
    assert same(back, adapter)
    assert (back.architecture, back.rank, back.alpha) == ("llama", 4, 12.0)
    config = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 12, "org/tiny")


def test_query_rows_are_put_into_hugging_face_order(tmp_path: Path, base: Path) -> None:
    """GGUF interleaves the two halves of a head: row 2j of a head is HF's row j, row 2j + 1 is row j + n/2."""
    adapter = random_adapter()
    to_peft(adapter, tmp_path, base)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    hf = stored["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    n = N_EMBD // N_HEAD
    for head in range(N_HEAD):
        ours, theirs = adapter.tensors[Q].b[head * n : (head + 1) * n], hf[head * n : (head + 1) * n]
        assert np.array_equal(ours[0::2], theirs[: n // 2])
        assert np.array_equal(ours[1::2], theirs[n // 2 :])


def peft_folder(folder: Path, base: Path, **changes: object) -> Path:
    to_peft(random_adapter(), folder, base)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_rslora_and_alpha_patterns_are_folded_into_b(tmp_path: Path, base: Path) -> None:
    adapter = random_adapter()
    changes = {"use_rslora": True, "alpha_pattern": {"self_attn.q_proj": 32}}
    read = from_peft(peft_folder(tmp_path, base, **changes), base)
    np.testing.assert_allclose(read.lora_scale(Q) * read.tensors[Q].b, 32 / 2 * adapter.tensors[Q].b, rtol=1e-6)
    up = "blk.1.ffn_up.weight"
    np.testing.assert_allclose(read.lora_scale(up) * read.tensors[up].b, 8 / 2 * adapter.tensors[up].b, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "no LoRA config"),
        ({"lora_alpha": None}, "lora_alpha"),
    ],
)
def test_what_a_gguf_adapter_cannot_hold_is_refused(
    tmp_path: Path, base: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(LocalftError, match=words):
        from_peft(peft_folder(tmp_path, base, **changes), base)


def test_a_damaged_peft_folder_is_refused(tmp_path: Path, base: Path) -> None:
    peft_folder(tmp_path, base)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(AdapterError, match="cannot be read"):
        from_peft(tmp_path, base)
    with pytest.raises(AdapterError, match="cannot be read"):
        from_peft(tmp_path / "nowhere", base)
