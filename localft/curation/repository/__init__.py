"""From a repository, its docs and its history to rows: SOURCE → documents → secrets out → chunks → JSON lines.

Open `build.py` first. `source.py` says what a SOURCE is and which files it has (`git.py` and `git_dir.py`, `clone.py`,
`folder.py`), `files.py` and `history.py` make documents of them, and `ledger.py` counts what was left out and why.
"""
