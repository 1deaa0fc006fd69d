"""The protocol's page, its test vectors, our code and a client in another language say the same."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aeterna.handover import memory
from aeterna.handover.frames import (
    CHUNK_BYTES_MAX,
    HEADER_BYTES,
    MAGIC,
    VERSION,
    Decoder,
    Flags,
    Frame,
    FrameError,
    Kind,
    encode,
)
from aeterna.supervisor.host.relay import RelayLimits
from tests.docs.pages import read_page, table

PAGE = read_page("docs/reference/srp.md")
HERE = Path(__file__).parent
VECTORS_FILE = HERE / "srp_vectors.json"
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(VECTORS_FILE.read_text())


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=by_name)
def test_a_vector_is_what_our_code_writes_and_reads(vector: dict[str, Any]) -> None:
    data, payload = bytes.fromhex(vector["bytes"]), bytes.fromhex(vector["payload"])
    assert encode(vector["type"], payload, vector["flags"]) == data
    assert Decoder().feed(data) == [Frame(vector["type"], payload, vector["flags"])]
    if "json" in vector:
        assert Frame(vector["type"], payload).json() == vector["json"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=by_name)
def test_a_vector_that_is_no_frame_is_refused_in_its_words(vector: dict[str, Any]) -> None:
    with pytest.raises(FrameError) as caught:
        Decoder().feed(bytes.fromhex(vector["bytes"]))
    assert caught.value.fault == vector["fault"]


@pytest.mark.parametrize("algorithm", memory.DIGESTS)
def test_digests_are_those_of_the_vectors(algorithm: str) -> None:
    for vector in VECTORS["digests"]:
        assert memory.digest(bytes.fromhex(vector["data"]) * vector["repeat"], algorithm) == vector[algorithm]


def test_another_language_reads_and_writes_the_same_frames() -> None:
    done = subprocess.run(
        ["node", HERE / "node_client.js", "--vectors", VECTORS_FILE], check=True, capture_output=True, text=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    frames = [[each["bytes"], [each["type"], each["flags"]]] for each in VECTORS["frames"]]
    assert found == [*frames, *(each["fault"] for each in VECTORS["refused"])]


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_has_every_type_of_frame_and_no_other() -> None:
    rows = [(int(code.strip("`"), 16), name) for code, name, *_ in table(PAGE, "Messages")]
    assert rows == [(kind.value, kind.name) for kind in sorted(Kind)]


def test_the_page_has_the_numbers_of_the_header() -> None:
    rows = {field: (int(size), value) for size, field, value in table(PAGE, "Frames")}
    assert sum(size for size, _ in rows.values()) == HEADER_BYTES
    assert str(CHUNK_BYTES_MAX) in rows["length"][1]
    assert rows["magic"][1] == f"`0x{MAGIC:08X}`"
    assert rows["version"][1] == str(VERSION)
    assert [int(bit) for bit in re.findall(r"(\d):", rows["flags"][1])] == [Flags.OPTIONAL, Flags.HAS_FD]
    assert f"after {RelayLimits().greeting_ms // 1000} s" in PAGE.text


def test_the_vectors_on_the_page_are_those_of_the_file() -> None:
    known = {each["name"]: each["bytes"] for each in [*VECTORS["frames"], *VECTORS["refused"]]}
    shown = {name: re.sub(r"[` ]", "", data) for name, data in table(PAGE, "Test vectors")}
    assert shown.items() <= known.items()
    refused = [[name, re.sub(r"[` ]", "", data), fault] for name, data, fault in table(PAGE, "Refused")]
    assert refused == [[each["name"], each["bytes"], each["fault"]] for each in VECTORS["refused"]]


def test_the_digests_on_the_page_are_those_of_the_file() -> None:
    rows = [[cell.strip("`").replace("none", "") for cell in row] for row in table(PAGE, "Digests")]
    known = [[each["data"], each["xxh3-128"], each["sha256"]] for each in VECTORS["digests"] if each["repeat"] == 1]
    assert rows == known
