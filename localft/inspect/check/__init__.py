"""Looking through data before a run: everything that is wrong with it, and what it will cost."""
