"""Fetching from the Hub, which is played by a few functions: nothing here reaches a network."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors
from reverie.engines.errors import BundleError, MissingPackageError
from reverie.export import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
INDEX = {
    "_class_name": "WanPipeline",
    "expand_timesteps": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}
NEEDED = [
    "model_index.json",
    "README.md",
    "LICENSE",
    "ltx-video-2b.license.txt",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model-00001-of-00002.safetensors",
    "text_encoder/model-00002-of-00002.safetensors",
    "text_encoder/model.safetensors.index.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/spiece.model",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]
NOT_NEEDED = [
    ".gitattributes",
    "assets/film.mp4",
    "wan2.2-single-file.safetensors",
    "wan.ckpt",
    "license.png",
    "text_encoder/model.fp16-00001-of-00001.safetensors",
    "text_encoder/model.safetensors.index.fp16.json",
    "text_encoder/pytorch_model.bin",
    "text_encoder/pytorch_model.bin.index.json",
    "transformer/diffusion_pytorch_model.bin",
    "transformer/diffusion_pytorch_model.fp16.safetensors",
    "transformer/model.onnx",
    "vae/diffusion_pytorch_model.bf16.safetensors",
    "vae/deeper/config.json",
    "safety_checker/model.safetensors",
    "text_encoder_2/config.json",
]


def test_what_is_chosen() -> None:
    assert set(hub.choose([*NEEDED, *NOT_NEEDED], INDEX)) == set(NEEDED)
    without = hub.choose([*NEEDED, *NOT_NEEDED], INDEX, ("text_encoder", "tokenizer"))
    assert set(without) == {file for file in NEEDED if not file.startswith(("text_", "tok"))}


def test_variants_of_several_files() -> None:
    files = [
        "vae/config.json",
        "vae/diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
        "vae/diffusion_pytorch_model-00002-of-00002.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors.index.fp16.json",
        "vae/diffusion_pytorch_model.fp16.bin",
    ]
    assert set(hub.choose(files, {"vae": ["diffusers", "X"]})) == set(files[:4])


class FakeHub:
    """The functions of huggingface_hub that are called, over a folder."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.asked: list[Any] = []
        self.failure: Exception | None = None
        self.tip = COMMIT
        self.files = dict.fromkeys([*NEEDED, *NOT_NEEDED], b"1234")
        self.files["model_index.json"] = json.dumps(INDEX).encode()

    def model_info(self, name: str, *, revision: str | None, files_metadata: bool) -> Any:
        assert files_metadata
        self.asked.append(("info", name, revision))
        if self.failure is not None:
            raise self.failure
        siblings = [SimpleNamespace(rfilename=f, size=len(d)) for f, d in self.files.items()]
        return SimpleNamespace(sha=self.tip, siblings=siblings)

    def hf_hub_download(self, name: str, file: str, *, revision: str | None) -> str:
        self.asked.append(("file", name, revision))
        return self.put(file)

    def try_to_load_from_cache(self, name: str, file: str, *, revision: str) -> str | None:
        path = self.cache / file
        return str(path) if path.is_file() else None

    def snapshot_download(
        self,
        name: str,
        *,
        revision: str,
        allow_patterns: list[str],
        tqdm_class: type,
    ) -> str:
        self.asked.append(("all", name, revision))
        bars = [tqdm_class(desc=d, total=0, unit="B") for d in ("transfer", "write")]
        wanted = [f for f in self.files if any(fnmatch(f, p) for p in allow_patterns)]
        for file in tqdm_class(wanted, desc="files"):
            if not (self.cache / file).is_file():
                self.put(file)
                for bar in bars:
                    bar.update(len(self.files[file]))
        return str(self.cache)

    def put(self, file: str) -> str:
        path = self.cache / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[file])
        return str(path)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    fake = FakeHub(tmp_path / COMMIT)
    for name in ("hf_hub_download", "snapshot_download", "try_to_load_from_cache"):
        monkeypatch.setattr(huggingface_hub, name, getattr(fake, name))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    return fake


