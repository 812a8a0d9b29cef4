"""Live: the converted file against transformers, sentencepiece and Hugging Face's tokenizers (make parity)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import HARD_STRINGS, VOCABULARIES, random_tensors, write_checkpoint, write_safetensors
from convert_tokens import GOLDEN, reference
from converted import tensors_of
from numpy.typing import NDArray

from localft.data.wording.chat_template import ChatTemplate
from localft.errors import ModelError
from localft.model.conversion.checkpoint_keys import by_name
from localft.model.conversion.hparams import read_hparams, read_json
from localft.model.conversion.vocabulary import read_vocabulary
from localft.model.convert import convert
from localft.model.tokenizer import Tokenizer

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


Logits = Callable[[list[int]], NDArray[np.float32]]  # tokens → [n_tok, n_vocab]


@contextmanager
def llama_cpp_model(path: Path) -> Iterator[Logits]:
    """With an f32 KV cache and without flash attention."""
    import llama_cpp

    kind = llama_cpp.GGML_TYPE_F32
    model = llama_cpp.Llama(
        str(path), n_ctx=256, type_k=kind, type_v=kind, flash_attn=False, logits_all=True, verbose=False
    )

    def logits(tokens: list[int]) -> NDArray[np.float32]:
        model.reset()
        model.eval(tokens)
        return np.array(model.scores[: len(tokens)], dtype=np.float32)

    yield logits
    model.close()


def transformers_model(folder: Path, **config: Any) -> Logits:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True, **config
    )
    model.eval()

    def logits(tokens: list[int]) -> NDArray[np.float32]:
        with torch.no_grad():
            result: NDArray[np.float32] = model(torch.tensor([tokens])).logits[0].float().numpy()
        return result

    return logits


def greedy(logits: Logits, start: list[int], n: int) -> list[int]:
    tokens = list(start)
    for _ in range(n):
        tokens.append(int(np.argmax(logits(tokens)[-1])))
    return tokens


def compare(folder: Path, start: list[int], n: int = 4, **config: Any) -> None:
    """Law 1's measure: logits within 1e-5 over a whole text, and the same greedy text."""
    n_vocab = read_json(folder / "config.json")["vocab_size"]
    tokens = start + np.random.default_rng(1).integers(3, n_vocab, 120).tolist()
    theirs = transformers_model(folder, **config)
    with llama_cpp_model(convert(str(folder), "f32").path) as ours:
        a, b = ours(tokens), theirs(tokens)
        assert np.linalg.norm(a - b) / np.linalg.norm(b) <= 1e-5
        assert greedy(ours, start, n) == greedy(theirs, start, n)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_logits_of_each_vocabulary_and_head(vocabulary: str, tied: bool, tmp_path: Path) -> None:
    compare(write_checkpoint(tmp_path / "m", vocabulary=vocabulary, tied=tied), [1, 5, 9])


@pytest.mark.parametrize(
    "config",
    [
        {"rope_scaling": LLAMA3_SCALING, "rope_theta": 500000.0},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"head_dim": 32},
        {"num_key_value_heads": 4},
        {"num_key_value_heads": 1},
        {"rms_norm_eps": 1e-6, "hidden_size": 100, "intermediate_size": 130, "num_attention_heads": 10},
    ],
    ids=["llama3", "linear", "head_dim", "mha", "mqa", "odd"],
)
def test_logits_of_each_shape(config: dict[str, Any], tmp_path: Path) -> None:
    compare(write_checkpoint(tmp_path / "m", **config), [1, 5, 9])


def test_logits_of_a_mistral_with_its_window_switched_off(tmp_path: Path) -> None:
    folder = write_checkpoint(
        tmp_path / "m", architectures=["MistralForCausalLM"], model_type="mistral", sliding_window=32
    )
    compare(folder, [1, 5, 9], sliding_window=None)


LINEAR = {"rope_type": "linear", "factor": 4.0}
LLAMA3 = {key: value for key, value in LLAMA3_SCALING.items() if key != "original_max_position_embeddings"}


