"""What files and folders are: a path or bytes in, a kind out, with the words for it and a way out.

Open `file_kind.py` first: files by their bytes. `text_kind.py` tells texts apart, `folder_kind.py` folders.
"""
