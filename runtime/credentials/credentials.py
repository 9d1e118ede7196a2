"""Content credentials (C2PA): a signed statement in the film of what it is and what made it.

The film is said to be `compositeWithTrainedAlgorithmicMedia` in IPTC's vocabulary: media that was
there, augmented by a generative model. `trainedAlgorithmicMedia` would say that nothing in it was
ever before a camera, and the first frame is the photograph. The photograph is an ingredient that
was input (`inputTo`) to the model; only the SHA-256 of its file is told, never its name, place or
EXIF. Nothing is fetched: no authority stamps the time, and no manifest lies elsewhere.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..output import part_of
from .film_boxes import outside_the_hash, seal
from .provenance import FILM_ASSERTION, READING, Credentials, read_credentials
from .signing import KeyProblem, signing_key

__all__ = ["Credentials", "FilmClaims", "Signed", "photo_hash", "read_credentials", "sign_film"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

MIMES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".gif": "image/gif"}
"""Films that can hold credentials."""
_BOXED = ("video/mp4", "video/quicktime")

TOLD_SETTINGS = (
    *("seconds", "fps", "width", "height", "aspect", "motion", "loop", "steps", "num_frames"),
    *("guidance", "mood", "camera", "light", "grain", "restore", "faces", "interpolation"),
    *("upscaling", "shots", "music", "voice", "captions"),
)
"""Settings that go into the statement; prompts and captions are a person's own words and do not."""


@dataclass(frozen=True)
class FilmClaims:
    """What a film says of itself."""

    model: str
    """Name of the bundle that made it."""
    model_version: str
    """The bundle's version."""
    photos: Sequence[str]
    """SHA-256 of each photograph's file, in hex (see `photo_hash`); a repeated one is told once."""
    seed: int
    """The seed it was made with."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Plain values; those not in TOLD_SETTINGS are left out, of "music" and the like only whether
    there is any."""
    label: str | None = None
    """The caption that was burnt in."""
    made_at: datetime.datetime | None = None
    """When, aware of its time zone; None means now."""


@dataclass(frozen=True)
class Signed:
    """Whether a film was signed, and what a person should know about it."""

    done: bool
    """True when the credentials are in the file."""
    note: str | None = None
    """Why they are not, and what to do."""


def photo_hash(photo: Path | str | bytes) -> str:
    """Return the SHA-256 of a photograph's file, or of its bytes, in hex."""
    if isinstance(photo, bytes):
        return hashlib.sha256(photo).hexdigest()
    with Path(photo).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sign_film(
    part: Path,
    kind: str,
    claims: FilmClaims,
    *,
    key: Path | str | None = None,
    certificate: Path | str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Signed:
    """Put signed credentials into a finished film, in place; where that fails the film stays.

    Args:
        part: the film; it is replaced by the signed one only when that is whole and verified.
        kind: its MIME type or the ending of its name: "video/mp4", ".mp4".
        claims: what the film says.
        key, certificate: PEM files to sign with; see `signing.signing_key` for their default.
        folder: where this machine's own key is kept; None means the user's configuration.
        environment: where the default key may be named.
    """
    mime = MIMES.get(kind.lower(), kind)
    if mime not in MIMES.values():
        return _unsigned(f"{_called(kind)} cannot hold them: write .mp4, .mov or .gif")
    part = Path(part)
    beside = part_of(part)
    try:
        signer = signing_key(
            None if key is None else Path(key),
            None if certificate is None else Path(certificate),
            folder=folder,
            environment=environment,
        )
        _embed(part, beside, mime, claims, signer)
        found = read_credentials(beside, kind=mime, folder=folder)
        if not found.valid:
            return _unsigned(f"they did not verify ({'; '.join(found.problems)}): try another key")
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.chmod(part.stat().st_mode & 0o777)
        beside.replace(part)
    except ImportError as error:
        missing = {"c2pa": "c2pa-python"}.get(str(error.name).split(".")[0], str(error.name))
        return _unsigned(f"{missing} is not installed: pip install c2pa-python cryptography")
    except KeyProblem as problem:
        return _unsigned(str(problem))
    except Exception as error:  # the film matters more than what it says of itself
        return _unsigned(f"signing failed ({_reason(error)})")
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return Signed(True)


def _embed(part: Path, beside: Path, mime: str, claims: FilmClaims, signer: Any) -> None:
    import c2pa

    info = c2pa.C2paSignerInfo(signer.algorithm, signer.chain.encode(), signer.key.encode(), None)
    with (
        c2pa.Context.from_dict(READING) as context,
        c2pa.Builder(_manifest(claims, mime, outside_the_hash(part)), context=context) as builder,
        c2pa.Signer.from_info(info) as signs,
        part.open("rb") as source,
        beside.open("x+b") as target,
    ):
        builder.sign(signs, mime, source, target)
    if mime in _BOXED:
        seal(beside)


def _manifest(claims: FilmClaims, mime: str, outside: str) -> str:
    """Return the definition of the manifest, as C2PA's builder takes it."""
    from ... import __version__

    agent = {"name": "Reverie", "version": __version__}
    made_at = claims.made_at or datetime.datetime.now(datetime.UTC)
    photos = list(dict.fromkeys(photo.lower() for photo in claims.photos))
    ingredients = [
        {
            "label": f"photograph-{index}",
            "title": "photograph",
            "relationship": "inputTo",
            "instance_id": f"sha256:{photo}",
            "description": f"SHA-256 of the photograph's file: {photo}",
        }
        for index, photo in enumerate(photos, 1)
    ]
    source = "a photograph" if len(photos) == 1 else f"{len(photos)} photographs"
    created = {
        "action": "c2pa.created",
        "when": made_at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": agent,
        "description": f"A film animated from {source} by the AI model {claims.model} "
        f"{claims.model_version}.",
        "parameters": {"ingredientIds": [item["label"] for item in ingredients]},
    }
    film = {
        "madeFrom": source,
        "model": {"name": claims.model, "version": claims.model_version},
        "software": agent,
        "seed": claims.seed,
        "settings": _told(claims.settings),
        "label": claims.label,
        "photographs": [{"sha256": photo} for photo in photos],
        "outside": outside,
        "sealed": mime in _BOXED,
    }
    return json.dumps(
        {
            "claim_generator_info": [agent],
            "title": "film",
            "format": mime,
            "ingredients": ingredients,
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {"actions": [created], "allActionsIncluded": True},
                },
                {"label": FILM_ASSERTION, "data": film},
            ],
        }
    )


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in TOLD_SETTINGS:
        value = settings.get(name)
        if value is None:
            continue
        if name in ("music", "voice", "captions"):
            told[name] = bool(value)
        elif isinstance(value, bool | int | float | str):
            told[name] = value
    return told


def _unsigned(why: str) -> Signed:
    return Signed(False, f"the film carries no content credentials: {why}")


def _called(kind: str) -> str:
    return f"a {kind} file" if kind.startswith(".") else f"a film of the kind {kind}"


def _reason(error: Exception) -> str:
    """What went wrong, short, without the names of folders."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return " ".join(str(error).split())[:120] or type(error).__name__
