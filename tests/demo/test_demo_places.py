"""The demo's files: an earlier demo is replaced, anybody else's files are left alone."""

from __future__ import annotations

import pytest

from aeterna.cli.demo.places import beside_earlier, prepared
from aeterna.kernel.errors import ConfigurationError


def test_a_fresh_demo_replaces_the_files_of_an_earlier_one(tmp_path):
    directory = tmp_path / "demo"
    with prepared(directory) as (places, _):
        places.store.write_text("old")
        places.timeline.write_text("old")
    with prepared(directory) as (places, _):
        assert not places.store.exists()
        assert not places.timeline.exists()
        assert places.executions.read_text() == ""


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "run.db").write_text("precious")

    with pytest.raises(ConfigurationError, match="holds files that are not a demo's"), prepared(tmp_path):
        pass
    assert (tmp_path / "run.db").read_text() == "precious"


def test_a_directory_in_which_a_demo_runs_is_refused(tmp_path):
    with (
        prepared(tmp_path / "demo"),
        pytest.raises(ConfigurationError, match="a demo is running there"),
        prepared(tmp_path / "demo"),
    ):
        pass


def test_keeping_an_earlier_demo_chooses_a_directory_beside_it(tmp_path):
    assert beside_earlier(tmp_path / "demo") == tmp_path / "demo"
    for name in ("demo", "demo-2"):
        with prepared(tmp_path / name):
            pass
    assert beside_earlier(tmp_path / "demo") == tmp_path / "demo-3"