def test_only_what_is_needed_at_one_commit(fake: FakeHub) -> None:
    folder, commit = hub.fetch("owner/name", revision="main")
    assert (folder, commit) == (fake.cache, COMMIT)
    assert fake.asked == [
        ("info", "owner/name", "main"),
        ("file", "owner/name", "main"),
        ("all", "owner/name", COMMIT),
    ]
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(NEEDED)


def test_progress_counts_bytes_once_and_what_is_there_not_at_all(fake: FakeHub) -> None:
    fake.put("LICENSE")
    told: list[tuple[str, int, int]] = []
    hub.fetch("owner/name", on_progress=lambda *words: told.append(words))
    total = 4 * (len(NEEDED) - 2)  # the licence was there, the index came first
    assert told == [("fetching", done, total) for done in range(4, total + 1, 4)]
    shutil.rmtree(fake.cache / "vae")
    told.clear()
    hub.fetch("owner/name", on_progress=lambda *words: told.append(words))
    assert told == [("fetching", 4, 8), ("fetching", 8, 8)]


def test_a_branch_that_moves_meanwhile(fake: FakeHub) -> None:
    fake.tip = "f" * 40  # as told first; the index then comes from COMMIT
    assert hub.fetch("owner/name")[1] == COMMIT
    assert [(what, revision) for what, _, revision in fake.asked] == [
        ("info", None),
        ("file", None),
        ("info", COMMIT),
        ("all", COMMIT),
    ]


def test_what_was_fetched_before_serves_offline(fake: FakeHub) -> None:
    hub.fetch("owner/name")
    fake.failure = errors.OfflineModeIsEnabled("no")
    assert hub.fetch("owner/name") == (fake.cache, COMMIT)
    shutil.rmtree(fake.cache)
    with pytest.raises(BundleError, match="the Hub cannot be reached"):
        hub.fetch("owner/name")


def http(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind("a long story\nof several lines", response=response)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (lambda: errors.OfflineModeIsEnabled("no"), "the Hub cannot be reached"),
        (lambda: errors.HTTPError("Name or service not known"), "the Hub cannot be reached"),
        (lambda: ConnectionError("refused"), "the Hub cannot be reached"),
        (lambda: TimeoutError(), "the Hub cannot be reached"),
        (lambda: OSError(errno.ENOSPC, "full"), "no room on the disk"),
        (lambda: http(errors.RepositoryNotFoundError, 404), "there is no checkpoint owner/name"),
        (lambda: http(errors.GatedRepoError, 403), "asks to accept its terms"),
        (lambda: http(errors.RevisionNotFoundError, 404), "has no revision 'main'"),
        (lambda: http(errors.HfHubHTTPError, 503), "did not give owner/name .status 503."),
        (lambda: errors.HFValidationError("bad name"), "there is no checkpoint"),
    ],
)
def test_what_goes_wrong_is_one_line(
    failure: Callable[[], Exception], said: str, fake: FakeHub
) -> None:
    fake.failure = failure()
    with pytest.raises(BundleError, match=said) as caught:
        hub.fetch("owner/name", revision="main")
    assert "\n" not in str(caught.value)


def test_a_repository_without_an_index(fake: FakeHub) -> None:
    del fake.files["model_index.json"]
    with pytest.raises(BundleError, match=r"fetch one of its files \(wan2\.2-single-file"):
        hub.fetch("owner/name")
    fake.files = {"README.md": b""}
    with pytest.raises(BundleError, match=r"has no model_index\.json: it is not a checkpoint"):
        hub.fetch("owner/name")


def test_a_broken_index(fake: FakeHub) -> None:
    fake.files["model_index.json"] = b"{"
    with pytest.raises(BundleError, match="broken JSON"):
        hub.fetch("owner/name")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match="`pip install huggingface_hub`"):
        hub.fetch("owner/name")
