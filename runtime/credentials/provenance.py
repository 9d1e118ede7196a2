"""What a film says of itself, read back and verified by C2PA's own reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...engines.errors import MissingPackageError, PhotoError, SettingsError
from .film_boxes import is_sealed, outside_the_hash
from .signing import own_authority

FILM_ASSERTION = "reverie.film"
READING: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
    "builder": {"thumbnail": {"enabled": False}},
    "core": {"backing_store_memory_threshold_in_mb": 8, "merkle_tree_chunk_size_in_kb": 8192},
}
"""How C2PA's library is used, reading and writing: nothing fetched, no picture put in, and memory
that does not grow with the film (a film of 142 MB is signed in 30 MB, by the defaults in 290).
"""

_PLAIN = {
    "assertion.bmffHash.mismatch": "the film was changed after it was signed",
    "assertion.dataHash.mismatch": "the film was changed after it was signed",
    "assertion.boxesHash.mismatch": "the film was changed after it was signed",
    "assertion.hashedURI.mismatch": "the statement was changed after it was signed",
    "assertion.missing": "a part of the statement is missing",
    "claimSignature.mismatch": "the signature does not fit the statement",
    "claimSignature.missing": "the signature is missing",
    "signingCredential.expired": "the certificate was not valid when the film was signed",
    "signingCredential.invalid": "the certificate is not one that may sign films",
}
_MARKS = (bytes.fromhex("d8fec3d61b0e483c92975828877ec481"), b"c2pa.claim")
"""What credentials have in them: the box of an MP4 that holds them, and their middle."""
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True)
class Credentials:
    """The content credentials of a film."""

    present: bool
    """Whether there are any, whole or not."""
    valid: bool = False
    """Whether the signature holds and neither film nor statement was changed since."""
    trusted: bool = False
    """Whether the signer's certificate leads to an authority known here: this machine's own key, or
    one given."""
    problems: tuple[str, ...] = ()
    """What is wrong, for a person."""
    generator: str | None = None
    """The program that made the statement, with its version."""
    model: str | None = None
    """The AI model's name."""
    model_version: str | None = None
    """The AI model's version."""
    photos: tuple[str, ...] = ()
    """SHA-256 of the photographs the film was made from."""
    seed: int | None = None
    """The seed it was made with."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings it was made with."""
    label: str | None = None
    """The caption that was burnt in, as the statement tells."""
    source_type: str | None = None
    """IPTC's word for the kind of media: "compositeWithTrainedAlgorithmicMedia"."""
    description: str | None = None
    """What was done, in a sentence."""
    made_at: str | None = None
    """When, by the clock of the machine that made it; ISO 8601 in UTC."""
    issuer: str | None = None
    """Who the certificate says has signed it."""

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return asdict(self) | {"settings": dict(self.settings)}


def read_credentials(
    path: Path | str,
    *,
    kind: str | None = None,
    trust: Path | None = None,
    folder: Path | None = None,
) -> Credentials:
    """Read a film's credentials and verify them; broken ones are a result, not an error.

    Args:
        path: the film.
        kind: its MIME type; None leaves that to its bytes.
        trust: PEM certificates of authorities to trust beside this machine's own.
        folder: where this machine's own key is kept; None means the user's configuration.

    Raises:
        PhotoError: the film cannot be read.
        SettingsError: the certificates cannot be read.
        MissingPackageError: c2pa-python is not installed.
    """
    try:
        import c2pa
    except ImportError as error:
        raise MissingPackageError(
            "content credentials are read with c2pa-python, which is not installed: "
            "pip install c2pa-python"
        ) from error
    path = Path(path)
    anchors = [own_authority(folder), None if trust is None else _authorities(Path(trust))]
    known = "\n".join(anchor for anchor in anchors if anchor)
    settings = READING | ({"trust": {"user_anchors": known}} if known else {})
    try:
        context = c2pa.Context.from_dict(settings)
    except c2pa.C2paError as error:
        raise SettingsError(
            f"{trust} holds certificates that cannot be used ({error!s:.80}): name another file"
        ) from error
    try:
        with context, path.open("rb") as file:
            return _read(path, file, kind, context)
    except OSError as error:
        raise PhotoError(
            f"{path} cannot be read ({error.strerror or error}): name a film that is there"
        ) from error


