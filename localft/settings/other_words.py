"""What other trainers call our settings: for the hint under an unknown flag or key."""

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
