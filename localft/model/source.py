"""`--model` value → local files: a card's name, a Hugging Face repo id, a folder or a .gguf."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localft.errors import ConfigError, LocalftError, ModelError
from localft.files import real_path
from localft.kinds.file_kind import WEIGHTS, Kind, file_kind
from localft.kinds.folder_kind import folder_kind
from localft.model.card import CARD, ModelCard, find_card, load_cards
from localft.model.gguf.header import read_header
from localft.report import Report
from localft.spelling import nearest

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class ModelSource:
    """What `--model` names, before anything is downloaded.

    Attributes:
        name: short name, used in file names.
        card: the model card, where there is one.
        checkpoint: folder of a Hugging Face checkpoint on this machine, or None.
        gguf: a GGUF file on this machine, or None.
        repo_id: Hugging Face repo to download from, or None.
    """

    name: str
    card: ModelCard | None = None
    checkpoint: Path | None = None
    gguf: Path | None = None
    repo_id: str | None = None

    @property
    def revision(self) -> str:
        return self.card.revision if self.card else "main"


def resolve_model(model: str) -> ModelSource:
    """Find out what `model` names; downloads nothing.

    Raises:
        ConfigError: it is no card, file, folder or repo id; names the nearest card.
        ModelError: a file or folder of that name is not there, or holds no model.
    """
    text = str(model)
    if not text.strip():
        raise ConfigError(
            "no model was given", f"give a card's name ({', '.join(load_cards())}), a folder or a .gguf file"
        )
    path = Path(text).expanduser()
    if text in load_cards() or not (path.exists() or text.lower().endswith(".gguf")):
        return _by_name(text)
    if not path.exists():
        raise ModelError(f"the file `{text}` does not exist", "check the path, or give a card's name")
    if path.is_file():
        return _file(text, path)
    if not path.is_dir():
        raise ModelError(f"`{text}` is a pipe or a device", "give a folder or a .gguf file")
    return _folder(text, path)


_GGUF = (Kind.MODEL, Kind.ADAPTER, Kind.CHECKPOINT)


def _file(text: str, path: Path) -> ModelSource:
    try:
        kind = file_kind(path)
    except OSError as error:
        raise ModelError(f"`{text}` cannot be read: {error.strerror}", "check that you may read it") from None
    if kind.kind in _GGUF:
        # Ollama keeps its models under their hashes
        blob = re.fullmatch(r"(sha256-[0-9a-f]{12})[0-9a-f]{52}", path.name)
        return ModelSource(blob[1] if blob else path.stem if path.suffix.lower() == ".gguf" else path.name, gguf=path)
    if kind.kind is Kind.WEIGHTS:
        raise ModelError(f"`{text}` is {kind.what}", f"{kind.hint}: `{path.parent}`" if kind is WEIGHTS else kind.hint)
    if kind.what and kind.kind is not Kind.UNKNOWN:
        raise ModelError(f"`{text}` is {kind.what}", kind.hint)
    if path.suffix.lower() == ".gguf":
        raise ModelError(f"`{text}` is no GGUF, whatever its name says", "download or convert it again")
    hint = "give the folder of a Hugging Face checkpoint"
    if path.suffix == ".json":
        hint = f"give the folder that it is in: `{path.parent}`"
    elif kind.form.is_json:
        hint = "give rows to --data"
    raise ModelError(f"`{text}` is neither a folder nor a .gguf file", hint)


def _folder(text: str, path: Path) -> ModelSource:
    if (kind := folder_kind(path)) and kind.kind is not Kind.MODEL_FOLDER:
        raise ModelError(f"`{text}` is {kind.what} and not a model", kind.hint)
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        hint = f"did you mean `{ggufs[0]}`?" if ggufs else "give the folder of a Hugging Face checkpoint"
        raise ModelError(f"the folder `{text}` has no config.json", hint)
    return ModelSource(real_path(path).name, checkpoint=path)


def _by_name(text: str) -> ModelSource:
    card = find_card(text)
    if card is not None:
        return ModelSource(card.name, card=card, checkpoint=card.bundled, repo_id=card.hf_id)
    if _REPO_ID.fullmatch(text):
        return ModelSource(text.replace("/", "--"), repo_id=text)
    cards = load_cards()
    close = nearest(text, cards)
    hint = f"did you mean `{close}`?" if close else f"cards: {', '.join(cards)}"
    raise ConfigError(f"`{text}` is neither a model card, a folder, a .gguf file nor a Hugging Face repo id", hint)


def card_defaults(model: str) -> Mapping[str, object]:
    """The settings that the card of `model` presets; none where it has no card.

    Args:
        model: as `--model` takes it. A file that was converted from a card keeps the card's name; the type of its
            weights is its own.
    """
    card = find_card(model)
    if card is not None:
        return card.defaults
    card = _card_of_file(Path(model).expanduser())
    return {key: value for key, value in card.defaults.items() if key != "outtype"} if card else {}


def _card_of_file(path: Path) -> ModelCard | None:
    try:
        name = read_header(path).values.get(CARD) if path.is_file() else None
    except (LocalftError, OSError):
        return None
    return load_cards().get(str(name))


def fetch_checkpoint(source: ModelSource, progress: Report | None = None) -> Path:
    """The folder of `source`'s checkpoint, downloaded into the Hugging Face cache where it is not there yet.

    An interrupted download goes on where it stopped. With `HF_HUB_OFFLINE=1`, and without a network, a complete
    copy in the cache is used.

    Args:
        progress: called with a file's name, bytes that are there, and bytes in all.

    Raises:
        ModelError: gated, missing, no network, disk full, or nothing that can be converted in the repo.
    """
    if source.checkpoint is not None:
        if not source.checkpoint.is_dir():
            raise ModelError(f"the bundled model is missing from `{source.checkpoint}`", "install localft again")
        return source.checkpoint
    if source.repo_id is None:
        raise ModelError(f"`{source.name}` is a GGUF file; it has no checkpoint", "give a card's name or a repo id")
    from localft.model.conversion.hparams import read_hparams
    from localft.model.conversion.vocabulary import read_vocabulary
    from localft.model.huggingface import download

    def check(folder: Path) -> None:
        read_vocabulary(folder, read_hparams(folder))

    return download(source.repo_id, source.revision, check, progress)
