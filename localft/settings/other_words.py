"""What other programs call our settings and flags: for the hint under an unknown flag or key."""

from __future__ import annotations

OTHER_WORDS = {
    "learning_rate": "lr",
    **dict.fromkeys(("r", "rank", "lora_r"), "lora_rank"),
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    **dict.fromkeys(("target_modules", "keys", "targets"), "lora_targets"),
    **dict.fromkeys(("num_layers", "lora_num_layers", "layers"), "lora_layers"),
    **dict.fromkeys(("iters", "steps", "num_steps"), "max_steps"),
    "num_train_epochs": "epochs",
    **dict.fromkeys(("max_seq_length", "max_seq_len", "sequence_len", "cutoff_len", "block_size"), "ctx"),
    **dict.fromkeys(("per_device_train_batch_size", "gradient_accumulation_steps", "grad_accum"), "micro_batch_size"),
    **dict.fromkeys(("max_grad_norm", "clip"), "grad_clip"),
    **dict.fromkeys(("warmup_steps", "warmup_ratio"), "warmup"),
    **dict.fromkeys(("eval_steps", "steps_per_eval"), "val_every"),
    **dict.fromkeys(("save_steps", "save_every"), "checkpoint_every"),
    **dict.fromkeys(("output_dir", "adapter_path", "output"), "out"),
    **dict.fromkeys(("dataset", "train_data", "file"), "data"),
}

# Of flags that are no settings of a run: our names, of which a command has one.
COMMAND_WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("temperature", "t"), ("temp",)),
    **dict.fromkeys(
        ("n", "n_predict", "num_predict", "max_new_tokens", "max_length", "max_output_tokens"), ("max_tokens",)
    ),
    **dict.fromkeys(("c", "n_ctx", "num_ctx", "ctx_size", "context", "context_length", "context_size"), ("ctx",)),
    **dict.fromkeys(("m", "base", "base_model", "model_name", "model_path", "model_name_or_path"), ("model",)),
    **dict.fromkeys(("adapter", "adapter_path", "adapter_file", "lora_path", "peft", "run"), ("lora",)),
    **dict.fromkeys(("lora_scale", "lora_scaled", "scale", "strength"), ("adapter_scale",)),
    **dict.fromkeys(("p", "q", "question", "text", "message", "query", "input"), ("prompt",)),
    **dict.fromkeys(("sys", "system_prompt", "system_message", "instructions"), ("system",)),
    **dict.fromkeys(("chat_template", "prompt_template", "format", "prompt_format"), ("template",)),
    **dict.fromkeys(("no_template", "no_chat_template"), ("raw",)),
    **dict.fromkeys(("n_threads", "num_threads", "jobs", "j"), ("threads",)),
    **dict.fromkeys(("d", "f", "files", "input_file", "train_file"), ("data",)),
    **dict.fromkeys(("quant", "quantization", "quantize", "dtype", "type", "ftype"), ("outtype",)),
    **dict.fromkeys(("o", "output", "output_file", "outfile", "out_file"), ("out",)),
    **dict.fromkeys(("resume_from_checkpoint", "continue", "checkpoint"), ("resume",)),
    **dict.fromkeys(("config_file", "conf"), ("config",)),
    **dict.fromkeys(("dry", "plan", "noop"), ("dry_run",)),
    **dict.fromkeys(("stop_sequence", "stop_sequences", "reverse_prompt"), ("stop",)),
    **dict.fromkeys(("overwrite", "yes", "y"), ("force",)),
    **dict.fromkeys(("validation_data", "eval_data", "valid_data", "validation_file", "test_data"), ("val_data",)),
    **dict.fromkeys(("kinds", "what"), ("kind",)),
    **dict.fromkeys(("num", "count", "limit", "max_rows", "n_rows"), ("number", "limit", "val_samples")),
    **dict.fromkeys(("test_size", "test_split", "ratio"), ("test", "val_split")),
}
