"""Prompts to embeddings: baked ones, or the `tokenizers` library and the bundle's text encoder.

What a bundle's manifest says under "text":

    max_tokens      how many tokens a prompt is padded and cut to where a call says nothing else
    pad_id          token that fills the rest (T5: 0)
    clean           "none", or "wan" for the cleaning of diffusers' WanPipeline
    attention       "prompt": the encoder is told which tokens are padding (LTXConditionPipeline,
                    WanPipeline); "all": it sees all as text, and only the mask that is handed on
                    tells them apart (LTXImageToVideoPipeline)
    pad_embeddings  "encode": what the encoder makes of padding is kept; "zeros": it is zeroed (Wan)

The tokens are those of transformers' T5TokenizerFast with padding="max_length", truncation=True,
add_special_tokens=True: tokenizer.json itself says where the end-of-sequence token goes.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..engines.device import Device
from ..engines.engine import Engine
from ..engines.errors import BundleError, MissingPackageError, SettingsError
from .bundle import MANIFEST, Bundle
from .prompts import Embedded, checked_file, find_prompt, known_prompts, list_known, store_prompts
from .settings import shown
from .stages import OnProgress, Stages

Choice = TypeVar("Choice")

TOKENIZER = "tokenizer.json"
ENCODER = "text_encoder"


class Text:
    """The text side of a bundle."""

    def __init__(self, bundle: Bundle, device: Device | str = "auto") -> None:
        self.bundle = bundle
        self.device = device
        section = bundle.section("text")
        if not section:
            raise SettingsError(f"{bundle.name} reads no prompts: leave the prompt out")
        self.max_tokens = _whole(bundle, "max_tokens", section.get("max_tokens"), 1)
        self.pad_id = _whole(bundle, "pad_id", section.get("pad_id", 0), 0)
        self._clean = _choice(bundle, "clean", section, CLEANERS, "none")
        self._sees_padding = _choice(
            bundle, "attention", section, {"prompt": False, "all": True}, "prompt"
        )
        self._zeroes_padding = _choice(
            bundle, "pad_embeddings", section, {"encode": False, "zeros": True}, "encode"
        )

    def clean(self, prompt: str) -> str:
        """Return a prompt as the model reads it.

        Raises:
            SettingsError: it is no text that can be encoded.
        """
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise SettingsError(f"prompt {shown(prompt)} holds bytes that are no text") from error
        return self._clean(prompt)

    def embed(self, prompt: str, max_tokens: int | None = None) -> Embedded:
        """Return a prompt's embeddings float32 (1, L, C) and mask int64 (1, L).

        L is `max_tokens`, or the bundle's own number where that is None. A baked prompt is read;
        any other opens the text encoder and closes it again. The empty prompt is a prompt too.

        Raises:
            SettingsError: the prompt is not baked and the bundle has no text encoder.
            BundleError: a file of the bundle is missing or broken.
            MissingPackageError: `tokenizers` is not installed.
            EngineError: the device cannot run the encoder.
        """
        return self.embed_many([prompt], max_tokens)[0]

    def embed_many(self, prompts: Sequence[str], max_tokens: int | None = None) -> list[Embedded]:
        """Return the embeddings of several prompts, opening the text encoder at most once."""
        length = self._length(max_tokens)
        cleaned = [self.clean(prompt) for prompt in prompts]
        found = {text: find_prompt(self.bundle, text, length) for text in dict.fromkeys(cleaned)}
        missing = [text for text, known in found.items() if known is None]
        found.update(zip(missing, self.encode(missing, length), strict=True))
        return [embedded for text in cleaned if (embedded := found[text]) is not None]

    def encode(self, texts: Sequence[str], max_tokens: int | None = None) -> Iterator[Embedded]:
        """Run the text encoder on cleaned prompts, one after another; see `embed`."""
        if not texts:
            return
        length = self._length(max_tokens)
        if ENCODER not in self.bundle.components:
            raise SettingsError(
                f"prompt {texts[0][:80]!r} is not known to {self.bundle.name}, which has no text "
                f"encoder: use one of its own prompts ({list_known(self.bundle)}), or bake this "
                "one where the encoder is (`reverie prompts BUNDLE add`)"
            )
        tokens = [self.tokens(text, length) for text in texts]
        with self.bundle.open(ENCODER, device=self.device) as engine:
            for ids, mask in tokens:
                yield self._run(engine, ids, mask), mask

    def tokens(
        self, text: str, max_tokens: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return a cleaned prompt's token ids and mask, int64 (1, L) each."""
        tokenizer = self._tokenizer()
        length = self._length(max_tokens)
        tokenizer.enable_truncation(length)
        pad_token = tokenizer.id_to_token(self.pad_id) or "<pad>"
        tokenizer.enable_padding(pad_id=self.pad_id, pad_token=pad_token, length=length)
        encoded = tokenizer.encode(text)
        ids = np.array([encoded.ids], np.int64)
        return ids, np.array([encoded.attention_mask], np.int64)

    def left_out(self, prompt: str) -> int:
        """Return how many tokens of a prompt are cut away; 0 where that cannot be known."""
        text = self.clean(prompt)
        may_be = 4 * len(text) >= self.max_tokens  # a character is four bytes, or tokens, at most
        if not may_be or not (self.bundle.folder / TOKENIZER).is_file():
            return 0
        tokenizer = self._tokenizer()
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return max(len(tokenizer.encode(text).ids) - self.max_tokens, 0)

    def _run(
        self, engine: Engine, ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        inputs = {}
        for port in engine.inputs:
            seen = np.ones_like(mask) if self._sees_padding else mask
            inputs[port.name] = (seen if "mask" in port.name else ids).astype(port.dtype)
        embeddings = np.array(engine.run(inputs)[engine.outputs[0].name], np.float32)
        if self._zeroes_padding:
            embeddings[:, int(mask.sum()) :] = 0.0
        return embeddings

    def _length(self, max_tokens: int | None) -> int:
        if max_tokens is None:
            return self.max_tokens
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
            raise SettingsError(f"max_tokens {max_tokens!r} cannot be used: give a whole number")
        return max_tokens

    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPackageError(
                "a prompt needs the tokenizers package: run `pip install tokenizers` "
                "(or use a prompt that is baked into the bundle)"
            ) from error
        path = checked_file(self.bundle, TOKENIZER)
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise BundleError(
                f"{path} is no tokenizer ({error}): export the model again"
            ) from error


def bake(
    bundle: Bundle,
    prompts: Sequence[str],
    *,
    device: Device | str = "auto",
    on_progress: OnProgress | None = None,
) -> tuple[Bundle, tuple[str, ...]]:
    """Bake prompts into a bundle; returns it read anew, and what is new in it, cleaned.

    What guidance compares with (the bundle's own negative prompt, or the empty one) is baked along,
    so that the bundle can do without its text encoder.

    Raises:
        SettingsError: the model reads no prompts, or has no text encoder.
        OutputError: the bundle cannot be written.
        BundleError, EngineError, MissingPackageError: as `Text.embed`.
    """
    text = Text(bundle, device)
    along = str(bundle.section("defaults").get("negative_prompt") or "")
    wanted = dict.fromkeys(text.clean(prompt) for prompt in (*prompts, along))
    known = set(known_prompts(bundle))
    new = tuple(prompt for prompt in wanted if prompt not in known)
    stages = Stages(on_progress)

    def baked() -> Iterator[tuple[str, Embedded]]:
        stages.tell("text", 0, len(new))
        for done, pair in enumerate(zip(new, text.encode(new), strict=True), start=1):
            yield pair
            stages.tell("text", done, len(new))

    return (store_prompts(bundle, baked()), new) if new else (bundle, new)


def clean_wan(text: str) -> str:
    """Clean a prompt as diffusers' WanPipeline does: mended, HTML unescaped, spaces made single.

    The reference needs ftfy and fails without it. Where ftfy is not installed, what it does to
    well-encoded text is done here; what it guesses about wrongly decoded text is not.
    """
    try:
        fix_text = import_module("ftfy").fix_text
    except ImportError:
        fix_text = plain_characters
    text = html.unescape(html.unescape(fix_text(text))).strip()
    return re.sub(r"\s+", " ", text).strip()


def plain_characters(text: str) -> str:
    """Straighten quotes, open ligatures and wide letters, drop control characters."""
    if "<" not in text:  # a text with tags is taken to mean its entities
        text = html.unescape(text)
    text = re.sub(r"\x1b\[(?:\d|;)*[a-zA-Z]", "", text)
    text = re.sub("[\u0132\u0133\u0149\u01c4-\u01cc\u01f1-\u01f3\ufb00-\ufb06]", _opened, text)
    text = re.sub("[\u3000\uff01-\uffef]", _opened, text)
    text = re.sub("[\u02bc\u2018-\u201b]", "'", text)
    text = re.sub("[\u201c-\u201f]", '"', text)
    text = re.sub("\r\n|[\r\u2028\u2029\x85]", "\n", text)
    text = re.sub("[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]", "", text)
    return unicodedata.normalize("NFC", text)


def _opened(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0])


def _unchanged(text: str) -> str:
    return text


CLEANERS: dict[str, Callable[[str], str]] = {"none": _unchanged, "wan": clean_wan}


def _whole(bundle: Bundle, name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 2**20:
        raise _broken(bundle, name, f"a whole number of at least {least}", value)
    return value


def _choice(
    bundle: Bundle, name: str, section: Any, choices: Mapping[str, Choice], default: str
) -> Choice:
    value = section.get(name, default)
    if not isinstance(value, str) or value not in choices:
        raise _broken(bundle, name, f"one of {', '.join(choices)}", value)
    return choices[value]


def _broken(bundle: Bundle, name: str, expected: str, found: object) -> BundleError:
    return BundleError(
        f"{bundle.folder / MANIFEST}: text.{name} must be {expected}, and is {found!r}: "
        "export the model again"
    )
