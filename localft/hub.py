"""`--model` value → local files: a card's name, a Hugging Face repo id, a folder or a .gguf; downloads what is missing.

The only module that opens the network.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from localft.card import ModelCard, find_card, load_cards, nearest
from localft.errors import ConfigError, LocalftError, ModelError

Progress = Callable[[str, int, int], None]

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Small files that conversion reads, in the order in which they are fetched; the weights come last, so that a
# folder with all its weights has all the rest.
_SMALL = (
    "config.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer.model",
    "tokenizer.json",
)
_WEIGHTS = (("model.safetensors", "safetensors"), ("pytorch_model.bin", "bin"))
_SPARE_BYTES = 100 << 20


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


def localft_home() -> Path:
    """Where localft keeps converted models: `LOCALFT_HOME`, else the platform's cache folder."""
    value = os.environ.get("LOCALFT_HOME")
    if value:
        return Path(value).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("localft", appauthor=False))


def resolve_model(model: str) -> ModelSource:
    """Find out what `model` names; downloads nothing.

    Raises:
        ConfigError: it is no card, file, folder or repo id; names the nearest card.
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
        raise ConfigError(f"the file `{text}` does not exist", "check the path, or give a card's name")
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ConfigError(
                f"`{text}` is neither a folder nor a .gguf file", "give the folder of a Hugging Face checkpoint"
            )
        return ModelSource(path.stem, gguf=path)
    return _folder(text, path)


def _folder(text: str, path: Path) -> ModelSource:
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        hint = f"did you mean `{ggufs[0]}`?" if ggufs else "give the folder of a Hugging Face checkpoint"
        raise ConfigError(f"the folder `{text}` has no config.json", hint)
    return ModelSource(path.resolve().name, checkpoint=path)


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


def fetch_checkpoint(source: ModelSource, progress: Progress | None = None) -> Path:
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
    try:
        return _download(source, source.repo_id, progress)
    except LocalftError:
        raise
    except Exception as error:  # huggingface_hub lets errors of three HTTP libraries through
        raise _translate(source, source.repo_id, error) from error


def cached_checkpoint(source: ModelSource) -> Path | None:
    """The checkpoint's folder in the Hugging Face cache, if all its parts are there; never opens the network."""
    from huggingface_hub import try_to_load_from_cache

    if source.repo_id is None:
        return None
    config = try_to_load_from_cache(source.repo_id, "config.json", revision=source.revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    from localft.conversion.checkpoint import weight_files

    try:
        weight_files(folder)
    except ModelError:
        return None
    tokenizer = any((folder / name).is_file() for name in ("tokenizer.model", "tokenizer.json"))
    return folder if tokenizer else None


def _download(source: ModelSource, repo_id: str, progress: Progress | None) -> Path:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    if constants.HF_HUB_OFFLINE:
        cached = cached_checkpoint(source)
        if cached is None:
            raise ModelError(
                f"`{repo_id}` is not in the Hugging Face cache, and HF_HUB_OFFLINE forbids to download it",
                "unset HF_HUB_OFFLINE for the first run",
            )
        return cached
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        info = huggingface_hub.HfApi().model_info(repo_id, revision=source.revision, files_metadata=True)
    except Exception as error:
        cached = None if _refused(error) else cached_checkpoint(source)
        if cached is None:
            raise
        return cached
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    wanted = needed_files(repo_id, sizes)
    _check_disk(repo_id, sum(sizes[name] for name in wanted if not _is_cached(repo_id, name, info.sha)))
    done, total = 0, sum(sizes[name] for name in wanted)
    folder = Path()
    for name in wanted:
        if progress:
            progress(name, done, total)
        folder = Path(huggingface_hub.hf_hub_download(repo_id, name, revision=info.sha)).parent
        done += sizes[name]
    _remember_revision(repo_id, source.revision, info.sha)
    if progress:
        progress("", done, total)
    return folder


def needed_files(repo_id: str, names: Iterable[str]) -> list[str]:
    """Of a repo's files those that conversion reads, small ones first.

    Raises:
        ModelError: the repo holds no checkpoint that can be converted.
    """
    there = set(names)
    small = [name for name in _SMALL if name in there]
    weights: list[str] = []
    for whole, suffix in _WEIGHTS:
        stem = whole.removesuffix(f".{suffix}")
        parts = sorted(name for name in there if re.fullmatch(rf"{re.escape(stem)}-\d+-of-\d+\.{suffix}", name))
        index = f"{whole}.index.json"
        if index in there and parts:
            weights = [index, *parts]
        elif whole in there:
            weights = [whole]
        if weights:
            break
    if "config.json" not in there or not weights:
        ggufs = any(name.endswith(".gguf") for name in there)
        hint = (
            "it holds GGUF files: download one and give it to --model"
            if ggufs
            else "look for the original model's repo"
        )
        raise ModelError(f"the repo `{repo_id}` holds no checkpoint in safetensors or pytorch_model.bin", hint)
    return small + weights


def _is_cached(repo_id: str, name: str, revision: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo_id, name, revision=revision), str)


def _remember_revision(repo_id: str, revision: str, sha: str | None) -> None:
    """Let a later offline run find the snapshot under the branch's name, as the hub's own client does."""
    from huggingface_hub import constants

    if sha and revision != sha:
        folder = Path(constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}" / "refs"
        target = folder / revision
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(sha, encoding="utf-8")


def _check_disk(repo_id: str, n_bytes: int) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes and n_bytes + _SPARE_BYTES > free:
        raise ModelError(
            f"the disk is too full for `{repo_id}`: {n_bytes / 2**30:.1f} GiB to download, {free / 2**30:.1f} GiB free in `{folder}`",
            "free some space, or set HF_HOME to a folder on another disk",
        )


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _refused(error: BaseException) -> bool:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    return isinstance(error, RepositoryNotFoundError | RevisionNotFoundError)


def _translate(source: ModelSource, repo_id: str, error: BaseException) -> ModelError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return ModelError(
                f"the disk became full while `{repo_id}` was downloaded",
                "free some space, or set HF_HOME to a folder on another disk; the download then goes on where it stopped",
            )
    if isinstance(error, GatedRepoError):
        return ModelError(
            f"`{repo_id}` is gated: its owner wants you to accept its terms first",
            f"accept them on https://huggingface.co/{repo_id}, then run `hf auth login` (or set HF_TOKEN)",
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelError(f"`{repo_id}` has no revision `{source.revision}`", "check the model card's revision")
    if isinstance(error, RepositoryNotFoundError):
        return ModelError(
            f"there is no model `{repo_id}` on the Hugging Face hub, or it is private",
            "check the spelling; for a private model run `hf auth login` first",
        )
    if isinstance(error, HfHubHTTPError) and getattr(error, "response", None) is not None:
        status = error.response.status_code
        return ModelError(f"the Hugging Face hub answered {status} for `{repo_id}`", "try again later")
    if isinstance(error, PermissionError):
        return ModelError(f"the Hugging Face cache cannot be written: {error}", "set HF_HOME to a folder of your own")
    return ModelError(
        f"`{repo_id}` is not in the cache and the Hugging Face hub cannot be reached",
        "check the network; an interrupted download goes on where it stopped",
    )
