"""Rows → what trains and what validates, and what leaks from one side to the other.

Open `sides.py` first. `validation.py` chooses whole documents, `find_leaks.py` compares both sides (`leakage.py`,
`leak_search.py`, `shingles.py`), and `val_prompts.py` takes a few questions to compare the model before and after.
"""
