"""The OpenAPI description: what FastAPI finds out by itself, with what it cannot know.

That is who may ask what (`server.verbs`), and which errors each route answers (`server.errors`), with an example of
each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from aeterna.kernel.version import VERSION
from aeterna.server.http.problems import Problem
from aeterna.server.verbs import VERBS, Verb

Json = dict[str, Any]

ABOUT = (
    "Runs of durable workflows: start them, look at them, talk with them, and operate their queues and schedules. "
    "Errors are problem documents (RFC 9457)."
)
TAGS = (
    ("workflows", "Runs: start them, list them, look at one, delete those that have ended"),
    ("messages", "What is asked of a run: signals, queries, pauses, its end, a fork"),
    ("queues", "Limits that runs wait for, and how much waits"),
    ("schedules", "Runs that start by the clock"),
    ("observability", "How a namespace stands, and what changes in it"),
    ("tokens", "Who may ask what"),
    ("health", "Whether the process lives, and takes requests"),
)

EXAMPLES: Mapping[int, tuple[str, str]] = {
    400: ("UsageError", "debounce needs a singleton, which says which calls belong together"),
    401: ("UnauthenticatedError", "this server wants a token: give one with --token or AETERNA_TOKEN"),
    403: ("PermissionDeniedError", "token 1f2e3d4c5b6a does not allow this: its role is 'read-only', and ..."),
    404: ("RunNotFoundError", "no run has the id 'order-7' in ..."),
    408: ("TimeoutError", "run 'order-7' did not end within 30 s; it goes on"),
    409: ("InvalidStateError", "run 'order-7' is COMPLETED already: nothing can be sent to it"),
    413: (
        "PayloadTooLargeError",
        "the request's body has more than 16,777,216 bytes: store large values elsewhere ...",
    ),
    422: ("UsageError", "body.workflow: Field required"),
    429: ("LimitExceededError", "10,000 messages wait for run 'order-7' to look at them, which is the limit: ..."),
    500: ("InvariantError", "the server failed in an unexpected way; its log has the details"),
    503: ("StoreError", "the server is stopping; ask another one, or this one when it is back"),
}
"""Status -> an error that has it, and what it may say."""

_ALWAYS = (400, 401, 403, 422, 500, 503)
_MEANINGS: Mapping[int, str] = {
    400: "The request cannot be carried out as it is",
    401: "There is no token, or none that is valid",
    403: "The token's role or namespace is not enough",
    404: "There is no such namespace, run, queue or schedule",
    408: "The time was over; what was waited for goes on",
    409: "It contradicts what is there: another state, or an id or key that was used for something else",
    413: "The body, or a value in it, is too large",
    422: "The request does not fit its schema; `faults` says where",
    429: "A limit is reached",
    500: "A bug of the server's",
    503: "The server stops, or its store does not answer: try again",
}
_CONFLICTS = frozenset(
    {"start", "batch_start", "signal_with_start", "cancel", "signal", "query", "pause", "resume", "terminate", "fork"}
    | {"trigger_schedule", "create_token", "revoke_token"}
)
_WAITS = frozenset({"await_result", "query"})
_LIMITED = frozenset({"signal", "signal_with_start", "start", "batch_start", "put_schedule", "create_token"})
_TOKENS = frozenset({"create_token", "list_tokens", "revoke_token", "list_namespaces"})


class _Described(FastAPI):
    def openapi(self) -> Json:
        """See `FastAPI.openapi`."""
        return describe(self)


def described_app() -> FastAPI:
    """An application without routes, whose description is made by `describe` once it has them."""
    return _Described(
        title="Aeterna",
        version=VERSION,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )


def _operation_id(route: APIRoute) -> str:
    return route.name


def describe(app: FastAPI) -> Json:
    """The description of its routes."""
    if app.openapi_schema is None:
        tags = [{"name": name, "description": text} for name, text in TAGS]
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=tags
        )
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = _problem_schema(components["schemas"])
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "a token; needed where the server has any"}
        }
        by_route = {route: verb for verb in VERBS.values() for route in verb.http}
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                verb = by_route.get(f"{method.upper()} {path}")
                if verb is not None:
                    _complete(operation, verb)
        app.openapi_schema = schema
    return app.openapi_schema


def _problem_schema(schemas: Json) -> Json:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    return schema


def _complete(operation: Json, verb: Verb) -> None:
    operation["description"] = f"{operation.get('description', '')}\n\nIt takes the role `{verb.need.value}`.".strip()
    operation["x-aeterna-role"] = verb.need.value
    operation["security"] = [{"token": []}, {}]
    for status in statuses_of(verb, has_body="requestBody" in operation):
        operation["responses"][str(status)] = _problem(status)


def statuses_of(verb: Verb, *, has_body: bool) -> list[int]:
    """Those of the errors that a route of this verb may answer."""
    more = {
        404: not verb.creates and verb.name not in _TOKENS,
        408: verb.name in _WAITS,
        409: verb.name in _CONFLICTS,
        413: has_body,
        429: verb.name in _LIMITED,
    }
    return sorted([*_ALWAYS, *(status for status, is_possible in more.items() if is_possible)])


def _problem(status: int) -> Json:
    error, detail = EXAMPLES[status]
    shown: Json = {"type": "about:blank", "title": error, "status": status, "detail": detail, "error": error}
    if status == 422:
        shown["faults"] = [{"where": "body.workflow", "what": "Field required"}]
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": shown}
    return {"description": _MEANINGS[status], "content": {"application/problem+json": content}}
