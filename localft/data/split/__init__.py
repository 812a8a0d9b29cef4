"""Rows → what trains and what validates, and what leaks from one side to the other.

Open `sides.py` first. `validation.py` chooses whole documents, `leakage.py` compares both sides (`leak_search.py`,
`shingles.py`), and `test_set.py` keeps a test set apart from every run.
"""
