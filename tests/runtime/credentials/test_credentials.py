"""Content credentials: what a film says, that a changed byte shows, and that films never suffer."""

from __future__ import annotations

import builtins
import datetime
import getpass
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from reverie.engines.errors import MissingPackageError, PhotoError, SettingsError
from reverie.runtime.clip import write_clip
from reverie.runtime.credentials import credentials, provenance
from reverie.runtime.credentials.credentials import (
    FilmClaims,
    Signed,
    photo_hash,
    read_credentials,
    sign_film,
)

pytest.importorskip("c2pa", reason="c2pa-python is not installed")
pytest.importorskip("cryptography", reason="cryptography is not installed")

PHOTO = photo_hash(b"the photograph")
CLAIMS = FilmClaims(
    "ember",
    "1.2",
    (PHOTO,),
    7,
    {"seconds": 1.0, "mood": "tender", "prompt": "grandmother Anna", "music": Path("/x/song.mp3")},
    label="Animated from a photograph by AI",
    made_at=datetime.datetime(2026, 5, 1, 10, 0, tzinfo=datetime.UTC),
)


def film(path: Path, frames: int = 24) -> Path:
    """A small film of a moving pattern."""
    shade = (np.indices((64, 96)).sum(0)[..., None] * np.array([1, 2, 3]) % 256).astype(np.uint8)
    write_clip(
        (np.roll(shade, index, 1) for index in range(frames)),
        path,
        fps=24,
        width=96,
        height=64,
        frame_count=frames,
        metadata={"comment": "a comment"},
    )
    return path


def boxes(data: bytes) -> Iterator[bytes]:
    """The kinds of the boxes at the top of an MP4 file, in their order."""
    start = 0
    while start < len(data):
        yield data[start + 4 : start + 8]
        start += int.from_bytes(data[start : start + 4], "big")


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the own key, instead of the user's."""
    return tmp_path_factory.mktemp("config")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    path = film(tmp_path_factory.mktemp("films") / "signed.mp4")
    assert sign_film(path, ".mp4", CLAIMS, folder=home, environment={}) == Signed(True)
    return path


def test_what_a_film_says(signed: Path, home: Path) -> None:
    told = read_credentials(signed, folder=home)
    assert (told.present, told.valid, told.trusted, told.problems) == (True, True, True, ())
    assert (told.model, told.model_version, told.seed) == ("ember", "1.2", 7)
    assert told.photos == (PHOTO,)
    assert told.label == CLAIMS.label
    assert told.generator is not None
    assert told.generator.startswith("Reverie ")
    assert told.source_type == "compositeWithTrainedAlgorithmicMedia"
    assert told.description == "A film animated from a photograph by the AI model ember 1.2."
    assert told.made_at == "2026-05-01T10:00:00Z"
    assert told.settings == {"seconds": 1.0, "mood": "tender", "music": True}
    assert json.loads(json.dumps(told.facts()))["model"] == "ember"


def test_elsewhere_the_signer_is_not_known(signed: Path, tmp_path: Path, home: Path) -> None:
    told = read_credentials(signed, folder=tmp_path)
    assert (told.valid, told.trusted) == (True, False)
    told = read_credentials(signed, folder=tmp_path, trust=next(home.glob("*.pem")))
    assert told.trusted


def test_what_it_does_not_say(signed: Path) -> None:
    data = signed.read_bytes()
    private = [str(signed.parent), str(Path.home()), platform.node(), getpass.getuser()]
    for word in ("grandmother", "song.mp3", "/tmp/", "/home/", ".part", *private):
        if len(word) >= 5:  # shorter ones are found in noise
            assert word.encode() not in data, word


def test_the_actions_are_as_the_specification_has_them(signed: Path) -> None:
    import c2pa

    with c2pa.Reader(str(signed)) as reader:
        manifest = reader.get_active_manifest()
        assert reader.is_embedded()
        assert reader.get_remote_url() is None
    action = next(
        item["data"]["actions"][0]
        for item in manifest["assertions"]
        if item["label"] == "c2pa.actions.v2"
    )
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == credentials.SOURCE_TYPE
    assert action["softwareAgent"]["name"] == "Reverie"
    assert len(action["parameters"]["ingredients"]) == 1
    (ingredient,) = manifest["ingredients"]
    assert ingredient["relationship"] == "inputTo"
    assert ingredient["title"] == "photograph"
    assert "thumbnail" not in ingredient
    assert "time_stamp" not in json.dumps(manifest)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".gif"])
