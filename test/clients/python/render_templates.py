"""Renders chat templates as model servers do: one JSON request a line in, one JSON answer a line out.

in:  {"template": "<file>", "messages": [...], "tools": [...] or null}
out: {"text": "..."} or {"error": "..."}
"""

import datetime
import json
import sys

from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import SandboxedEnvironment


def raise_exception(message):
    raise ValueError(message)


def strftime_now(form):
    return datetime.datetime.now().strftime(form)


class Generation(Extension):
    """The tag that training code marks answers with; what is inside of it is rendered."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(["name:endgeneration"], drop_needle=True)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=list)


environment = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = strftime_now

templates = {}


def compiled(path):
    if path not in templates:
        with open(path, encoding="utf-8") as file:
            templates[path] = environment.from_string(file.read())
    return templates[path]


def with_objects(messages):
    """Arguments as values, which most templates want them to be."""
    changed = []
    for message in messages:
        calls = message.get("tool_calls")
        if calls:
            calls = [
                {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
                for call in calls
            ]
            message = {**message, "tool_calls": calls}
        changed.append(message)
    return changed


def with_texts(messages):
    """Parts as one text, for templates that know no parts."""
    return [
        {**message, "content": "\n".join(part.get("text", "<image>") for part in message["content"])}
        if isinstance(message["content"], list)
        else message
        for message in messages
    ]


def render(request):
    failure = None
    given = request["messages"]
    has_parts = any(isinstance(message["content"], list) for message in given)
    for messages in (with_objects(with_texts(given) if has_parts else given), with_objects(given), given):
        try:
            context = {"messages": messages, "add_generation_prompt": True}
            if request["tools"] is not None:
                context["tools"] = request["tools"]
            context["functions"] = json.dumps(request["tools"] or [])
            context["datetime"] = "today"
            template = compiled(request["template"])
            return {"text": template.render(**context, bos_token="<s>", eos_token="</s>")}
        except ValueError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001: templates fail in every way
            failure = failure or error
    return {"error": f"{type(failure).__name__}: {failure}"}


for line in sys.stdin:
    print(json.dumps(render(json.loads(line))), flush=True)
