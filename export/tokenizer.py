"""A checkpoint's tokeniser to the bundle's tokenizer.json, which the runtime reads by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..engines.errors import BundleError, MissingPackageError

TOKENIZER = "tokenizer.json"
_SOURCES = (TOKENIZER, "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")


def write_tokenizer(folder: Path, out: Path, class_name: str = "T5Tokenizer") -> str:
    """Write tokenizer.json below `out`, giving the very tokens transformers gives; return its name.

    folder: the checkpoint's tokenizer/, with a tokenizer.json or a sentencepiece model (T5, umT5).
    class_name: the class that model_index.json names ("T5TokenizerFast"); one that transformers
        does not have is looked up by the folder itself.

    Without transformers an existing tokenizer.json is taken over as it is.

    Raises:
        BundleError: the folder has no tokeniser, or one that cannot be read.
        MissingPackageError: transformers is needed and not installed.
    """
    found = [name for name in _SOURCES if (folder / name).is_file()]
    if not found:
        raise BundleError(
            f"{folder} has no tokeniser (looked for {', '.join(_SOURCES)}): download it again"
        )
    beside = out / f"{TOKENIZER}.part"
    try:
        import transformers
    except ImportError as error:
        if found[0] != TOKENIZER:
            raise MissingPackageError(
                f"{folder / found[0]} must be converted: run `pip install transformers "
                "sentencepiece protobuf`"
            ) from error
        shutil.copyfile(folder / TOKENIZER, beside)
    else:
        kind = getattr(transformers, class_name, transformers.AutoTokenizer)
        try:
            loaded = kind.from_pretrained(folder, local_files_only=True)
            loaded.backend_tokenizer.save(str(beside))
        except Exception as error:  # many unrelated types, for damaged files and missing packages
            beside.unlink(missing_ok=True)
            reason = " ".join(str(error).split())[:200]
            raise BundleError(
                f"{folder} holds a tokeniser that cannot be read ({reason}): download it again"
            ) from error
    beside.replace(out / TOKENIZER)
    return TOKENIZER
