"""Keys of engines: one digest for what is the same, another for all else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from reverie.engines.cache_key import EngineKey


def key(letter: str = "a", **changes: object) -> EngineKey:
    made = EngineKey(
        graph_sha256=letter * 64,
        data_sha256=("d" * 64,),
        precision="int8",
        profile={"x": ((1, 8), (1, 16), (1, 32))},
        library="rtx",
        library_version="1.7.1",
        device=("sm89", "sm86"),
        options={"weight_streaming": True},
        name=f"toy {letter}",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_digest_is_of_what_is_in_the_engine() -> None:
    one = key()
    assert one.digest() == key(device=("sm86", "sm89", "sm86"), name="other").digest()
    assert EngineKey.from_plain(json.loads(json.dumps(one.as_plain()))).digest() == one.digest()
    others = [
        key("b"),
        key(data_sha256=()),
        key(precision="fp16"),
        key(profile={"x": ((1, 8), (1, 16), (1, 33))}),
        key(profile={"y": ((1, 8), (1, 16), (1, 32))}),
        key(library="tensorrt"),
        key(library_version="1.7.2"),
        key(device=("sm89",)),
        key(options={"weight_streaming": False}),
        key(options={}),
    ]
    assert len({k.digest() for k in [one, *others]}) == len(others) + 1


@pytest.mark.parametrize("value", [object(), b"x", {1, 2}])
def test_a_key_holds_plain_data_only(value: object) -> None:
    with pytest.raises(TypeError):
        key(options={"a": value}).digest()


def test_a_key_holds_no_number_that_json_cannot() -> None:
    with pytest.raises(ValueError, match="cannot be in the key"):
        key(options={"a": float("nan")}).digest()


@pytest.mark.parametrize("plain", [None, [], {}, {"graph_sha256": 1}, "text"])
def test_what_is_no_key_is_said_to_be_none(plain: object) -> None:
    with pytest.raises(ValueError, match="no key"):
        EngineKey.from_plain(plain)
