"""A document → rows of at most so many tokens, cut where a person would.

Open `layout.py` first: one row where it fits; else a file's chunks, a page's sections, or the rows of a diff.
"""
