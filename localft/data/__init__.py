"""Reading data: the user's files in; rows of tokens that fit, and micro-batches, out. One folder per arrow:

    reading → rows → wording → tokens → split → batching

Open `dataset.py` first: `prepare` is the whole way from a --data value to rows that train and validate, and
`summary.py` what is said about it. An arrow between these folders leads back along the line only.
"""