def test_the_film_plays_as_before(ending: str, tmp_path: Path, home: Path) -> None:
    path = film(tmp_path / f"film{ending}")
    before = pictures(path)
    path.chmod(0o640)
    assert sign_film(path, ending, CLAIMS, folder=home, environment={}).done
    assert path.stat().st_mode & 0o777 == 0o640
    after = pictures(path)
    assert len(after) == len(before)
    assert all((one == other).all() for one, other in zip(before, after, strict=True))
    assert read_credentials(path, folder=home).valid
    assert list(tmp_path.iterdir()) == [path]
    if ending != ".gif":
        kinds = list(boxes(path.read_bytes()))
        assert kinds.index(b"moov") < kinds.index(b"mdat")
        assert kinds.count(b"uuid") == 1
        with av.open(str(path)) as container:
            assert container.metadata["comment"] == "a comment"


def test_several_photographs(tmp_path: Path, home: Path) -> None:
    hashes = [photo_hash(bytes([index])) for index in range(40)]
    claims = FilmClaims("ember", "1", [*hashes, hashes[0].upper()], 0)
    path = film(tmp_path / "story.mp4", 3)
    assert sign_film(path, "video/mp4", claims, folder=home, environment={}).done
    told = read_credentials(path, folder=home)
    assert told.valid
    assert told.photos == tuple(hashes)
    assert "from 40 photographs" in (told.description or "")


def test_a_long_film_is_hashed_piece_by_piece(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of 64 KiB instead of 8 MiB; a change in any shows."""
    core = provenance.READING["core"] | {"merkle_tree_chunk_size_in_kb": 64}
    monkeypatch.setitem(provenance.READING, "core", core)
    path = tmp_path / "long.mp4"
    rng = np.random.default_rng(1)
    frames = (rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(3))
    write_clip(frames, path, fps=24, width=640, height=480, frame_count=3)
    assert path.stat().st_size > 256 << 10
    assert sign_film(path, ".mp4", CLAIMS, folder=home, environment={}).done
    assert read_credentials(path, folder=home).valid
    for place in (100_000, -100_000, -1):
        with path.open("rb+") as file:
            file.seek(place, 0 if place > 0 else 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))
            file.flush()
            assert not read_credentials(path, folder=home).valid
            file.seek(-1, 1)
            file.write(byte)
    assert read_credentials(path, folder=home).valid


def test_any_changed_byte_shows(signed: Path, tmp_path: Path, home: Path) -> None:
    """The first bytes, the beginnings of boxes, the last, and many between, of media and all."""
    data = signed.read_bytes()
    path = tmp_path / "changed.mp4"
    names = (b"ftyp", b"uuid", b"moov", b"trak", b"free", b"mdat", b"c2pa.signature", b"pad")
    places = {data.rindex(name) + 3 for name in names} | {len(data) - 1, data.index(b"pad") + 9}
    places |= set(range(60)) | set(range(60, len(data), len(data) // 200))
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 0x20
        path.write_bytes(changed)
        told = read_credentials(path, folder=home)
        assert told.present, place
        assert not told.valid, place
        assert not told.trusted, place
        assert told.problems, place


@pytest.mark.parametrize("word", [b"ember", b"c2pa.created", b"Reverie", b"photograph", b"2026-"])
def test_a_changed_statement_shows(word: bytes, signed: Path, tmp_path: Path, home: Path) -> None:
    path = tmp_path / "changed.mp4"
    data = bytearray(signed.read_bytes())
    data[data.index(word)] ^= 0x01
    path.write_bytes(data)
    told = read_credentials(path, folder=home)
    assert told.present
    assert not told.valid
    assert told.problems


def test_what_is_added_or_cut_off_shows(signed: Path, tmp_path: Path, home: Path) -> None:
    data = signed.read_bytes()
    path = tmp_path / "changed.mp4"
    for changed in (data + b"x" * 64, data[:-1], data[: len(data) // 2], data[:-1] + b"\0" * 9):
        path.write_bytes(changed)
        assert not read_credentials(path, folder=home).valid


def test_a_film_without_credentials_has_none(tmp_path: Path, home: Path) -> None:
    for name in ("plain.mp4", "plain.mkv", "plain.gif", "plain.webm"):
        told = read_credentials(film(tmp_path / name, 3), folder=home)
        assert (told.present, told.valid, told.problems) == (False, False, ())


@pytest.mark.parametrize("kind", [".mkv", "video/webm", "image/png", ".avi", ""])
def test_films_that_cannot_hold_them_stay(kind: str, tmp_path: Path, home: Path) -> None:
    path = film(tmp_path / "film.mkv", 3)
    before = path.read_bytes()
    told = sign_film(path, kind, CLAIMS, folder=home, environment={})
    assert not told.done
    assert "cannot hold them: write .mp4" in (told.note or "")
    assert path.read_bytes() == before


def _stays(path: Path, words: str, **options: Any) -> None:
    """Signing fails with a note, and the film is as it was, alone in its folder."""
    before = path.read_bytes()
    told = sign_film(path, ".mp4", CLAIMS, **{"environment": {}, **options})
    assert not told.done
    assert told.note is not None
    assert told.note.startswith("the film carries no content credentials: ")
    assert words in told.note
    assert "\n" not in told.note
    assert path.read_bytes() == before
    assert list(path.parent.glob("*.part")) == list(path.parent.glob(".*")) == []


@pytest.mark.parametrize("package", ["c2pa", "cryptography"])
def test_without_the_packages_a_note_says_so(
    package: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "film.mp4", 3)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    _stays(path, "pip install c2pa-python cryptography", folder=home)
    if package == "c2pa":
        with pytest.raises(MissingPackageError, match="pip install c2pa-python"):
            read_credentials(path, folder=home)


def test_a_bad_key_or_folder_leaves_the_film(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", 3)
    other = tmp_path / "deep"
    other.mkdir()
    (other / "file").write_text("x")
    _stays(path, "configuration folder", folder=other / "file" / "reverie")
    _stays(path, "no file none.pem", key=other / "none.pem", certificate=other / "file")
    _stays(path, "no usable key", key=other / "file", certificate=other / "file")
    _stays(path, "give both", key=other / "file")


def test_a_self_signed_certificate_leaves_the_film(tmp_path: Path) -> None:
    """What C2PA does not take is found when it is tried, not by a broken film."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2021, 1, 1))
        .sign(private, hashes.SHA256())
    )
    folder = tmp_path / "keys"
    folder.mkdir()
    key, chain = folder / "key.pem", folder / "chain.pem"
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    path = film(tmp_path / "film.mp4", 3)
    _stays(path, "", key=key, certificate=chain)


