"""``aeterna init``: the project it makes really runs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

import aeterna
from tests.cli.conftest import finish, give, start

FILES = {"app.py", "test_app.py", "README.md", "requirements.txt", ".gitignore"}


@pytest.fixture
def project(cli, place):
    """A fresh project."""
    assert cli("init", "my-orders").code == 0
    return place / "my-orders"


def test_a_project_has_its_files(project):
    assert {path.name for path in project.iterdir()} == FILES
    assert "my-orders" in (project / "README.md").read_text()


def test_the_command_of_the_readme_runs(project):
    answer = give("run", "app:fulfil", "A-1", "2", "--id", "order-1", "--kwarg", "pause_s=0.01", cwd=project)
    assert answer.code == 0
    assert answer.json == {
        "place": "2 pieces on shelf 7 for A-1",
        "receipt": "receipt-A-1-1990",
        "parcel": "parcel-A-1",
    }
    events = give("workflow", "history", "order-1", "--json", cwd=project).json["events"]
    assert [event["event"] for event in events].count("StepRetrying") == 2
    assert (project / ".aeterna" / "my-orders.db").exists()


def test_its_requirements_name_aeterna_as_it_is_installed_here(project):
    """An index may have another package of that name, or none."""
    origin = metadata.distribution("aeterna").read_text("direct_url.json")
    wanted = f"aeterna=={aeterna.__version__}" if origin is None else f"aeterna @ {json.loads(origin)['url']}"
    assert (project / "requirements.txt").read_text().splitlines() == [wanted, "pytest"]
    assert f"    {wanted}\n" in (project / "README.md").read_text()


def test_its_own_test_passes(project):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    assert not (project / ".aeterna").exists()


def test_it_runs_as_a_plain_script(project):
    source = (project / "app.py").read_text().replace("pause_s: float = 3.0", "pause_s: float = 0.01")
    (project / "app.py").write_text(source)
    done = subprocess.run([sys.executable, "app.py"], cwd=project, capture_output=True, text=True, check=True)
    assert "'parcel': 'parcel-A-1'" in done.stdout


def test_a_killed_run_goes_on(project):
    """What the README promises: kill it while it sleeps, give the command again."""
    command = ("run", "app:fulfil", "A-1", "2", "--id", "o")
    source = (project / "app.py").read_text()
    marked = source.replace(
        "    await ctx.sleep", "    await ctx.step('tell', print, 'sleeps', flush=True)\n    await ctx.sleep"
    )
    (project / "app.py").write_text(marked)
    process = start(*command, "--kwarg", "pause_s=1.5", cwd=project)
    assert process.stdout.readline() == "sleeps\n"
    process.kill()
    finish(process)
    again = give(*command, "--json", cwd=project)
    assert again.code == 0
    events = give("workflow", "history", "o", "--json", cwd=project).json["events"]
    done = [event["name"] for event in events if event["event"] == "StepCompleted"]
    assert sorted(set(done)) == sorted(done) == ["charge", "reserve", "ship", "tell"]


def test_nothing_is_overwritten(cli, project, place):
    (project / "app.py").write_text("mine")
    answer = cli("init", "my-orders")
    assert answer.code == 2
    for name in FILES:
        assert name in answer.err
    assert (project / "app.py").read_text() == "mine"
    (place / "other").write_text("a file")
    assert "is no directory" in cli("init", "x", "--output", "other").err


def test_it_goes_where_it_is_told(cli, place):
    (place / "there").mkdir()
    (place / "there" / "notes.txt").write_text("kept")
    record = cli("init", "x", "--output", "there", "--json").json
    assert (record["directory"], set(record["files"])) == ("there", FILES)
    assert (place / "there" / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("name", ["-x", "a/b", "", "ä", "x" * 65])
def test_a_name_that_cannot_be_an_apps_is_refused(cli, place, name):
    answer = cli("init", name)
    assert answer.code == 2
    assert not any(path.is_dir() for path in place.iterdir())


def test_a_place_that_cannot_be_written_is_said(cli, place):
    answer = cli("init", "x", "--output", "/proc/x")
    assert (answer.code, "cannot create the project in /proc/x" in answer.err) == (2, True)
