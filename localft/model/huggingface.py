"""The Hugging Face hub: the one service that localft downloads from."""

from __future__ import annotations

import errno
import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localft.connection import is_here, through_proxy
from localft.errors import LocalftError, ModelError
from localft.model.conversion.hf_checkpoint import SMALL_FILES
from localft.report import Report
from localft.visible import one_line

# Small files that conversion reads, in the order in which they are fetched; the weights come last, so that a
# folder with all its weights has all the rest.
_WEIGHTS = (("model.safetensors", "safetensors"), ("pytorch_model.bin", "bin"))
_SPARE_BYTES = 100 << 20


def download(repo_id: str, revision: str, check: Callable[[Path], object], progress: Report | None = None) -> Path:
    """The folder of a repo's checkpoint in the Hugging Face cache, complete.

    Only the files that conversion reads are fetched, one after the other.

    Args:
        check: called with the folder once all but the weights is there; raises if the weights would be of no use.
        progress: called with a file's name, bytes that are there, and bytes in all.

    Raises:
        ModelError: gated, missing, no network, disk full, or nothing in the repo that can be converted.
    """
    _require_endpoint()
    try:
        return _download(repo_id, revision, check, progress)
    except LocalftError:
        raise
    except Exception as error:  # huggingface_hub lets errors of three HTTP libraries through
        raise _translate(repo_id, revision, error) from error


def cache_folder() -> Path:
    """Where downloads are kept.

    Raises:
        ModelError: HF_ENDPOINT is no address.
    """
    _require_endpoint()
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_checkpoint(repo_id: str, revision: str) -> Path | None:
    """The checkpoint's folder in the Hugging Face cache, if all its parts are there; never opens the network.

    Raises:
        ModelError: HF_ENDPOINT is no address.
    """
    _require_endpoint()
    from huggingface_hub import try_to_load_from_cache

    from localft.model.conversion.hf_checkpoint import weight_files

    config = try_to_load_from_cache(repo_id, "config.json", revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    try:
        weight_files(folder)
    except ModelError:
        return None
    tokenizer = any((folder / name).is_file() for name in ("tokenizer.model", "tokenizer.json"))
    return folder if tokenizer else None


def _download(repo_id: str, revision: str, check: Callable[[Path], object], progress: Report | None) -> Path:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if constants.HF_HUB_OFFLINE:
        cached = cached_checkpoint(repo_id, revision)
        if cached is None:
            raise ModelError(
                f"`{repo_id}` is not in the Hugging Face cache, and HF_HUB_OFFLINE forbids to download it",
                "unset HF_HUB_OFFLINE for the first run",
            )
        return cached
    if is_here(constants.ENDPOINT):
        os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1,localhost,::1")))
    if progress or not sys.stderr.isatty():
        disable_progress_bars()
    try:
        info = huggingface_hub.HfApi().model_info(repo_id, revision=revision, files_metadata=True)
    except Exception as error:
        cached = None if _refused(error) else cached_checkpoint(repo_id, revision)
        if cached is None:
            raise
        return cached
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    wanted = needed_files(repo_id, sizes)
    _check_disk(repo_id, sum(sizes[name] for name in wanted if not _is_cached(repo_id, name, info.sha)))
    done, total = 0, sum(sizes[name] for name in wanted)
    folder, first_weight = Path(), next(name for name in wanted if name not in SMALL_FILES)
    for name in wanted:
        if progress:
            progress(name, done, total)
        if name == first_weight:
            check(folder)
        # Asked for under the branch's name, the first file lets a later offline run find the snapshot by it.
        asked = revision if name == wanted[0] else info.sha
        bar = _bar(name, done, total, progress) if progress else {}
        folder = Path(huggingface_hub.hf_hub_download(repo_id, name, revision=asked, **bar)).parent
        done += sizes[name]
    if progress:
        progress("", done, total)
    return folder


def _bar(name: str, done: int, total: int, progress: Report) -> dict[str, Any]:
    """The argument that makes the hub's library tell `progress` how far a file is; older versions do not know it."""
    import huggingface_hub
    from huggingface_hub.utils.tqdm import tqdm

    if "tqdm_class" not in inspect.signature(huggingface_hub.hf_hub_download).parameters:
        return {}
    there = done

    class Told(tqdm):
        """A bar that is switched off, but counts. A file may have two: bytes received, and bytes written."""

        def update(self, n: float | None = 1) -> None:
            nonlocal there
            self.n += n or 0
            there = min(max(there, done + int(self.n)), total)
            progress(name, there, total)

    return {"tqdm_class": Told}


def needed_files(repo_id: str, names: Iterable[str]) -> list[str]:
    """Of a repo's files those that conversion reads, small ones first.

    Raises:
        ModelError: the repo holds no checkpoint that can be converted.
    """
    there = set(names)
    small = [name for name in SMALL_FILES if name in there]
    weights: list[str] = []
    for whole, suffix in _WEIGHTS:
        stem = whole.removesuffix(f".{suffix}")
        parts = sorted(name for name in there if re.fullmatch(rf"{re.escape(stem)}-\d+-of-\d+\.{suffix}", name))
        index = f"{whole}.index.json"
        if whole in there and index not in there:
            weights = [whole]
        elif parts:
            weights = [name for name in (index,) if name in there] + parts
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


def _check_disk(repo_id: str, n_bytes: int) -> None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes and n_bytes + _SPARE_BYTES > free:
        raise ModelError(
            f"the disk is too full for `{repo_id}`: {n_bytes / 2**30:.1f} GiB to download, "
            f"{free / 2**30:.1f} GiB free in `{folder}`",
            "free some space, or set HF_HOME to a folder on another disk",
        )


def _causes(error: BaseException) -> Iterable[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _require_endpoint() -> None:
    """Refuse an HF_ENDPOINT that is no address: the hub's library says so of neither, or fails when it is imported.

    Raises:
        ModelError: it is none.
    """
    endpoint = os.environ.get("HF_ENDPOINT")
    if not endpoint:
        return
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and parts.hostname
    except ValueError:
        good = None
    if not good:
        raise ModelError(f"HF_ENDPOINT is `{endpoint}`, which is no address", "give it as https://HOST, or unset it")


def _why(error: BaseException) -> str:
    """The cause at the bottom, in its own words."""
    for cause in _causes(error):
        if "SOCKS" in str(cause):
            return one_line(str(cause))
    found = [cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    return one_line(found[0] if found else f"{type(error).__name__}: {error}")


def _refused(error: BaseException) -> bool:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    return isinstance(error, RepositoryNotFoundError | RevisionNotFoundError)


def _translate(repo_id: str, revision: str, error: BaseException) -> ModelError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return ModelError(
                f"the disk became full while `{repo_id}` was downloaded",
                "free some space, or set HF_HOME to another disk; the download then goes on where it stopped",
            )
    if isinstance(error, GatedRepoError):
        return ModelError(
            f"`{repo_id}` is gated: its owner wants you to accept its terms first",
            f"accept them on https://huggingface.co/{repo_id}, then run `hf auth login` (or set HF_TOKEN)",
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelError(f"`{repo_id}` has no revision `{revision}`", "check the model card's revision")
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
    from huggingface_hub import constants

    return ModelError(
        f"`{repo_id}` is not in the cache and the Hugging Face hub cannot be reached: "
        f"{_why(error)}{through_proxy(constants.ENDPOINT)}",
        "check the network; an interrupted download goes on where it stopped",
    )
