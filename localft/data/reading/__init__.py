"""A --data value → files, and files → bytes, lines or objects, however they are packed.

Open `sources.py` first: what a value names (file, folder, address, data set of the hub) and how often it counts;
`folder_files.py` finds the files of a folder.
`lines.py` reads JSON Lines of any length, `json_array.py` arrays, `tables.py` CSV and TSV, `parquet.py` Parquet, each a
few rows at a time; `data_format.py` says which of them a file is, `data_file.py` gives bytes and text, with the
sentences for a file that is neither. `expansion.py` refuses what would become far too much.
"""