def test_a_failure_in_the_middle_leaves_the_film(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import c2pa

    path = film(tmp_path / "film.mp4", 3)
    for error in (OSError(28, "No space left on device"), c2pa.C2paError("odd"), ValueError("x")):

        def fail(self: Any, *rest: Any, error: Exception = error) -> None:
            rest[-1].write(b"half")
            raise error

        monkeypatch.setattr(c2pa.Builder, "sign", fail)
        _stays(path, "signing failed", folder=home)

    def stop(self: Any, *rest: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(c2pa.Builder, "sign", stop)
    with pytest.raises(KeyboardInterrupt):
        sign_film(path, ".mp4", CLAIMS, folder=home, environment={})
    assert list(tmp_path.iterdir()) == [path]


def test_signed_while_it_is_written(tmp_path: Path, home: Path) -> None:
    """As the pipeline does it: before the finished film gets its name."""
    told: list[Signed] = []

    def finish(part: Path, kind: str) -> None:
        told.append(sign_film(part, kind, CLAIMS, folder=home, environment={}))

    path = tmp_path / "film.mp4"
    frames = (np.full((64, 96, 3), 9 * index, np.uint8) for index in range(12))
    write_clip(frames, path, fps=24, width=96, height=64, frame_count=12, finish=finish)
    assert told == [Signed(True)]
    assert read_credentials(path, folder=home).valid
    assert len(pictures(path)) == 12
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_is_refused(tmp_path: Path, signed: Path, home: Path) -> None:
    with pytest.raises(PhotoError, match="cannot be read"):
        read_credentials(tmp_path / "none.mp4", folder=home)
    with pytest.raises(PhotoError, match="cannot be read"):
        read_credentials(tmp_path, folder=home)
    with pytest.raises(SettingsError, match="no PEM certificates"):
        read_credentials(signed, trust=signed, folder=home)
    with pytest.raises(SettingsError, match="no PEM certificates"):
        read_credentials(signed, trust=tmp_path / "none.pem", folder=home)
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    with pytest.raises(SettingsError, match="cannot be used"):
        read_credentials(signed, trust=bad, folder=tmp_path)


def test_a_photo_hash(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"the photograph")
    assert photo_hash(path) == photo_hash(str(path)) == PHOTO
