"""Looking through data before a run: every problem with its place, tokens, lengths, leakage, and the time of an epoch.

Open `check.py` first: all checks in one call. `reader.py` keeps as problems what a run would refuse, `content.py`,
`style.py` and `tokens.py` look at the rows, `cost.py` times a few micro-batches, `report.py` puts it into words.
"""
