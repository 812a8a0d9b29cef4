"""A row → pairs that a model wrote about it, kept on disk as they come.

Open `ask_model.py` first. `openai.py` speaks to an endpoint, `local_model.py` to a model on this machine, with a
`grammar.py` under which whatever it writes can be read; `prompt.py` is what both are asked, `journal.py` what they
answered so far.
"""
