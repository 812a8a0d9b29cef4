"""Pull requests and issues of a GitHub repository, from its REST API or from JSON that `gh` saved, to rows.

Open `export.py` first. `api/` fetches, `saved.py` reads what `gh` saved; `records.py` makes the same plain records of
both, `sections.py` readable text of those, and `parts.py` rows of a length that fits.
"""
