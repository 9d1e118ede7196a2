"""Fetching a checkpoint from the Hugging Face Hub: only what export reads, at one commit."""

from __future__ import annotations

import errno
import glob
import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..engines.errors import BundleError, MissingPackageError
from .part import INDEX

OnProgress = Callable[[str, int, int], None]

PHASE = "fetching"
"""What `on_progress` hears; the amounts are bytes."""

_STEMS = ("diffusion_pytorch_model", "model")
_SMALL = (".json", ".txt", ".model", ".jinja")
_ROOT = re.compile(r"README\.md|.*(licen[cs]e|copying|notice|use[_-]policy).*", re.I)
_ROOT_ENDINGS = ("", ".md", ".txt", ".rst")


def fetch(
    name: str,
    *,
    revision: str | None = None,
    without: Collection[str] = (),
    on_progress: OnProgress | None = None,
) -> tuple[Path, str]:
    """Fetch a checkpoint into the Hub's own cache; returns (folder, commit).

    What is there already is not fetched again, and an interrupted fetch goes on where it stopped.
    `without` names parts to leave out.

    Raises:
        BundleError: there is no such checkpoint, it asks for terms to be accepted, the Hub cannot
            be reached, or it is no diffusers checkpoint in safetensors.
        MissingPackageError: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub as hub
    except ImportError:
        raise MissingPackageError(
            "huggingface_hub is not installed, which fetches checkpoints: "
            "`pip install huggingface_hub`, or give a folder that is already here"
        ) from None
    api = hub.HfApi()
    try:
        with _explained(name, revision):
            found = api.model_info(name, revision=revision, files_metadata=True)
    except BundleError:  # an earlier fetch may serve; opening it tells if that brought all
        before = hub.try_to_load_from_cache(name, INDEX, revision=revision or "main")
        if not isinstance(before, str):
            raise
        return Path(before).parent, Path(before).parent.name
    files = [file.rfilename for file in found.siblings or ()]
    if INDEX not in files:
        raise BundleError(_no_index(name, files))
    with _explained(name, revision):
        # By its name and not its commit, so that the cache knows the name when offline.
        file = Path(hub.hf_hub_download(name, INDEX, revision=revision))
        folder, commit = file.parent, file.parent.name
        if commit != found.sha:  # the branch moved in between
            found = api.model_info(name, revision=commit, files_metadata=True)
        sizes = {file.rfilename: int(file.size or 0) for file in found.siblings or ()}
        wanted = choose(sizes, json.loads(file.read_bytes()), without)
        missing = [file for file in wanted if not _is_here(hub, name, file, commit)]
        hub.snapshot_download(
            name,
            revision=commit,
            allow_patterns=[glob.escape(file) for file in wanted],
            tqdm_class=_told(hub, on_progress, sum(sizes[file] for file in missing)),
        )
    return folder, commit


def choose(
    files: Iterable[str], index: Mapping[str, Any], without: Collection[str] = ()
) -> list[str]:
    """Return which of a repository's files are needed, by its model_index.json.

    Of every part: its configuration, its vocabulary, and one form of its weights, in the order that
    `find_weights` has; no pickles, and nothing of other parts.
    """
    files = list(files)
    wanted = [
        file
        for file in files
        if "/" not in file
        and (file == INDEX or (_ROOT.fullmatch(file) and Path(file).suffix in _ROOT_ENDINGS))
    ]
    for name, entry in index.items():
        named = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
        if name.startswith("_") or not named or name in without:
            continue
        here = [file for file in files if file.rpartition("/")[0] == name]
        small = [file for file in here if file.endswith(_SMALL) and ".index." not in file]
        wanted += [*small, *_weights_of(here)]
    return wanted


def _weights_of(files: list[str]) -> list[str]:
    """Return one form of the weights in a part's folder, with the index of several files."""
    for variant in ("", ".fp16", ".bf16"):
        for stem in _STEMS:
            single = [f for f in files if f.endswith(f"/{stem}{variant}.safetensors")]
            if single:
                return single
            names = (
                f"/{stem}.safetensors.index{variant}.json",
                f"/{stem}{variant}.safetensors.index.json",
            )
            index = [file for file in files if file.endswith(names)]
            shard = re.compile(
                rf".*/{stem}({re.escape(variant)}-\d+-of-\d+|-\d+-of-\d+{re.escape(variant)})"
                r"\.safetensors"
            )
            if index:
                return [*index[:1], *filter(shard.fullmatch, files)]
    return [file for file in files if file.endswith((".safetensors", ".safetensors.index.json"))]


def _is_here(hub: Any, name: str, file: str, commit: str) -> bool:
    return isinstance(hub.try_to_load_from_cache(name, file, revision=commit), str)


def _told(hub: Any, on_progress: OnProgress | None, total: int) -> type:
    """Return a progress bar that shows nothing and tells `on_progress` instead.

    Several bars may count the same bytes (as they come, as they are written): the fullest is told.
    """
    lock = threading.Lock()
    most = 0

    class Told(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self.bytes = 0
            self.counts = options.get("unit") == "B"
            options.pop("name", None)
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            nonlocal most
            if not self.counts or on_progress is None:
                return
            with lock:
                self.bytes += int(n or 0)
                if self.bytes > most:
                    most = self.bytes
                    on_progress(PHASE, min(most, total), total)

    return Told


@contextmanager
def _explained(name: str, revision: str | None) -> Iterator[None]:
    """Turn what the Hub's library raises into one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise BundleError(
            f"{name} asks to accept its terms first: do so on its page on the Hub, "
            "then run `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise BundleError(f"{name} has no revision {revision!r}: look at its page") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise BundleError(
            f"there is no checkpoint {name} on the Hub, nor a folder of that name here "
            "(or it is private: run `hf auth login`)"
        ) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        raise BundleError(
            f"the Hub did not give {name} ({f'status {status}' if status else 'no answer'}): "
            "try again later"
        ) from None
    except json.JSONDecodeError:
        raise BundleError(f"{name}: its {INDEX} is broken JSON: nothing can be done here") from None
    except (OSError, _http_error(errors)) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise BundleError(f"there is no room on the disk for {name}: make some") from None
        raise BundleError(
            f"{name} is not here and the Hub cannot be reached (offline?): connect, "
            "or give a folder that is already here"
        ) from None


def _http_error(errors: Any) -> type[Exception]:
    """Return the base of what the library's own HTTP client raises, whichever it is."""
    found: type[Exception] = errors.HTTPError
    return found


def _no_index(name: str, files: Iterable[str]) -> str:
    """Return a line on a repository that is no diffusers checkpoint."""
    single = [file for file in files if file.endswith(".safetensors") and "/" not in file]
    if single:
        return (
            f"{name} has no {INDEX}: fetch one of its files ({', '.join(single[:3])}) and give it"
        )
    return f"{name} has no {INDEX}: it is not a checkpoint as diffusers saves one"
