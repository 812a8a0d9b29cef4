"""Write convert_tokens.json: what sentencepiece and Hugging Face's tokenizers make of the hard strings.

python tests/helpers/convert_tokens.py      (needs sentencepiece and tokenizers: the parity extra)
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from checkpoints import HARD_STRINGS, VOCABULARIES, write_checkpoint

GOLDEN = Path(__file__).with_suffix(".json")


def reference(folder: Path, texts: tuple[str, ...]) -> list[list[int]]:
    """Token ids of each text, without BOS, by the tokenizer that the checkpoint was trained with."""
    if (folder / "tokenizer.model").is_file():
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return [processor.encode(text) for text in texts]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def main() -> None:
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        for vocabulary in VOCABULARIES:
            checkpoint = write_checkpoint(Path(folder) / vocabulary, vocabulary=vocabulary)
            golden[vocabulary] = reference(checkpoint, HARD_STRINGS)
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
