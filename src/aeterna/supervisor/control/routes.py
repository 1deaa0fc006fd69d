"""The routes of the control API, and what each of them does.

Reads documents from the `Supervision`, hands it orders, and turns its answers into HTTP. Waiting is built on its events
alone. Every order leaves one line of audit, whatever becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aeterna.kernel.clock import Clock
from aeterna.kernel.suggestions import did_you_mean
from aeterna.supervisor.control import following
from aeterna.supervisor.control.answers import Response, Stream, document, problem
from aeterna.supervisor.control.connection import Request
from aeterna.supervisor.control.contract import Answer, Audit, Order, Outcome, Supervision, Verb
from aeterna.supervisor.control.order_body import fields_of
from aeterna.supervisor.control.routing import Route, dispatch
from aeterna.supervisor.metrics import CONTENT_TYPE

LINES_MAX = 10_000
"""How many past log lines one request may ask for."""
_LINES = 100


class ControlRoutes:
    """The control API. ``audit`` gets every order that could be understood."""

    def __init__(self, supervision: Supervision, clock: Clock, audit: Callable[[Audit], None]) -> None:
        self._supervision = supervision
        self._clock = clock
        self._audit = audit
        self._routes = (
            Route("GET", "/live", self._live),
            Route("GET", "/ready", self._ready),
            Route("GET", "/metrics", self._metrics),
            Route("GET", "/v1/status", self._status),
            Route("GET", "/v1/services", self._services),
            Route("GET", "/v1/services/{}", self._service),
            Route("GET", "/v1/services/{}/logs", self._logs),
            Route("GET", "/v1/logs", self._logs),
            Route("POST", "/v1/services/{}/{}", self._operate),
            Route("GET", "/v1/reloads", self._reloads),
            Route("GET", "/v1/reloads/{}", self._reload),
            Route("GET", "/v1/events", self._events),
            Route("POST", "/v1/reload", self._reload_the_one),
            Route("POST", "/v1/stop", self._stop_all),
        )

    async def handle(self, request: Request) -> Response | Stream:
        """Serve one request; raises `ProblemError`."""
        return await dispatch(self._routes, request)

    # --- looking ---

    async def _live(self, _request: Request, _1: str, _2: str) -> Response:
        is_live = self._supervision.is_live()
        return document({"live": is_live}, HTTPStatus.OK if is_live else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _ready(self, request: Request, _1: str, _2: str) -> Response:
        wait = following.wait_of(request)
        await following.until(self._supervision.events, wait, self._supervision.is_ready)
        is_ready = self._supervision.is_ready()
        body = {"ready": is_ready, "services": self._readiness()}
        return document(body, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metrics(self, _request: Request, _1: str, _2: str) -> Response:
        return Response(HTTPStatus.OK, self._supervision.metrics(), CONTENT_TYPE)

    async def _status(self, request: Request, _1: str, _2: str) -> Response:
        await following.next_change(self._supervision.events, request, following.anything)
        return self._with_event_id(self._supervision.status())

    async def _services(self, _request: Request, _1: str, _2: str) -> Response:
        names = self._supervision.service_names()
        return self._with_event_id({"services": [self._supervision.service(name) for name in names]})

    async def _service(self, request: Request, name: str, _2: str) -> Response:
        self._require_service(name)
        await following.next_change(self._supervision.events, request, following.about("service", name))
        return self._with_event_id(self._supervision.service(name))

    async def _reloads(self, _request: Request, _1: str, _2: str) -> Response:
        ids = self._supervision.reload_ids()
        return self._with_event_id({"reloads": [self._supervision.reload_report(each) for each in ids]})

    async def _reload(self, request: Request, reload_id: str, _2: str) -> Response:
        supervision = self._supervision
        if supervision.reload_report(reload_id) is None:
            hint = did_you_mean(reload_id, supervision.reload_ids())
            raise problem(HTTPStatus.NOT_FOUND, f"there is no reload {reload_id!r} (any more){hint}")

        def is_over() -> bool:
            report = supervision.reload_report(reload_id)
            return report is None or report["result"] is not None

        if "after" in request.query:
            await following.next_change(
                supervision.events, request, following.about("reload", reload_id), unless=is_over
            )
        else:
            await following.until(supervision.events, following.wait_of(request), is_over)
        return self._with_event_id(supervision.reload_report(reload_id))

    async def _logs(self, request: Request, name: str, _2: str) -> Stream:
        if name:
            self._require_service(name)
        lines = following.number_of(request, "lines", _LINES, LINES_MAX)
        is_following = following.number_of(request, "follow", 0, 1) == 1
        return Stream(following.log_lines(self._supervision.logs(name or None, lines, is_following=is_following)))

    async def _events(self, request: Request, _1: str, _2: str) -> Stream:
        return following.event_stream(self._supervision.events, request)

    # --- orders ---

    async def _operate(self, request: Request, name: str, verb_name: str) -> Response:
        self._require_service(name)
        verbs = [verb.value for verb in Verb]
        if verb_name not in verbs:
            hint = did_you_mean(verb_name, verbs) or f"; there are {', '.join(verbs)}"
            raise problem(HTTPStatus.NOT_FOUND, f"there is no operation {verb_name!r}{hint}")
        return await self._order(request, Verb(verb_name), name)

    async def _reload_the_one(self, request: Request, _1: str, _2: str) -> Response:
        names = self._supervision.service_names()
        if len(names) != 1:
            raise problem(
                HTTPStatus.BAD_REQUEST,
                f"there are {len(names)} services ({', '.join(names)}): POST /v1/services/NAME/reload",
            )
        return await self._order(request, Verb.RELOAD, names[0])

    async def _stop_all(self, request: Request, _1: str, _2: str) -> Response:
        return await self._order(request, Verb.STOP, None)

    async def _order(self, request: Request, verb: Verb, service: str | None) -> Response:
        fields = fields_of(request.body, verb)
        order = Order(
            verb=verb,
            service=service,
            caller=request.caller,
            reason=fields.get("reason", ""),
            is_forced=fields.get("force", False),
            strategy=fields.get("strategy", ""),
            weight=fields.get("weight", 0),
        )
        outcome = await self._supervision.request(order)
        audit = Audit(self._clock.now_us(), request.caller, verb, service, outcome.answer, outcome.detail)
        self._audit(audit)
        return self._answered(order, outcome)

    def _answered(self, order: Order, outcome: Outcome) -> Response:
        more = {"verb": order.verb.value, "service": order.service, **outcome.body}
        if outcome.answer is Answer.ACCEPTED:
            body = {**more, "detail": outcome.detail, "event_id": self._supervision.events.last_id}
            return document(body, HTTPStatus.ACCEPTED)
        raise problem(outcome.answer.value, outcome.detail, **more)

    def _require_service(self, name: str) -> None:
        names = self._supervision.service_names()
        if name not in names:
            hint = did_you_mean(name, names) or f"; there is {', '.join(names)}"
            raise problem(HTTPStatus.NOT_FOUND, f"there is no service {name!r}{hint}")

    def _readiness(self) -> dict[str, bool]:
        found = ((name, self._supervision.service(name)) for name in self._supervision.service_names())
        return {name: service is not None and service["is_ready"] for name, service in found}

    def _with_event_id(self, value: Mapping[str, Any] | None) -> Response:
        """The document, and the number of the last event it knows of: what to wait after."""
        if value is None:
            raise problem(HTTPStatus.NOT_FOUND, "it is gone")
        return document({**value, "event_id": self._supervision.events.last_id})


class MetricsRoutes:
    """What the metrics listener serves, to anybody: measurements, and whether the services are healthy."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._routes = (Route("GET", "/metrics", self._metrics), Route("GET", "/health", self._health))

    async def handle(self, request: Request) -> Response | Stream:
        """Serve one request; raises `ProblemError`."""
        return await dispatch(self._routes, request)

    async def _metrics(self, _request: Request, _1: str, _2: str) -> Response:
        return Response(HTTPStatus.OK, self._supervision.metrics(), CONTENT_TYPE)

    async def _health(self, _request: Request, _1: str, _2: str) -> Response:
        is_healthy = self._supervision.is_live() and self._supervision.is_ready()
        return document({"healthy": is_healthy}, HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE)
