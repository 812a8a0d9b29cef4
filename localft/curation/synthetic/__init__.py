"""Rows of `localft data build` to conversations: by template, and by a model that is asked for pairs."""
