"""What the user decides: flags, config file, model card and defaults in; one checked `TrainConfig` out.

Open `train_config.py` first: every setting of a run, its limits and its words. `resolve.py` merges what has a say,
`setting.py` says what a setting is. `data_settings.py` holds the part that data alone needs, `old_finetune_flags.py`
translates the command line of llama.cpp's old program.
"""
