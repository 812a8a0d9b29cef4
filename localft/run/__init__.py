"""A run is a folder: what is written while it trains, and what is read to go on with it or to chat.

Open `folder.py` first. `record.py` is all that must be known of a run, `checkpoint.py` the file that it goes on from
to the same numbers, `resume.py` what may change on the way, `writer.py` what puts checkpoints and adapters on disk,
and `metrics.py` the lines that are kept of what happened.
"""
