"""Checks events against the pydantic types of OpenAI's SDK, strictly: nothing may be missing, wrong or besides.

Reads lines of JSON: first the names that the server has or leaves out on purpose, then one event each, as
{kind, transport, event}. Prints one line of JSON: {complaints, missing}, and how many events it checked.
"""

import json
import sys
from typing import get_args

from openai.types.responses import (
    Response,
    ResponseCustomToolCall,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseReasoningItem,
    ResponsesServerEvent,
    ResponseStreamEvent,
    ResponseUsage,
)
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.response_usage import InputTokensDetails
from pydantic import BaseModel, TypeAdapter, ValidationError

ADAPTERS = {
    "http": TypeAdapter(ResponseStreamEvent),
    "websocket": TypeAdapter(ResponsesServerEvent),
}


def besides(value, path):
    """What the types do not have."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name} of {type(value).__name__}" for name in value.model_extra or {})
        for name in value.model_fields_set:
            yield from besides(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from besides(member, f"{path}[]")


def complaints(kind, transport, event):
    try:
        read = ADAPTERS[transport].validate_json(json.dumps(event), strict=True)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        # A union complains of every member: the one of this event says most.
        mine = [one for one in told if event["type"] in one["loc"]] or told
        return [f"{kind}: {event['type']}: {mine[0]['loc']}: {mine[0]['msg']}"]
    return [f"{kind}: {line}" for line in besides(read, event["type"])]


def events_of(union):
    """The names of all events of a union."""
    members = [member for part in get_args(union) for member in (get_args(part) or [part])]
    return {
        name
        for member in members
        if isinstance(member, type) and issubclass(member, BaseModel)
        for name in get_args(member.model_fields["type"].annotation)
    }


def wire_names(model):
    return {field.alias or name for name, field in model.model_fields.items()}


def missing(names):
    """What the types have that is neither the server's nor left out."""
    theirs = {
        "response": wire_names(Response),
        "usage": wire_names(ResponseUsage),
        "inputTokens": wire_names(InputTokensDetails),
        "events": events_of(ResponseStreamEvent) | events_of(ResponsesServerEvent),
        "message": wire_names(ResponseOutputMessage),
        "functionCall": wire_names(ResponseFunctionToolCall),
        "customCall": wire_names(ResponseCustomToolCall),
        "reasoning": wire_names(ResponseReasoningItem),
        "request": set(ResponseCreateParamsBase.__annotations__),
    }
    assert all(len(found) > 2 for of, found in theirs.items() if of != "inputTokens"), theirs
    return sorted(f"{of}: {name}" for of, found in theirs.items() for name in found - set(names[of]))


names = json.loads(sys.stdin.readline())
lines = [json.loads(line) for line in sys.stdin]
told = [complaint for line in lines for complaint in complaints(**line)]
print(json.dumps({"complaints": told, "missing": missing(names), "checked": len(lines)}))
