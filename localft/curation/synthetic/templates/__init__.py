"""A document → questions that its rows answer, without a model.

Open `templates.py` first, then `questions.py` for what a question is. `pages.py`, `changes.py` and `definitions.py`
have those for each kind of document, `phrasings.py` the words.
"""
