"""Keys that films are signed with: one of this machine's own, made on first use, or one supplied.

The own key has a certificate by an authority that exists only for the moment of signing it. Neither
names the machine, its user or the day, but films signed with one key can be told to be of one hand.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

KEY_VARIABLE, CERTIFICATE_VARIABLE = "REVERIE_SIGNING_KEY", "REVERIE_SIGNING_CERT"
OWN_KEY = "film-signing.pem"
"""The file with the private key and its certificates; only its owner may read it."""

_MOST_BYTES = 1 << 20
# A film should stay valid as long as it is kept, on clocks that are wrong too (no battery, 1970).
_FROM, _UNTIL = datetime.datetime(1970, 1, 2), datetime.datetime(2150, 1, 1)


class KeyProblem(Exception):
    """A key cannot be had or used; the message is for a note: why, and what to do."""


@dataclass(frozen=True)
class SigningKey:
    """A private key with its certificates, as C2PA takes them."""

    algorithm: str
    """C2PA's name: "es256" and the like."""
    key: str
    """PKCS #8, PEM."""
    chain: str
    """PEM certificates, the key's own first."""
    own: bool
    """True for this machine's own."""


def signing_key(
    key: Path | None = None,
    certificate: Path | None = None,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> SigningKey:
    """Return the key given, else the one the environment names, else this machine's own.

    Args:
        key, certificate: PEM files, both or neither.
        folder: where the own key is kept; None means the user's configuration of Reverie.
        environment: where REVERIE_SIGNING_KEY and REVERIE_SIGNING_CERT are looked for.

    Raises:
        KeyProblem: it cannot be read or made, or key and certificate do not go together.
        ImportError: `cryptography` is not installed.
    """
    if key is None and certificate is None:
        named = [environment.get(name) for name in (KEY_VARIABLE, CERTIFICATE_VARIABLE)]
        key, certificate = (Path(name) if name else None for name in named)
    if key is None and certificate is None:
        return _own(own_folder() if folder is None else folder)
    if key is None or certificate is None:
        raise KeyProblem(
            "a signing key needs its certificates, and they their key: give both, "
            f"{KEY_VARIABLE} and {CERTIFICATE_VARIABLE}"
        )
    return _checked(_read(key), _read(certificate), f"{key.name} and {certificate.name}", own=False)


def own_folder() -> Path:
    """Return the folder where this machine's own key is kept."""
    import platformdirs

    return Path(platformdirs.user_config_dir("reverie", appauthor=False))


def own_authority(folder: Path | None = None) -> str | None:
    """Return the PEM certificate of the authority of this machine's own key, None without one."""
    with contextlib.suppress(KeyProblem, ImportError, ValueError, OSError, RuntimeError):
        from cryptography import x509

        path = (own_folder() if folder is None else folder) / OWN_KEY
        return _pem(x509.load_pem_x509_certificates(_read(path))[-1])
    return None


def _own(folder: Path) -> SigningKey:
    path = folder / OWN_KEY
    try:
        if not path.exists():
            _make(path)
        elif os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except (OSError, TimeoutError) as error:
        raise KeyProblem(
            f"a signing key cannot be kept in {OWN_KEY} of Reverie's configuration folder "
            f"({getattr(error, 'strerror', None) or type(error).__name__}): make that folder "
            "writable, or give a signing key"
        ) from error
    data = _read(path)
    return _checked(data, data, f"{OWN_KEY} in Reverie's configuration folder", own=True)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise KeyProblem(f"there is no file {path.name} to sign with: name another")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise KeyProblem(
            f"{path.name} cannot be read ({error.strerror}): give it to this user, or name another"
        ) from error
    if len(data) > _MOST_BYTES:
        raise KeyProblem(f"{path.name} is no key or certificate, it is far too large: name another")
    return data


def _checked(key_data: bytes, chain_data: bytes, called: str, *, own: bool) -> SigningKey:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    mend = "delete it, and a new one is made" if own else "name others"
    try:
        private = load_pem_private_key(key_data, password=None)
        certificates = x509.load_pem_x509_certificates(chain_data)
        public = [
            item.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for item in (private.public_key(), certificates[0].public_key())
        ]
    except TypeError as error:  # what the library says of a pass phrase
        raise KeyProblem(
            f"the key in {called} has a pass phrase: give one without (openssl pkey -in KEY)"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"{called} hold no usable key and certificates: {mend}") from error
    if public[0] != public[1]:
        raise KeyProblem(f"key and certificate do not go together in {called}: {mend}")
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return SigningKey(_algorithm(private, called), pem, "".join(map(_pem, certificates)), own)


def _algorithm(private: PrivateKeyTypes, called: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey):
        curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        if private.curve.name in curves:
            return curves[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    raise KeyProblem(
        f"the key in {called} is of a kind that content credentials do not take: "
        "give one on the curve P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits and more"
    )


def _make(path: Path) -> None:
    """Make the own key; where two processes do so at once, both end with the same."""
    from filelock import FileLock

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=60):
        if path.exists():
            return
        part = path.with_name(f"{OWN_KEY}.{secrets.token_hex(6)}")
        number = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_new())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _new() -> bytes:
    """Return a new private key, its certificate and that of its authority, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> Any:
        parts = ((NameOID.ORGANIZATION_NAME, "Reverie, on its own"), (NameOID.COMMON_NAME, common))
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])

    def usage(*, signs_films: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=signs_films,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=not signs_films,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificates = []
    for common, owner, signs_films in (
        ("films of one machine", key, True),
        ("authority of one key", authority, False),
    ):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(name("authority of one key"))
            .public_key(owner.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_FROM)
            .not_valid_after(_UNTIL)
            .add_extension(x509.BasicConstraints(not signs_films, None), critical=True)
            .add_extension(usage(signs_films=signs_films), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(owner.public_key()), False)
        )
        if signs_films:
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
            builder = builder.add_extension(issuer, critical=False).add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        certificates.append(builder.sign(authority, hashes.SHA256()))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return str(certificate.public_bytes(Encoding.PEM).decode())