@pytest.mark.parametrize(
    "config",
    [
        {"rope_scaling": LINEAR, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
        {"rope_scaling": LLAMA3_SCALING, "rope_parameters": LINEAR},
        {"rope_parameters": LINEAR | {"rope_theta": 700.0}},
        {"rope_scaling": LLAMA3},
        {"rope_scaling": LLAMA3, "max_position_embeddings": 64},
        {"rope_parameters": LLAMA3},
        {"rope_scaling": LLAMA3_SCALING, "original_max_position_embeddings": 16},
        {"rope_scaling": LLAMA3, "original_max_position_embeddings": 32},
        {"rope_scaling": LINEAR | {"rope_theta": 300.0}, "rope_theta": 9000.0},
        {"hidden_act": "swish"},
        {"pad_token_id": -1, "eos_token_id": [2, 5]},
        {"model_type": "mistral", "sliding_window": None},
        {"architectures": ["MistralForCausalLM"], "sliding_window": 8},
        {
            **dict.fromkeys(("attention_dropout", "initializer_range"), 0.5),
            **{"use_cache": False, "pretraining_tp": 2, "max_window_layers": 1, "use_sliding_window": True},
            **{"n_positions": 8, "layer_norm_eps": 0.5, "torch_dtype": "float16", "top_k": 3, "temperature": 9.0},
            **{"is_decoder": True, "tie_encoder_decoder": True, "num_labels": 4, "sliding_window": 8},
        },
    ],
    ids=[
        *("scaling-beside-parameters", "two-scalings", "parameters", "llama3-without-original", "short-context"),
        *("llama3-parameters", "original-outside-too", "original-outside", "two-bases", "swish", "pad-and-ends"),
        *("mistral-of-llama", "llama-of-mistral", "harmless"),
    ],
)
def test_logits_of_what_a_config_says_twice_or_not_at_all(config: dict[str, Any], tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m", **({} if "rope_theta" in config else {"rope_theta": None}) | config)
    values = {key: value for key, value in read_json(folder / "config.json").items() if value is not None}
    (folder / "config.json").write_text(json.dumps(values | {k: None for k, v in config.items() if v is None}))
    compare(folder, [1, 5, 9])


@pytest.mark.parametrize("tensors", ["another head", "the same head", "the head alone"])
def test_logits_of_a_tied_checkpoint_that_holds_a_head(tensors: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m", tied=True)
    stored = random_tensors(read_json(folder / "config.json"))
    head = stored["model.embed_tokens.weight"]
    if tensors == "another head":
        head = np.random.default_rng(5).standard_normal(head.shape, np.float32)
    if tensors == "the head alone":
        del stored["model.embed_tokens.weight"]
    write_safetensors(folder, stored | {"lm_head.weight": head})
    compare(folder, [1, 5, 9])


@pytest.mark.parametrize("vocabulary", ["fallback", "llama3", "smollm"])
@pytest.mark.parametrize("flags", [{}, {"add_bos_token": False}, {"add_bos_token": True, "add_eos_token": True}])
def test_a_text_begins_and_ends_as_in_transformers(vocabulary: str, flags: dict[str, bool], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write_checkpoint(tmp_path / "m", vocabulary=vocabulary)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | flags))
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True).encode("the")
    made = read_vocabulary(folder, read_hparams(folder))
    assert made.add_bos is (theirs[0] == made.special_ids["bos"])
    assert made.add_eos is (theirs[-1] == made.special_ids["eos"])


def test_named_tokens_in_a_template_as_in_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    template = (
        "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}|{{ sep_token }}|{{ messages[0].content }}"
    )
    folder = write_checkpoint(tmp_path / "m", vocabulary="smollm")
    (folder / "chat_template.jinja").write_text(template)
    path = folder / "tokenizer_config.json"
    names = {"pad_token": "<|im_start|>", "unk_token": "<|im_end|>"}
    path.write_text(json.dumps(json.loads(path.read_text()) | names | {"chat_template": "older"}))
    theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    expected = theirs.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    tokenizer = Tokenizer(convert(str(folder)).path)
    ours = ChatTemplate(str(tokenizer.chat_template), tokenizer.template_tokens(), "2025-01-01")
    assert ours.render([{"role": "user", "content": "hi"}], generation_prompt=False) == expected
    tokenizer.close()


def test_the_table_speaks_of_every_key_that_transformers_has() -> None:
    from dataclasses import fields

    from transformers import GenerationConfig, LlamaConfig, MistralConfig, PreTrainedTokenizerBase
    from transformers.modeling_rope_utils import RopeParameters

    config = {field.name for kind in (LlamaConfig, MistralConfig) for field in fields(kind)}
    assert config <= by_name("config.json").keys()
    assert set(RopeParameters.__annotations__) <= by_name("rope_parameters").keys()
    assert set(GenerationConfig().to_dict()) <= by_name("generation_config.json").keys()
    assert set(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES) <= by_name("tokenizer_config.json").keys()


@pytest.mark.shared
def test_logits_and_story_of_stories260k(shared: Path) -> None:
    compare(shared / "models" / "stories260K", [1, 403, 407, 261, 378], n=40)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_golden_tokens_are_still_the_tokenizers_own(vocabulary: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[vocabulary]
    assert reference(write_checkpoint(tmp_path / "m", vocabulary=vocabulary), HARD_STRINGS) == golden


@pytest.mark.shared
@pytest.mark.parametrize("file", ["llama2/tokenizer.model", "tinyllama/tokenizer.json"])
def test_llama_2s_vocabulary_tokenizes_as_sentencepiece_does(file: str, shared: Path, tmp_path: Path) -> None:
    # Hugging Face's class differs where a text starts with a space; sentencepiece is what the model was trained with.
    from llama_cpp import Llama
    from sentencepiece import SentencePieceProcessor

    tokenizers = shared / "models" / "tokenizers"
    folder = write_checkpoint(tmp_path / "m", vocab_size=32000, tied=True)
    (folder / "tokenizer.model").unlink()
    (folder / Path(file).name).write_bytes((tokenizers / file).read_bytes())
    text = (shared / "data" / "wikitext2_test.txt").read_text(encoding="utf-8")[:200_000]
    oracle = SentencePieceProcessor(model_file=str(tokenizers / "llama2" / "tokenizer.model"))
    model = Llama(str(convert(str(folder), "q8_0").path), vocab_only=True, verbose=False)
    for line in (*HARD_STRINGS, *filter(None, text.split("\n"))):
        assert model.tokenize(line.encode(), add_bos=False, special=False) == oracle.encode(line), line
    model.close()


def write_pytorch(folder: Path, dtype: str, n_parts: int = 1) -> None:
    import torch

    state = random_tensors(read_json(folder / "config.json"))
    tensors = {name: torch.from_numpy(data).to(getattr(torch, dtype)) for name, data in state.items()}
    if n_parts == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return
    weight_map = {}
    for i in range(n_parts):
        name = f"pytorch_model-{i + 1:05d}-of-{n_parts:05d}.bin"
        part = dict(list(tensors.items())[i::n_parts])
        weight_map |= dict.fromkeys(part, name)
        torch.save(part, folder / name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize(("dtype", "name"), [("float32", "F32"), ("bfloat16", "BF16"), ("float16", "F16")])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_pytorch_bin_gives_the_same_file(dtype: str, name: str, n_parts: int, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m", weights="none")
    write_pytorch(folder, dtype, n_parts)
    import torch

    ours = convert(str(folder), "f32").path
    made = tensors_of(ours)
    source = random_tensors(read_json(folder / "config.json"))["model.layers.0.mlp.up_proj.weight"]
    expected = torch.from_numpy(source).to(getattr(torch, dtype)).float().numpy()
    np.testing.assert_array_equal(made["blk.0.ffn_up.weight"], expected)


def test_a_pickle_that_is_not_weights_is_refused(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    folder = write_checkpoint(tmp_path / "m", weights="none")
    old = bytes.fromhex("80028a0a6cfc9c46f9206aa8501935")  # how torch.save began before its files were archives
    for data, message in (
        (pickle.dumps({"a": Evil()}), "is a pickle of Python, which is not read"),
        (old + pickle.dumps({"a": Evil()}), "cannot be loaded as weights only"),
        (b"garbage" * 100, "cannot be loaded as weights only"),
        (b"", "is empty"),
    ):
        (folder / "pytorch_model.bin").write_bytes(data)
        with pytest.raises(ModelError, match=message) as caught:
            convert(str(folder))
        assert ".jsonl" not in caught.value.hint
    assert not (tmp_path / "touched").exists()
