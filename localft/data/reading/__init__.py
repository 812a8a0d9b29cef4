"""A --data value → files, and files → bytes, lines or objects, however they are packed.

Open `sources.py` first: what a value names (file, folder, address, data set of the hub) and how often it counts.
`lines.py` reads JSON Lines of any length, `tables.py` CSV, TSV and Parquet; `data_file.py` bytes and text, with the
sentences for a file that is neither.
"""
