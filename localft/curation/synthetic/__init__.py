"""Rows of `localft data build` and `github` → conversations: by template, and by a model that is asked for pairs.

Open `synth.py` first. `source_documents.py` says what each row is a part of, `templates/` has the questions that need
no model, `model/` asks one; `filter.py`, `support.py` and `has_content.py` decide what is kept.
"""
