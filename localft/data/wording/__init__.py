"""A row → the text that the model sees, in segments of which each is supervised or not.

Open `conversation.py` first: where an answer begins and ends in a rendered chat template. `turns.py` says where a
template looks for reasoning; `marked_texts.py` finds the answers in renderings with placeholders, and
`long_conversation.py` many of them at once; `lone_answer.py` words one behind the prompt of chat, where earlier turns
change; `guard.py` keeps typed control tokens plain in messages that a template rewrites. `template.py` chooses how rows
are worded (chat template, Alpaca, plain), for training and chat alike; `chat_template.py` runs a template, in the
sandbox with a budget that is in `bounded/`.
"""
