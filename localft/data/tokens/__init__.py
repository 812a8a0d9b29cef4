"""Segments → tokens + loss_mask, at most n_ctx positions in a row.

Open `tokenize.py` first: segments to tokens, a supervised segment's with a 1 in the mask. `context_length.py` chooses
n_ctx and brings rows to it. `run_wording.py` holds the templates of one run, `collector.py` goes through all files
with them, `prompt.py` words chat's prompts by the same code. Large JSON Lines are tokenized by several processes and
kept on disk: `tokenize_on_disk.py`, `workers.py`, `token_file.py`, `rows_on_disk.py`, `cache.py`; those of
other large files in a temporary file: `units.py`, `token_spill.py`.
"""
