"""Making data: repositories, GitHub and models in; JSON Lines for `localft finetune --data` out.

`repository/` (code, docs, history) and `github/` (pull requests, issues) give rows of raw text, `synthetic/` turns
such rows into questions and answers. `chunking/` cuts documents to rows, `secrets.py` finds what must not be learned
(by format in `secret_patterns.py`, by name in `secret_names.py`, by login in `secret_logins.py`) and `redaction.py`
takes it out, `text_length.py` counts tokens, and `test_set.py` keeps a test set apart from every run. Open
`repository/build.py` first.
"""
