"""Rows as the model will see them: tokens in; text with what is supervised, special and an end out.

Open `token_spans.py` first. `terminal.py` and `page.py` draw what it found.
"""
