"""GitHub's REST API: which repository and what of it in, its JSON out, by way of a cache on disk.

Open `fetch.py` first. `client.py` is the one module that opens the network for it, `access.py` keeps the token to its
place, `limits.py` reads from answers how long to wait, and `trouble.py` has the sentences for what can go wrong.
"""
