"""The page about the control API names every route and every metric that there is, and no other."""

from __future__ import annotations

import re

from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.control.contract import Verb
from aeterna.supervisor.control.routes import ControlRoutes
from aeterna.supervisor.metrics import Metrics
from tests.docs.pages import read_page, table
from tests.supervisor.control_world import World

PAGE = read_page("docs/reference/control-api.md")


def test_every_route_is_on_the_page():
    world = World()
    routes = vars(ControlRoutes(world, SystemClock(), world.audits.append))["_routes"]
    found = {f"{route.method} {route.pattern}" for route in routes}
    documented = {row[0].strip("`") for row in table(PAGE, "Routes")}
    assert {re.sub(r"/(NAME|VERB|ID)\b", "/{}", route) for route in documented} == found
    assert all(f"`{verb}`" in PAGE.text for verb in Verb)


def test_every_metric_is_on_the_page_with_its_meaning():
    text = Metrics().render().decode()
    helps = dict(re.findall(r"^# HELP (aeterna_\w+) (.*)\.$", text, re.MULTILINE))
    documented = {row[0].strip("`"): row[2] for row in table(PAGE, "Metrics")}
    assert documented == helps