def _authorities(path: Path) -> str:
    """Return the PEM certificates in a file.

    Raises:
        SettingsError: there are none.
    """
    try:
        text = path.read_bytes()[: 1 << 20].decode("ascii")
        if "-----BEGIN CERTIFICATE-----" in text:
            return text
        why = "there are none in it"
    except UnicodeError:
        why = "it is no text"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise SettingsError(f"{path} holds no PEM certificates to trust, {why}: name another file")


def _read(path: Path, file: Any, kind: str | None, context: Any) -> Credentials:
    from c2pa import C2paError, Reader

    try:
        reader = Reader.try_create(kind or _kind(file), file, context=context)
        if reader is None:
            return _none(file)
        with reader:
            manifest = _object(reader.get_active_manifest())
            state = reader.get_validation_state()
            results = _object(reader.get_validation_results())
    except (C2paError, KeyError, ValueError) as error:
        text = " ".join(str(error).split())
        if isinstance(error, C2paError.NotSupported) or "NotSupported" in text[:40]:
            return _none(file)
        return Credentials(True, problems=(f"they cannot be read ({text[:120]})",))
    return _told(manifest, state, list(dict.fromkeys(_problems(results))), path)


def _none(file: Any) -> Credentials:
    """What is told of a file where the library finds no credentials."""
    file.seek(0)
    start = file.read(1 << 20)
    if any(mark in start for mark in _MARKS):
        return Credentials(True, problems=("they are there, and the file around was changed",))
    return Credentials(False)


def _told(
    manifest: Mapping[str, Any], state: str | None, problems: list[str], path: Path
) -> Credentials:
    assertions = [_object(item) for item in _list(manifest.get("assertions"))]
    film = next(
        (_object(a.get("data")) for a in assertions if a.get("label") == FILM_ASSERTION), {}
    )
    actions = [
        _object(action)
        for assertion in assertions
        if str(assertion.get("label")).startswith("c2pa.actions")
        for action in _list(_object(assertion.get("data")).get("actions"))
    ]
    created = next((action for action in actions if action.get("digitalSourceType")), {})
    own = film.get("outside", outside := outside_the_hash(path)) == outside
    if not problems and not (own and (film.get("sealed") is not True or is_sealed(path))):
        problems.append("the film was changed after it was signed")
    valid = state in ("Valid", "Trusted") and not problems
    if not valid and not problems:
        problems.append("the statement cannot be verified")
    model, signature = _object(film.get("model")), _object(manifest.get("signature_info"))
    agents = _list(manifest.get("claim_generator_info"))
    agent = _object(agents[0]) if agents else {}
    name = f"{agent.get('name', '')} {agent.get('version', '')}".strip()
    seed = film.get("seed")
    return Credentials(
        True,
        valid,
        valid and state == "Trusted",
        tuple(problems),
        name or None,
        _text(model.get("name")),
        _text(model.get("version")),
        tuple(_photos(manifest)),
        seed if isinstance(seed, int) else None,
        _object(film.get("settings")),
        _text(film.get("label")),
        _text(str(created.get("digitalSourceType", "")).rpartition("/")[2]),
        _text(created.get("description")),
        _text(created.get("when")),
        _text(signature.get("issuer")) or _text(signature.get("common_name")),
    )


def _photos(manifest: Mapping[str, Any]) -> Iterator[str]:
    for ingredient in _list(manifest.get("ingredients")):
        found = re.fullmatch(r"sha256:([0-9a-f]{64})", str(_object(ingredient).get("instance_id")))
        if found:
            yield found[1]


def _problems(results: Mapping[str, Any]) -> Iterator[str]:
    for failure in _list(_object(results.get("activeManifest")).get("failure")):
        code = str(_object(failure).get("code"))
        if code != _UNTRUSTED:
            yield _PLAIN.get(code) or f"{_object(failure).get('explanation') or code} ({code})"


def _kind(file: Any) -> str | None:
    """The MIME type by the first bytes; None leaves it to the library."""
    head = file.read(12)
    file.seek(0)
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    return "image/gif" if head[:4] == b"GIF8" else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
