"""The questions of the templates, and which of them is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

FILE = (
    "What does {path} look like in {name}?",
    "Show me {path} from {name}.",
    "What is in {path} of {name}?",
    "Can you show me the content of {path} in {name}?",
    "I'd like to read {path} from {name}. What does it say?",
)
DEFINED = (
    "What {do} {names} in {path} of {name} look like?",
    "Show me {names} from {path} in {name}.",
    "How {are} {names} defined in {path} of {name}?",
    "Can you show me the code of {names} in {path} ({name})?",
)
# what a part holds beside whole definitions: imports, the end of one that began above
HELD = (
    "What {do} {names} in {path} of {name} look like?",
    "Show me {names} from {path} in {name}.",
    "Can you show me the code of {names} in {path} ({name})?",
    "In {path} of {name}, what {do} {names} look like?",
)
LINES = (
    "Show me {where} of {path} in {name}.",
    "What {do} {where} of {path} in {name} look like?",
    "What is in {where} of {path}, in {name}?",
    "Can you show me {path} from {name}, {where} only?",
)
PAGE = (
    "Walk me through {title} of {name}.",
    "Can you walk me through {title} in {name}?",
    "What does {title} of {name} say?",
    "Explain what {title} in {name} is about.",
    "Give me the whole of {title} from {name}.",
)
SECTION = (
    "Walk me through {title} in {path} of {name}.",
    "What does {path} of {name} say under {title}?",
    "What do the docs of {name} say in {path} under {title}?",
    "Can you walk me through the section {title} of {path} in {name}?",
    "I'm reading {path} of {name}. Walk me through {title}.",
)
SECTION_PART = (
    "What {do} {where} of {path} in {name} say, under {title}?",
    "Walk me through {where} of {path} in {name}, under {title}.",
    "Under {title}, {path} of {name} is long. What {do} {where} say?",
)
SECTION_START = (
    "How does {title} in {path} of {name} begin, before its first subsection?",
    "What does {path} of {name} say right under {title}, before the subsections?",
    "Walk me through how {title} in {path} of {name} starts, up to its first subsection.",
)
PAGE_START = (
    "How does {path} of {name} begin, before its first section?",
    "What does {path} of {name} say at the top, before the first section?",
    "Walk me through the start of {path} in {name}, up to its first section.",
)
PAGE_PART = (
    "What {do} {where} of {path} in {name} say?",
    "Walk me through {where} of {path} in {name}.",
    "Show me {where} of {path} from {name}.",
)
PULL_REQUEST = (
    "What does pull request #{number} in {name} change, and why?",
    "Walk me through pull request #{number} of {name}: what was changed and why?",
    "Why was pull request #{number} opened in {name}, and what does it do?",
    "Summarise {name}#{number} for me: what does this pull request change, and for what reason?",
)
PULL_REQUEST_TITLE = (
    "What is pull request #{number} in {name} about?",
    "What is the title of pull request #{number} in {name}?",
    "Which change is pull request #{number} of {name}?",
)
ISSUE = (
    "What is issue #{number} in {name} about?",
    "Walk me through issue #{number} of {name}.",
    "What does issue #{number} in {name} describe?",
    "Can you tell me what was reported in {name}#{number}?",
)
ISSUE_TITLE = (
    "What is the title of issue #{number} in {name}?",
    "How is issue #{number} of {name} called?",
    "Which issue is #{number} in {name}?",
)
COMMIT_WHY = (
    "What did {commit} change in {name}, and why?",
    "Why was {commit} made in {name}, and what did it change?",
    "Walk me through {commit} in {name}: what changed and why?",
)
COMMIT = (
    "What did {commit} do in {name}?",
    "What is {commit} in {name} about?",
    "Tell me about {commit} in {name}.",
)
COMMIT_FILES = (
    *COMMIT,
    "What is {commit} in {name} about, and which files did it touch?",
    "Which files did {commit} in {name} change, and when?",
)
DIFF = (
    "Show me the diff of {commit} in {name}.",
    "What does the diff of {commit} in {name} look like?",
    "How did the code of {name} change with {commit}? Show me the diff.",
)
DIFF_ROWS = (
    "Show me {where} of the diff of {commit} in {name}.",
    "What does {where} of the diff of {commit} in {name} look like?",
)
DIFF_PART = (
    "Show me a part of the diff of {commit} in {name}.",
    "Show me some of the code that {commit} changed in {name}, as a diff.",
)


def choose(phrasings: Sequence[str], seed: int, key: str, n: int) -> list[str]:
    """`n` of the phrasings, or all where there are fewer: the same for a seed and a key, whatever else is asked."""

    def place(phrasing: str) -> bytes:
        return hashlib.blake2b(f"{seed}\0{key}\0{phrasing}".encode("utf-8", "replace"), digest_size=8).digest()

    return sorted(phrasings, key=place)[:n]
