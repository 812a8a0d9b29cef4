"""Adapter folders to and from the real peft library: the same logits in transformers and in llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tiny_llama import N_CTX_TRAIN, N_EMBD, N_FF, N_HEAD, N_HEAD_KV, N_LAYER, random_adapter, write_model

from localft.adapter import from_peft, read_adapter, to_peft, write_adapter
from localft.chat import ChatSession
from localft.model.hf_names import HF_MODULES

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:Setting `save_embedding_layers`"),
]
IDS = [1, 260, 261, 265, 262, 263, 300, 17, 264]
MODULES = [module.rpartition(".")[2] for module in HF_MODULES.values()]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


def hf_order(values: np.ndarray, n_head: int) -> np.ndarray:
    """Rows of Q or K from the GGUF's interleaved order to Hugging Face's halves."""
    return values.reshape(n_head, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def hf_model(base: Path) -> Any:
    """The tiny GGUF's weights in transformers' Llama."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tensors = {t.name: np.array(t.data) for t in gguf.GGUFReader(base).tensors}
    config = LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=N_EMBD, intermediate_size=N_FF,
        num_hidden_layers=N_LAYER, num_attention_heads=N_HEAD, num_key_value_heads=N_HEAD_KV, rms_norm_eps=1e-5,
        max_position_embeddings=N_CTX_TRAIN, tie_word_embeddings=False, attn_implementation="eager",
    )  # fmt: skip
    state = {
        "model.embed_tokens.weight": tensors["token_embd.weight"],
        "model.norm.weight": tensors["output_norm.weight"],
        "lm_head.weight": tensors["output.weight"],
    }
    heads = {"attn_q": N_HEAD, "attn_k": N_HEAD_KV}
    for il in range(N_LAYER):
        state[f"model.layers.{il}.input_layernorm.weight"] = tensors[f"blk.{il}.attn_norm.weight"]
        state[f"model.layers.{il}.post_attention_layernorm.weight"] = tensors[f"blk.{il}.ffn_norm.weight"]
        for name, module in HF_MODULES.items():
            values = tensors[f"blk.{il}.{name}.weight"]
            state[f"model.layers.{il}.{module}.weight"] = hf_order(values, heads[name]) if name in heads else values
    model = LlamaForCausalLM(config)
    model.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in state.items()})
    return model.eval()


def torch_logits(model: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        logits: np.ndarray = model(torch.tensor([IDS])).logits[0, -1].numpy()
    return logits


def llama_logits(base: Path, lora: Path | None) -> np.ndarray:
    with ChatSession(base, lora, n_threads=1, exact=True) as chat:
        return np.asarray(chat.logits(IDS))


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def test_the_base_models_agree(base: Path) -> None:
    assert error(llama_logits(base, None), torch_logits(hf_model(base))) < 1e-5


def test_an_exported_adapter_gives_the_same_logits_in_peft(tmp_path: Path, base: Path) -> None:
    from peft import PeftModel

    write_adapter(tmp_path / "a.gguf", random_adapter())
    to_peft(read_adapter(tmp_path / "a.gguf"), tmp_path / "peft", base)
    tuned = PeftModel.from_pretrained(hf_model(base), str(tmp_path / "peft"))
    expected = torch_logits(tuned)
    assert error(llama_logits(base, tmp_path / "a.gguf"), expected) < 1e-5
    assert error(llama_logits(base, None), expected) > 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 6}},
        {"alpha_pattern": {"k_proj": 3}},
        {"target_modules": [*MODULES, "lm_head"]},
        {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]},
    ],
)
def test_an_imported_peft_adapter_gives_the_same_logits_in_llama_cpp(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    arguments = {"r": 4, "lora_alpha": 8, "target_modules": MODULES, "task_type": "CAUSAL_LM", **settings}
    tuned = get_peft_model(hf_model(base), LoraConfig(**arguments))
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    tuned.save_pretrained(str(tmp_path / "peft"))
    write_adapter(tmp_path / "a.gguf", from_peft(tmp_path / "peft", base))
    expected = torch_logits(tuned.eval())
    assert error(llama_logits(base, tmp_path / "a.gguf"), expected) < 1e-5
    assert error(llama_logits(base, None), expected) > 0.01


def test_a_second_round_trip_through_peft_changes_nothing(tmp_path: Path, base: Path) -> None:
    from peft import PeftModel

    to_peft(random_adapter(), tmp_path / "one", base)
    PeftModel.from_pretrained(hf_model(base), str(tmp_path / "one")).save_pretrained(str(tmp_path / "two"))
    one, two = from_peft(tmp_path / "one", base), from_peft(tmp_path / "two", base)
    assert list(one.tensors) == list(two.tensors)
    for name in one.tensors:
        assert all(np.array_equal(x, y) for x, y in zip(one.tensors[name], two.tensors[name], strict=True))
