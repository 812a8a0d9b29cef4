"""Looking at data: `check/` says what is wrong with it and what an epoch would cost, `show/` what a model will see.

Both read, word and tokenize by the same code as a run. Open `check/check.py` first.
"""
