"""OpenAI's SDK for Python: every call that has to do with responses, over HTTP; prints what it found.

Usage: openai_calls.py <base URL>
"""

import json
import sys

from openai import NotFoundError, OpenAI
from pydantic import BaseModel

client = OpenAI(api_key="any", base_url=sys.argv[1], max_retries=0)
MODEL = "local-model"
HELLO = "[task:hello] Hello?"


class Weather(BaseModel):
    city: str
    degrees: int


def is_gone(retrieve):
    try:
        retrieve()
    except NotFoundError:
        return True
    return False


made = client.responses.create(model=MODEL, input=HELLO)
found = client.responses.retrieve(made.id)
assert found.output == made.output and found.output_text == "Hello there."
items = list(client.responses.input_items.list(made.id, order="asc", limit=1))
assert [item.content[0].text for item in items] == [HELLO]

events = list(client.responses.create(model=MODEL, input=HELLO, background=True, stream=True))
again = client.responses.retrieve(events[0].response.id, stream=True, starting_after=2)
assert [event.to_dict() for event in again] == [event.to_dict() for event in events[3:]]

parsed = client.responses.parse(model=MODEL, input="[task:object] Weather?", text_format=Weather)
assert parsed.output_parsed == Weather(city="Oslo", degrees=4)
assert client.responses.input_tokens.count(model=MODEL, input="Hello").input_tokens > 0

conversation = client.conversations.create()
client.responses.create(model=MODEL, input=HELLO, conversation=conversation.id)
client.responses.create(model=MODEL, input="[task:more] More?", conversation=conversation.id)
kept = list(client.conversations.items.list(conversation.id, order="asc"))
assert [item.role for item in kept] == ["user", "assistant", "user", "assistant"]
client.conversations.delete(conversation.id)
assert is_gone(lambda: client.conversations.retrieve(conversation.id))

client.responses.delete(made.id)
assert is_gone(lambda: client.responses.retrieve(made.id))
assert [model.id for model in client.models.list()] == ["upstream-model"]
print(json.dumps({"answer": "all is well"}))
