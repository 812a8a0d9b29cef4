"""Write a GGUF: metadata first, then the weights, one tensor in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np

from localft.arrays import whole
from localft.model.conversion.hparams import Hparams
from localft.model.conversion.outtype import OutType
from localft.model.conversion.tokenizer_config import Vocabulary
from localft.model.conversion.weights import PlannedTensor
from localft.report import Report


def write_gguf(
    path: Path,
    hparams: Hparams,
    vocabulary: Vocabulary,
    tensors: Sequence[PlannedTensor],
    outtype: OutType,
    general: Mapping[str, str],
    progress: Report | None = None,
) -> None:
    """Write `path` in place (give a temporary path).

    Args:
        general: metadata of the kind text, such as "general.name".
        progress: called with the tensor's name, bytes written, and bytes in all.
    """
    writer = gguf.GGUFWriter(path, hparams.architecture.gguf)
    try:
        _add_general(writer, tensors, outtype, general)
        _add_hparams(writer, hparams)
        _add_vocabulary(writer, vocabulary)
        _write(writer, tensors, progress)
    finally:
        writer.close()


def _add_general(
    writer: gguf.GGUFWriter, tensors: Sequence[PlannedTensor], outtype: OutType, general: Mapping[str, str]
) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    for key, value in general.items():
        writer.add_string(key, value)
    n_parameters = sum(math.prod(tensor.shape) for tensor in tensors)
    writer.add_size_label(gguf.size_label(n_parameters, n_parameters, 0, 0))
    writer.add_file_type(outtype.file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_hparams(writer: gguf.GGUFWriter, hparams: Hparams) -> None:
    writer.add_vocab_size(hparams.n_vocab)
    writer.add_context_length(hparams.n_ctx_train)
    writer.add_embedding_length(hparams.n_embd)
    writer.add_block_count(hparams.n_layer)
    writer.add_feed_forward_length(hparams.n_ff)
    writer.add_head_count(hparams.n_head)
    writer.add_head_count_kv(hparams.n_head_kv)
    writer.add_rope_dimension_count(hparams.n_embd_head)
    writer.add_rope_freq_base(hparams.rope_freq_base)
    writer.add_layer_norm_rms_eps(hparams.rms_eps)
    writer.add_key_length(hparams.n_embd_head)
    writer.add_value_length(hparams.n_embd_head)
    if hparams.rope_scaling and hparams.rope_scaling.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(hparams.rope_scaling.factor)


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    if vocabulary.scores is not None:
        writer.add_token_scores(list(vocabulary.scores))
    if vocabulary.merges is not None:
        writer.add_token_merges(list(vocabulary.merges))
    for name, id_ in vocabulary.special_ids.items():
        getattr(writer, f"add_{name}_token_id")(id_)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    if vocabulary.add_space_prefix is not None:
        writer.add_add_space_prefix(vocabulary.add_space_prefix)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def _write(writer: gguf.GGUFWriter, tensors: Sequence[PlannedTensor], progress: Report | None) -> None:
    for tensor in tensors:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.n_bytes, raw_dtype=tensor.type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    done, total = 0, sum(tensor.n_bytes for tensor in tensors)
    for tensor in tensors:
        if progress:
            progress(tensor.name, done, total)
        writer.write_tensor_data(whole(tensor.load()))
        done += tensor.n_bytes
    if progress:
        progress("", done, total)
