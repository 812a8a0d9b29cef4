"""Objects and lines → `Row`: what every format of every file becomes.

Open `row.py` first, then `formats.py`: how each format is recognised, and what is said where none fits. `reader.py`
reads whole files, `turns.py` conversations; `documents.py` says which rows belong together.
"""
