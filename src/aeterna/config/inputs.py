"""Everything a plan depends on, as one digest: while that is the same, a configuration need not be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def inputs_digest(path: Path, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> str:
    """The digest of the file, the `.env` beside it, the environment and the overrides. Files may be missing."""
    digest = hashlib.sha256()
    files = (path.absolute(), path.absolute().parent / ".env")
    texts = (*sorted(f"{name}={value}" for name, value in environ.items()), "", *overrides)
    for part in (*_contents(files), *(text.encode("utf-8", "surrogateescape") for text in texts)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _contents(files: Iterable[Path]) -> Iterable[bytes]:
    for file in files:
        yield str(file).encode("utf-8", "surrogateescape")
        try:
            yield b"+" + file.read_bytes()
        except OSError as error:
            yield f"-{error.errno}".encode()
