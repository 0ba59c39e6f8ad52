"""OpenAI's SDK counts tokens and compacts. Arguments: the base URL. Prints one line of JSON."""

import json
import sys

from openai import BadRequestError, OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)

first = client.responses.create(model="m", input="The number is 7.")
count = client.responses.input_tokens.count(model="m", previous_response_id=first.id, input="Which?")
compacted = client.responses.compact(model="m", previous_response_id=first.id, input="And 8.")
user = {"type": "message", "role": "user", "content": "Which?"}
following = client.responses.create(model="m", input=[*compacted.output, user], store=False)

management = [{"type": "compaction", "compact_threshold": 1}]
request = {"model": "m", "previous_response_id": first.id, "input": "Go on.", "context_management": management}
with client.responses.stream(**request) as stream:
    events = [event.type for event in stream]
    final = stream.get_final_response()

try:
    client.responses.create(model="m", input=[{"type": "compaction", "encrypted_content": "forged"}])
    refusal = None
except BadRequestError as error:
    refusal = [error.code, error.param]

print(
    json.dumps(
        {
            "count": [count.object, count.input_tokens > 0],
            "compacted": [compacted.object, [item.type for item in compacted.output], compacted.usage.total_tokens > 0],
            "following": following.output_text,
            "compacting": events.count("response.compaction.compacting"),
            "final": [item.type for item in final.output],
            "refusal": refusal,
        }
    )
)
