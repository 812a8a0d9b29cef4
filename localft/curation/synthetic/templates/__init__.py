"""A document → questions that its rows answer, without a model.

Open `templates.py` first, then `questions.py` for what a question is. `pages.py` and `changes.py` have those about
pages, commits and pull requests, `templates.py` itself those about files, `phrasings.py` the words.
"""
