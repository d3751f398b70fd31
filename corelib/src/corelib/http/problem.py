"""Problem documents (RFC 9457): the one place where errors become HTTP answers."""

from http import HTTPStatus

import orjson
from aiohttp import web

from corelib.errors import Conflict, Problem, TooLarge, Unavailable
from corelib.tracing import trace_id

CONTENT_TYPE = "application/problem+json"
NAMESPACE = "souk"
"""Whose the types of problems are, where nothing else is said."""


def response(problem: Problem, namespace: str) -> web.Response:
    """Return the answer to a problem; its type is `urn:<namespace>:problem:<slug>`."""
    document = {
        "type": f"urn:{namespace}:problem:{problem.slug}",
        "title": problem.slug.replace("-", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        **problem.extra,
    }
    if (trace := trace_id()) is not None:
        document["trace_id"] = trace
    return web.Response(
        body=orjson.dumps(document, default=str),
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=problem.headers,
    )


def of(error: Exception) -> Problem | None:
    """Return the problem that an error means to a caller; None for one that is a fault of ours.

    `InvalidEvent` is one: the request was taken for valid, and nothing that a caller could do makes the event so.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, Unavailable):
        # Not that nothing was changed: what did not come may be the answer to a COMMIT.
        known = f"{error.dependency} does not answer: ask again, with the same Idempotency-Key if you sent one."
        problem = Problem(503, "dependency-unavailable", known)
        problem.headers["Retry-After"] = str(error.retry_after_seconds)
        return problem
    if isinstance(error, Conflict):
        problem = Problem(409, "conflict", "Too many others changed the same thing at this moment; try again.")
        problem.headers["Retry-After"] = "1"
        return problem
    if isinstance(error, TooLarge):
        # As a body that is too large: the same answer, as the same thing helps.
        return Problem(413, "content-too-large", "This is more than can be recorded at once: ask for less.")
    if isinstance(error, web.HTTPException):
        return of_status(error)
    return None


def of_status(error: web.HTTPException) -> Problem:
    """Return the problem for an answer of the router or of aiohttp itself."""
    status = HTTPStatus(error.status)
    problem = Problem(status.value, status.phrase.lower().replace(" ", "-"), status.description or status.phrase)
    problem.headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Location"}}
    return problem


def fault() -> Problem:
    """Return the problem for an error that nobody foresaw; the log has the traceback under the trace id."""
    return Problem(500, "internal-error", "Something failed on our side; the trace id finds it in the logs.")
