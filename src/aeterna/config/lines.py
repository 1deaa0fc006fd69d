"""Reads YAML, TOML and JSON into nodes that know the line of every key. Knows nothing of what the keys mean.

A key that stands twice in one mapping is refused with both lines, in all three formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aeterna.config.mistakes import Mistake, MistakesError, Place
from aeterna.config.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Callable

FILE_BYTES_MAX = 4 * 1024**2


def read_file(path: Path) -> Node:
    """The file's content by its ending; raises `MistakesError`. ``source`` of every place is the path as given."""
    source = str(path)
    return read_text(_text_of(path, source), source, path.suffix.lower())


def read_text(text: str, source: str, suffix: str) -> Node:
    """The content of a text in the format that the ending names (``.yaml``, ``.yml``, ``.toml``, ``.json``)."""
    root = _reader(source, suffix)(text, source)
    if root is None or root.value is None:
        raise refused(Place(source), "it is empty", "at least `version: v1`, and `service:` with a name and a command")
    if not isinstance(root.value, dict):
        raise refused(root.place, "it does not start with a key", "keys and values, like `version: v1`")
    return root


def refused(place: Place, wrong: str, right: str, key: str = "", value: str | None = None) -> MistakesError:
    """The error of a single mistake."""
    return MistakesError([Mistake(place, key, value, wrong, right)])


def _reader(source: str, suffix: str) -> Callable[[str, str], Node | None]:
    # Each format's parser costs milliseconds to load, so only the one that is needed is.
    match suffix:
        case ".yaml" | ".yml":
            from aeterna.config.yaml_lines import read_yaml

            return read_yaml
        case ".toml":
            from aeterna.config.toml_lines import read_toml

            return read_toml
        case ".json":
            from aeterna.config.json_lines import read_json

            return read_json
        case _:
            wrong = f"the format of a file that ends in {suffix!r} is not known" if suffix else "its name has no ending"
            raise refused(Place(source), wrong, "a name that ends in .yaml, .yml, .toml or .json")


def _text_of(path: Path, source: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise refused(Place(source), "there is no such file", "the path of a configuration, with -c") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise refused(Place(source), f"it cannot be read: {reason}", "a file that this user may read") from None
    if len(content) > FILE_BYTES_MAX:
        raise refused(Place(source), f"it has {len(content)} bytes", f"at most {FILE_BYTES_MAX} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refused(Place(source, line), "it is not UTF-8", "a file saved as UTF-8") from None
