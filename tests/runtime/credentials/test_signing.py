"""Signing keys: made once, kept private, raced for, supplied, and hostile."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="cryptography is not installed")

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from reverie.runtime.credentials import signing
from reverie.runtime.credentials.signing import OWN_KEY, KeyProblem, own_authority, signing_key

KEYS: dict[str, Callable[[], object]] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


def supplied(folder: Path, private, pass_phrase: bytes | None = None) -> tuple[Path, Path]:  # type: ignore[no-untyped-def]
    """A key of any kind with a certificate by an authority of its own."""
    authority = ec.generate_private_key(ec.SECP256R1())
    one = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A studio")])
    other = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "An authority")])
    certificates = []
    for subject, public, is_authority in (
        (one, private.public_key(), False),
        (other, authority.public_key(), True),
    ):
        usage = [not is_authority, *[False] * 4, is_authority, *[False] * 3]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(other)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime(2020, 1, 1))
            .not_valid_after(datetime.datetime(2090, 1, 1))
            .add_extension(x509.BasicConstraints(is_authority, None), True)
            .add_extension(x509.KeyUsage(*usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False
            )
        )
        if not is_authority:
            extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(extended, False)
        certificates.append(builder.sign(authority, hashes.SHA256()))
    key, chain = folder / "key.pem", folder / "chain.pem"
    locked = BestAvailableEncryption(pass_phrase) if pass_phrase else NoEncryption()
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    chain.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in certificates))
    return key, chain


def test_the_own_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "reverie"
    first = signing_key(folder=folder, environment={})
    path = folder / OWN_KEY
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        path.chmod(0o644)
    assert signing_key(folder=folder, environment={}) == first
    assert first.own
    assert first.algorithm == "es256"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.suffix for p in folder.iterdir()) in ([".lock", ".pem"], [".pem"])


def test_it_names_neither_user_nor_machine_nor_day(tmp_path: Path) -> None:
    certificates = x509.load_pem_x509_certificates(
        signing_key(folder=tmp_path, environment={}).chain.encode()
    )
    assert len(certificates) == 2
    for one in certificates:
        said = {str(part.value) for name in (one.subject, one.issuer) for part in name}
        assert said <= {"Reverie, on its own", "films of one machine", "authority of one key"}
        assert one.not_valid_before_utc.year == 1970
        assert one.not_valid_after_utc.year == 2150
    leaf, authority = certificates
    leaf.verify_directly_issued_by(authority)
    assert own_authority(tmp_path) == authority.public_bytes(Encoding.PEM).decode()


def test_no_authority_without_a_key(tmp_path: Path) -> None:
    assert own_authority(tmp_path / "none") is None
    (tmp_path / OWN_KEY).write_bytes(b"junk")
    assert own_authority(tmp_path) is None


def test_processes_that_race_end_with_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from reverie.runtime.credentials.signing import signing_key\n"
        "sys.stdin.readline()\n"
        "print(hash(signing_key(folder=Path(sys.argv[1]), environment={}).chain))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "deep" / "folder")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        for _ in range(4)
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    said = {run.communicate(timeout=60)[0] for run in runs}
    assert len(said) == 1
    assert said != {""}


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_keys_supplied(algorithm: str, tmp_path: Path) -> None:
    key, chain = supplied(tmp_path, KEYS[algorithm]())
    found = signing_key(key, chain, folder=tmp_path / "none", environment={})
    assert (found.algorithm, found.own) == (algorithm, False)
    named = {"REVERIE_SIGNING_KEY": str(key), "REVERIE_SIGNING_CERT": str(chain)}
    assert signing_key(folder=tmp_path / "none", environment=named) == found
    assert not (tmp_path / "none").exists()


def test_a_key_of_the_old_form_is_taken(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key, chain = supplied(tmp_path, private)
    old = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    key.write_bytes(old)
    assert "BEGIN PRIVATE KEY" in signing_key(key, chain, environment={}).key


def test_hostile_keys(tmp_path: Path) -> None:
    key, chain = supplied(tmp_path, KEYS["es256"]())
    (tmp_path / "other").mkdir()
    other_key, _ = supplied(tmp_path / "other", KEYS["es256"]())
    with pytest.raises(KeyProblem, match="do not go together"):
        signing_key(other_key, chain, environment={})
    with pytest.raises(KeyProblem, match="give both"):
        signing_key(key, None, environment={})
    with pytest.raises(KeyProblem, match="give both"):
        signing_key(environment={"REVERIE_SIGNING_CERT": str(chain)})
    with pytest.raises(KeyProblem, match=r"no file none\.pem"):
        signing_key(tmp_path / "none.pem", chain, environment={})
    with pytest.raises(KeyProblem, match="no file"):
        signing_key(tmp_path, chain, environment={})
    with pytest.raises(KeyProblem, match="no usable key"):
        signing_key(key, key, environment={})
    junk = tmp_path / "junk.pem"
    for data in (b"", b"junk", b"\xff" * 500, key.read_bytes()[:60]):
        junk.write_bytes(data)
        with pytest.raises(KeyProblem, match="no usable key"):
            signing_key(junk, chain, environment={})
    junk.write_bytes(b"0" * (2 << 20))
    with pytest.raises(KeyProblem, match="too large"):
        signing_key(junk, chain, environment={})


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    key, chain = supplied(tmp_path, KEYS["es256"](), b"secret")
    with pytest.raises(KeyProblem, match="pass phrase"):
        signing_key(key, chain, environment={})
    key, chain = supplied(tmp_path, ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(KeyProblem, match="P-256"):
        signing_key(key, chain, environment={})
    key, chain = supplied(tmp_path, dsa.generate_private_key(2048))
    with pytest.raises(KeyProblem, match="Ed25519"):
        signing_key(key, chain, environment={})


def test_a_spoilt_own_key_says_how_to_mend_it(tmp_path: Path) -> None:
    (tmp_path / OWN_KEY).write_bytes(b"spoilt")
    with pytest.raises(KeyProblem, match="delete it"):
        signing_key(folder=tmp_path, environment={})


def test_a_folder_that_cannot_be_written_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeyProblem, match="configuration folder"):
        signing_key(folder=tmp_path / "file" / "deep", environment={})
    if os.name == "posix" and os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(KeyProblem, match="configuration folder"):
            signing_key(folder=tmp_path / "closed" / "deep", environment={})


def test_nothing_is_left_of_a_failed_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signing.os, "fsync", fail)
    with pytest.raises(KeyProblem, match="No space left"):
        signing_key(folder=tmp_path, environment={})
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
