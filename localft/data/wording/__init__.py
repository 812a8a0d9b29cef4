"""A row → the text that the model sees, in segments of which each is supervised or not.

Open `conversation.py` first: where an answer begins and ends in a rendered chat template. `template.py` chooses how
rows are worded (chat template, Alpaca, plain), for training and chat alike; `chat_template.py` runs a template, in the
sandbox with a budget that is in `bounded/`; `long_conversation.py` shares the prefixes of many answers.
"""
