"""Every key of a checkpoint's JSON files that transformers or llama.cpp's converter reads, and what is done with it.

Sources: transformers 5.23 (`PreTrainedConfig`, `LlamaConfig`, `MistralConfig`, `modeling_rope_utils`,
`PreTrainedTokenizerBase`, `GenerationConfig`) and `conversion/base.py`, `conversion/llama.py` and `gguf/vocab.py` of
the llama.cpp in llama-cpp-python 0.3.36. `docs/checkpoints.md` shows the table; `json_object.py` keeps to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Use = Literal["used", "only", "same", "harmless"]


@dataclass(frozen=True)
class Key:
    """What is done with some keys of one file.

    Attributes:
        names: the keys, with spaces between them.
        use: "used" is read; "only" may be unset or one of `allowed`, else the checkpoint is refused; "same" may be
            unset or equal to the key `allowed[0]`, else refused; "harmless" changes no number and no token.
        transformers, llama_cpp: what each does with them.
        why: the reason, which is also the hint where a value is refused.
    """

    names: str
    use: Use
    transformers: str
    llama_cpp: str
    why: str
    allowed: tuple[object, ...] = ()


_SIZE = "a size of the model, checked against every tensor's shape"
_MOE = "llama.cpp takes the model for a mixture of experts, which transformers' class is not"
_NESTED = "llama.cpp reads the sizes of the model inside, transformers those outside"
_ALIAS = "llama.cpp reads this name too, transformers does not"
_KEPT = "kept, read by nothing"
_SAMPLING = (
    "temperature top_k top_p min_p top_h typical_p epsilon_cutoff eta_cutoff repetition_penalty penalty_repeat "
    "penalty_last_n sequence xtc_probability xtc_threshold mirostat mirostat_tau mirostat_eta do_sample num_beams "
    "num_beam_groups diversity_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size "
    "encoder_repetition_penalty bad_words_ids force_words_ids constraints forced_bos_token_id forced_eos_token_id "
    "decoder_start_token_id suppress_tokens begin_suppress_tokens forced_decoder_ids sequence_bias guidance_scale "
    "penalty_alpha dola_layers exponential_decay_length_penalty renormalize_logits remove_invalid_values "
    "watermarking_config early_stopping num_return_sequences stop_strings max_length max_new_tokens min_length "
    "min_new_tokens max_time token_healing"
)

CONFIG = (
    Key("architectures", "used", "ignored", "chooses the graph", "the first names the architecture"),
    Key("model_type", "used", "chooses the class", "ignored", "llama or mistral, and its defaults"),
    Key(
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim",
        *("used", "used", "used"),
        _SIZE,
    ),
    Key("max_position_embeddings", "used", "used", "used", "the context that the model was trained on"),
    Key("rms_norm_eps", "used", "used", "used", "part of every norm"),
    Key("rope_scaling", "used", "taken before rope_parameters", "as transformers", "the older name"),
    Key("rope_parameters rope_theta", "used", "used", "as transformers", "see the table of RoPE below"),
    Key(
        "original_max_position_embeddings",
        *("used", "taken before the one inside rope_parameters", "where AutoConfig filled none in"),
        "the context before Llama 3's scaling, as transformers; without either, max_position_embeddings",
    ),
    Key(
        "tie_word_embeddings",
        "used",
        "the head is the embedding, unless the file holds another head",
        "the head is what the file holds, else the embedding",
        "a head equal to the embedding is left out, another is kept and said",
    ),
    Key("sliding_window", "used", "Mistral's class applies it", "not applied", "said where it is below the context"),
    Key("quantization_config", "used", "unpacks the weights", "unpacks some", "refused: localft quantises itself"),
    Key("eos_token_id", "used", "a number or a list, where generation_config.json has none", "a number", "see below"),
    Key("bos_token_id", "used", "not by the tokenizer", "where the tokenizer names none", "as llama.cpp"),
    Key("pad_token_id", "used", "a row of zero gradient; -1 is none", "a negative one is refused", "-1 is none"),
    Key(
        "unk_token_id sep_token_id cls_token_id mask_token_id",
        *("used", "kept", "where the tokenizer names none"),
        "as llama.cpp",
    ),
    Key("hidden_act", "only", "used", "ignored, always SiLU", "llama.cpp's graph has SiLU", ("silu", "swish")),
    Key(
        "attention_bias mlp_bias",
        "only",
        "Llama's class adds biases",
        "writes them",
        "biases are not trained",
        (False,),
    ),
    Key(
        "partial_rotary_factor rope_pct rope_percent",
        *("only", "RoPE over a part of the head", "ignored for llama"),
        "llama.cpp turns the whole head",
        (1,),
    ),
    Key("is_causal", "only", _KEPT, "attention to later tokens", "training and chat look back only", (True,)),
    Key("is_encoder_decoder add_cross_attention", "only", "of other models", "ignored", "no such model", (False,)),
    Key("pruned_heads", "only", "of older versions", "ignored", "heads are missing from the weights"),
    Key("per_layer_config", "only", "layers of other sizes", "ignored", "llama.cpp's layers are alike"),
    Key("layer_types", "only", "nests RoPE by them", "nests RoPE by them", "layers must be alike", ("full_attention",)),
    Key("compression_config", "only", "unpacks the weights", "ignored", "take the full-precision checkpoint"),
    Key(
        "num_local_experts num_experts n_routed_experts num_experts_per_tok num_experts_per_token top_k_experts "
        "n_group topk_group score_function scoring_func score_func moe_router_activation moe_router_activation_func "
        "expert_selection_fn interleave_moe_layer_step intermediate_size_moe intermediate_size_mlp",
        *("only", _KEPT, "used"),
        _MOE,
        (0,),
    ),
    Key(
        "text_config vision_config audio_config llm_config lm_config thinker_config language_config lfm "
        "transformer_layer_config ssm_cfg draft_vocab_size",
        *("only", _KEPT, "used"),
        _NESTED,
    ),
    Key(
        "local_rope_theta rope_local_theta rope_theta_local swa_rope_theta rope_local_base_freq",
        *("only", _KEPT, "a second RoPE"),
        "llama.cpp's llama has one RoPE",
    ),
    Key("n_layers n_layer num_layers", "same", _KEPT, "n_layers is taken first", _ALIAS, ("num_hidden_layers",)),
    Key("n_embd dim", "same", _KEPT, "used", _ALIAS, ("hidden_size",)),
    Key(
        "prefix_dense_intermediate_size dense_intermediate_size n_inner hidden_dim",
        *("same", _KEPT, "the first two are taken first", _ALIAS),
        ("intermediate_size",),
    ),
    Key("n_head n_heads", "same", _KEPT, "n_heads is taken first", _ALIAS, ("num_attention_heads",)),
    Key("n_kv_heads", "same", _KEPT, "taken first", _ALIAS, ("num_key_value_heads",)),
    Key("norm_eps", "same", _KEPT, "used", _ALIAS, ("rms_norm_eps",)),
    Key(
        "global_rope_theta rope_global_theta rope_theta_global rotary_emb_base",
        *("same", _KEPT, "taken first", _ALIAS),
        ("rope_theta",),
    ),
    Key("vocab_size_per_layer_input", "same", _KEPT, "taken first", _ALIAS, ("vocab_size",)),
    Key(
        "n_ctx n_positions max_sequence_length model_max_length",
        *("harmless", _KEPT, "where max_position_embeddings is missing"),
        "transformers' class always has that",
    ),
    Key(
        "layer_norm_eps layer_norm_epsilon norm_epsilon classifier_pooling",
        *("harmless", _KEPT, "written"),
        "no part of a llama reads them",
    ),
    Key(
        "torch_dtype dtype",
        *("harmless", "the type to compute in", "the type to write, where none is asked for"),
        "--outtype decides",
    ),
    Key(
        "attention_dropout hidden_dropout resid_pdrop embd_pdrop attn_pdrop",
        *("harmless", "while training", "ignored"),
        "localft has --lora-dropout; nothing when a model answers",
    ),
    Key("auto_map", "harmless", "code of the checkpoint, where that is trusted", "ignored", "no such code is run"),
    Key(
        _SAMPLING,
        *("harmless", "not read from here since version 5", "ignored"),
        "chat has settings of its own, and training none",
    ),
    Key("pretraining_tp", "harmless", "ignored since version 5", "ignored", "the same product in parts"),
    Key(
        "initializer_range use_cache transformers_version name_or_path _name_or_path _commit_hash return_dict "
        "output_hidden_states output_attentions chunk_size_feed_forward id2label label2id num_labels problem_type "
        "attn_implementation _attn_implementation _attn_implementation_autoset experts_implementation "
        "tie_last_hidden_states is_decoder tie_encoder_decoder cross_attention_hidden_size torchscript use_bfloat16 "
        "tokenizer_class prefix finetuning_task task_specific_params use_sliding_window max_window_layers "
        "unsloth_version unsloth_fixed",
        *("harmless", "how it is run, saved or named", "ignored"),
        "no part of the numbers",
    ),
)

ROPE = (
    Key("rope_type type", "used", "rope_type first", "as transformers", "default, linear and llama3 are known"),
    Key("rope_theta", "used", "taken before the one outside", "as transformers", "10,000 without either"),
    Key("factor", "used", "needed by linear and llama3", "8 for llama3 without it", "needed, not guessed"),
    Key("low_freq_factor high_freq_factor", "used", "needed by llama3", "1 and 4 without them", "needed, not guessed"),
    Key("original_max_position_embeddings", "used", "after the one outside", "used", "as transformers"),
    Key(
        "partial_rotary_factor",
        *("only", "RoPE over a part of the head", "ignored for llama"),
        "llama.cpp turns the whole head",
        (1,),
    ),
    Key("mrope_section", "only", "of other models", "written", "positions of one dimension only"),
    Key(
        "full_attention sliding_attention chunked_attention",
        *("only", "one RoPE for each kind of layer", "the first"),
        "layers must be alike",
    ),
    Key(
        "attention_factor attn_factor extrapolation_factor beta_fast beta_slow mscale mscale_all_dim truncate "
        "short_factor long_factor finetuned",
        *("harmless", "of kinds that are refused", "of kinds that are refused"),
        "default, linear and llama3 have none",
    ),
)

TOKENIZER_CONFIG = (
    Key(
        "bos_token eos_token",
        "used",
        "named tokens, special",
        "where tokenizer.json has them",
        "before config.json's ids",
    ),
    Key("unk_token sep_token pad_token cls_token mask_token", "used", "named tokens, special", "as above", "as above"),
    Key(
        "additional_special_tokens extra_special_tokens model_specific_special_tokens",
        *("used", "special", "special where the vocabulary comes through transformers"),
        "no user's text may give them",
    ),
    Key(
        "added_tokens_decoder",
        "used",
        "in place of two older files",
        "after added_tokens.json",
        "after added_tokens.json",
    ),
    Key(
        "add_bos_token add_eos_token",
        *("used", "where there is no tokenizer.json", "where its post_processor says nothing"),
        "as llama.cpp",
    ),
    Key("add_prefix_space", "used", "Llama's class", "of sentencepiece's kind", "refused where the two would differ"),
    Key(
        "chat_template",
        "used",
        "where there is no chat_template.jinja",
        "before chat_template.jinja",
        "as transformers",
    ),
    Key("tokenizer_class", "used", "chooses the class", "ignored", "only to see what add_prefix_space does"),
    Key("split_special_tokens", "only", "a template's tokens become text", "ignored", "no token would end", (False,)),
    Key("do_lower_case", "only", "not of Llama's class", "ignored", "text is taken as it stands", (False,)),
    Key("fix_mistral_regex", "only", "another pre-tokenizer", "ignored", "text would be cut otherwise", (False,)),
    Key("fast_tokenizer_files", "only", "another tokenizer.json", "ignored", "rename the file to tokenizer.json"),
    Key("sp_model_kwargs init_inputs", "only", "arguments for sentencepiece", "ignored", "text may be cut otherwise"),
    Key(
        "legacy",
        *("harmless", "no space behind special tokens where false", "always a space"),
        "training and chat cut text as llama.cpp does",
    ),
    Key(
        "clean_up_tokenization_spaces clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output "
        "spaces_between_special_tokens",
        *("harmless", "when tokens become text", "ignored"),
        "answers are shown as their tokens spell them",
    ),
    Key(
        "model_max_length max_len max_length padding_side truncation_side truncation_strategy stride pad_token_type_id "
        "pad_to_multiple_of padding",
        *("harmless", "cuts and pads batches", "ignored"),
        "there is no padding here, and --ctx decides",
    ),
    Key(
        "auto_map backend chat_control_tokens device_map errors from_slow is_local local_files_only merges_file "
        "model_input_names name_or_path processor_class response_schema special_tokens_map_file tokenizer_file "
        "trim_offsets use_default_system_prompt use_fast verbose vocab_file",
        *("harmless", "how it is run, saved or named", "ignored"),
        "no part of the tokens",
    ),
)

SPECIAL_TOKENS_MAP = (
    Key(
        "bos_token eos_token unk_token sep_token pad_token cls_token mask_token additional_special_tokens "
        "extra_special_tokens",
        *("used", "before tokenizer_config.json's, where that has no added_tokens_decoder", "ignored"),
        "as transformers",
    ),
)

ADDED_TOKENS = (
    Key(
        "any token",
        *("used", "special where it is named so; not read beside added_tokens_decoder", "never special"),
        "a control token of the vocabulary stays one",
    ),
)

GENERATION_CONFIG = (
    Key("eos_token_id", "used", "before config.json's, all of them end an answer", "ignored", "beside config.json's"),
    Key("bos_token_id pad_token_id", "used", "starts an empty prompt; pads", "ignored", "where nothing else names one"),
    Key(
        _SAMPLING,
        *("harmless", "how it answers", "some are written as general.sampling"),
        "chat has settings of its own, and training none",
    ),
    Key(
        "_from_model_config transformers_version use_cache cache_implementation cache_config max_cache_len "
        "compile_config disable_compile continuous_batching_config prefill_chunk_size low_memory "
        "return_dict_in_generate return_dict output_attentions output_hidden_states output_logits output_scores "
        "trust_remote_code assistant_confidence_threshold assistant_early_exit assistant_ensemble_weight "
        "assistant_lookbehind is_assistant num_assistant_tokens num_assistant_tokens_schedule "
        "prompt_lookup_num_tokens max_matching_ngram_size speculation_type target_lookbehind use_mtp "
        "generation_kwargs",
        *("harmless", "how it is run", "ignored"),
        "no part of the answer",
    ),
)

TABLES: Mapping[str, tuple[Key, ...]] = {
    "config.json": CONFIG,
    "rope_parameters": ROPE,
    "tokenizer_config.json": TOKENIZER_CONFIG,
    "special_tokens_map.json": SPECIAL_TOKENS_MAP,
    "added_tokens.json": ADDED_TOKENS,
    "generation_config.json": GENERATION_CONFIG,
}


def by_name(table: str) -> dict[str, Key]:
    """The rows of one table, by each key that they speak of."""
    return {name: key for key in TABLES[table] for name in key.names.split()}
