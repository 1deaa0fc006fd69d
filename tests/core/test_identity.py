"""Identities, and the values that follow from them: the same for ever, because histories refer to them."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core.identity import Key, Kind, child_run_id, derive_seed, derive_uuid, task_hash_base


def test_a_key_reads_as_a_person_would_say_it() -> None:
    assert str(Key(Kind.STEP, "0.2", "fetch", 3)) == "step 'fetch' #3 of task 0.2"


def test_a_child_s_id_follows_from_its_parent_s() -> None:
    assert child_run_id("order-1", Key(Kind.CHILD, "0.1", "pay", 2)) == "order-1/0.1:pay:2"


def test_derived_values_never_change() -> None:
    """Written down: a run that began under this release must draw the same on replay under any later one."""
    assert str(derive_uuid("run", "0", 1)) == "284a1443-20d8-8905-87e7-20ab86e6277f"
    assert derive_seed("run", "0").hex()[:16] == "eed10568c8d11fb3"
    assert task_hash_base("run") == 19573372504120911


@given(st.text(), st.text(), st.integers(1, 1 << 31))
def test_a_derived_uuid_is_a_valid_one_of_version_8(run_id: str, path: str, count: int) -> None:
    value = derive_uuid(run_id, path, count)
    assert (value.version, value.variant) == (8, uuid.RFC_4122)
    assert value == derive_uuid(run_id, path, count)


def test_derived_uuids_differ_by_run_task_and_count() -> None:
    places = [(run, path, count) for run in ("r", "s") for path in ("0", "0.1") for count in range(1, 50)]
    assert len({derive_uuid(*place) for place in places}) == len(places)


@given(st.text())
def test_the_hashes_of_a_run_fit_into_a_hash(run_id: str) -> None:
    """Python reduces a hash modulo 2**61 - 1 or cuts it to 64 bits; below 2**56 it stays what it is."""
    assert 0 <= task_hash_base(run_id) < 1 << 56
    assert hash(task_hash_base(run_id) + 1) == task_hash_base(run_id) + 1
