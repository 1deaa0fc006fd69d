"""The generated messages are those of ``proto/``."""

from __future__ import annotations

from proto.generate import TARGET, generate


def test_generating_again_changes_nothing():
    wanted = generate()
    present = {path.name: path.read_text() for path in TARGET.glob("*_pb2.py*")}
    assert present.keys() == wanted.keys(), "run `make proto`"
    assert [name for name, text in wanted.items() if present[name] != text] == [], "run `make proto`"
