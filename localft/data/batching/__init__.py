"""Rows of tokens → the micro-batches of every step of every epoch.

Open `batches.py` first: which rows make a sequence, which sequences a step, in which order. `packing.py` fills
sequences, `mix.py` weighs sources, and `micro_batch.py` is what an engine takes.
"""
