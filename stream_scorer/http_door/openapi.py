"""The door's OpenAPI document: paths from the application, messages from the classes that topics carry."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from stream_scorer import __version__
from stream_scorer.core.messages import Acceptance, CustomerRequest, Ranking
from stream_scorer.http_door.problems import MEDIA_TYPE
from stream_scorer.http_door.reading import ID_OF, TIME
from stream_scorer.schemas import add_meanings, portable

_REF = "#/components/schemas/{model}"
_JSON = "application/json"
_READ: Literal["validation"] = "validation"
_MESSAGES: tuple[type[Any], ...] = (CustomerRequest, Acceptance, Ranking)
_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "What is wrong, as RFC 9457 lays it out.",
    "properties": {
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": {**_TEXT, "description": "For programs: the code of the dead letter, or one of the door's own."},
        "detail": {**_TEXT, "description": "For people: what is wrong and where; never the data."},
        "request_id": {**_TEXT, "description": "Of the request, where it could be read or was made."},
        "acceptance_id": {**_TEXT, "description": "Of the acceptance, likewise."},
    },
    "required": ["title", "status", "code", "detail"],
}
_WRONG = {
    HTTPStatus.BAD_REQUEST: "The body is no JSON that a message could be read from.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than a record may be.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The content type is not application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The message would be a dead letter, or became one; `code` is the dead letter's.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too many requests are in flight, or the brokers did not take the message.",
}
_RANKING_WRONG = {
    HTTPStatus.CONFLICT: "A request with this id is still waiting for its ranking.",
    HTTPStatus.GATEWAY_TIMEOUT: "No ranking came in time; the request may still be answered.",
}


def _contents(kind: str, media_type: str = _JSON) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(model=kind)}}}


def _operation(
    name: str,
    takes: type[Any],
    gives: type[Any],
    status: HTTPStatus,
    *,
    about: str,
    says: str,
    wrong: Mapping[HTTPStatus, str],
) -> dict[str, Any]:
    """Return what FastAPI is given of a path: `says` is what its answer means, `wrong` the problems it may have."""
    problems = {
        int(each): {"description": why, "content": _contents("Problem", MEDIA_TYPE)} for each, why in wrong.items()
    }
    return {
        "operation_id": name,
        "summary": about,
        "status_code": int(status),
        "responses": {int(status): {"description": says, "content": _contents(gives.__name__)}, **problems},
        "openapi_extra": {"requestBody": {"required": True, "content": _contents(takes.__name__)}},
    }


RANKING = _operation(
    "rank",
    CustomerRequest,
    Ranking,
    HTTPStatus.OK,
    about="Send a request and wait for its ranking.",
    says="The ranking, as it is on the topic.",
    wrong={**_WRONG, **_RANKING_WRONG},
)
ACCEPTING = _operation(
    "accept",
    Acceptance,
    Acceptance,
    HTTPStatus.ACCEPTED,
    about="Send a customer's answer to an offer.",
    says="The brokers have the acceptance: as it was sent.",
    wrong=_WRONG,
)


def description_of(routes: Sequence[Any]) -> bytes:
    """Return the document as JSON."""
    document = get_openapi(
        title="stream-scorer",
        version=__version__,
        description="Requests in and rankings out, for programs without a client of Kafka.",
        routes=routes,
    )
    return json.dumps({**document, "components": {"schemas": _schemas()}}, ensure_ascii=False).encode()


def _schemas() -> dict[str, Any]:
    """Return the messages' schemas; what the door makes itself may be left out of a body."""
    kinds = [(each.__name__, _READ, TypeAdapter(each)) for each in _MESSAGES]
    schemas: dict[str, Any] = TypeAdapter.json_schemas(kinds, ref_template=_REF)[1]["$defs"]
    add_meanings(schemas)
    for kind, name in ID_OF.items():
        schema = schemas[kind.__name__]
        schema["required"] = [each for each in schema["required"] if each not in {name, TIME}]
        schema["description"] += f"\n\nWhere `{name}` or `{TIME}` is left out, it is made: a new id, the present time."
    return {**portable(schemas), "Problem": _PROBLEM}
