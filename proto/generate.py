"""Writes ``src/aeterna/durable/wire/generated`` from ``proto/aeterna/v1`` (``python -m proto.generate``).

protoc names the modules after the files' places, where the package itself has no room for them (``aeterna.v1``); so
they are put into one folder and their imports of each other follow. ``.proto`` files that need anything but each other
are not expected."""

from __future__ import annotations

import re
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "proto" / "aeterna" / "v1"
TARGET = ROOT / "src" / "aeterna" / "durable" / "wire" / "generated"
PACKAGE = "aeterna.durable.wire.generated"


def generate() -> dict[str, str]:
    """The text of each generated file, by its name. Raises `RuntimeError` with what protoc complains about."""
    from grpc_tools import protoc

    sources = sorted(path.relative_to(ROOT / "proto").as_posix() for path in SOURCES.glob("*.proto"))
    with tempfile.TemporaryDirectory() as directory, as_file(files("grpc_tools") / "_proto") as well_known:
        arguments = [
            "protoc",
            f"--proto_path={ROOT / 'proto'}",
            f"--proto_path={well_known}",
            f"--python_out={directory}",
            f"--pyi_out={directory}",
            *sources,
        ]
        if protoc.main(arguments) != 0:
            raise RuntimeError("protoc failed; it says above why")
        return {path.name: _placed(path.read_text()) for path in sorted(Path(directory).rglob("*.py*"))}


def _placed(text: str) -> str:
    return re.sub(r"^from aeterna\.v1 import", f"from {PACKAGE} import", text, flags=re.MULTILINE)


def main() -> int:
    """Write the files, and remove those of sources that are gone."""
    wanted = generate()
    TARGET.mkdir(parents=True, exist_ok=True)
    for path in TARGET.glob("*_pb2.py*"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (TARGET / name).write_text(text)
    print(f"{len(wanted)} files in {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
