"""OpenAI's SDK for Python: runs a loop of tools in the way that is named, and prints the last answer.

Usage: openai_loop.py <way> <base URL> <prompt> <tools as JSON>
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import Event, Thread

from openai import OpenAI
from openai.lib.responses_websocket import (
    ResponsesWebSocketAccumulator,
    ResponsesWebSocketLimits,
    ResponsesWebSocketSession,
)
from toolbox import run_tool

way, base_url, prompt, tools_text = sys.argv[1:]
client = OpenAI(api_key="any", base_url=base_url, max_retries=0)
settings = {
    "model": "local-model",
    "instructions": "You write logs.",
    "tools": [{"type": "function", "strict": False, **tool} for tool in json.loads(tools_text)],
}


def run_loop(take, task=prompt):
    """`take` gets what is new and the response before, and gives the next one."""
    previous = None
    fresh = [{"role": "user", "content": task}]
    while fresh:
        previous = take(fresh, previous)
        assert previous.status == "completed", previous
        fresh = [
            {
                "type": "function_call_output",
                "call_id": item.call_id,
                "output": run_tool(item.name, item.arguments),
            }
            for item in previous.output
            if item.type == "function_call"
        ]
    return previous.output_text


def after(previous):
    return {"previous_response_id": previous.id} if previous else {}


def create(fresh, previous):
    return client.responses.create(**settings, input=fresh, **after(previous))


def strict_stream(fresh, previous):
    with client.responses.stream(**settings, input=fresh, **after(previous)) as stream:
        return stream.get_final_response()


def whole_history():
    history = []

    def take(fresh, previous):
        history.extend(item.to_dict() for item in (previous.output if previous else []))
        history.extend(fresh)
        return client.responses.create(**settings, input=history, store=False)

    return take


def turn(connection, next_event=None, **request):
    """The response of a turn, or the code of the error that refused it. The accumulator is the SDK's strictest reader."""
    connection.response.create(**settings, **request)
    accumulator = ResponsesWebSocketAccumulator()
    while True:
        event = (next_event or connection.recv)()
        if event.type == "error":
            return event.error.code
        accumulator.add_event(event)
        if event.type in ("response.completed", "response.failed", "response.incomplete"):
            return accumulator.get_final_response()


def over_socket(store):
    with client.responses.connect() as connection:
        return run_loop(lambda fresh, previous: turn(connection, store=store, input=fresh, **after(previous)))


def over_lanes():
    limits = ResponsesWebSocketLimits(
        max_lanes=8,
        max_events_per_lane=1000,
        max_events=8000,
        max_bytes_per_lane=1 << 24,
        max_bytes=1 << 26,
    )
    with client.responses.connect() as connection, ResponsesWebSocketSession(connection, limits=limits) as session:

        def run(name):
            lane = session.lane(name)

            def take(fresh, previous):
                request = {"type": "response.create", **settings, "store": False, "input": fresh, **after(previous)}
                lane.send(request)
                return lane.get_final_response()

            return run_loop(take, f"[task:{name}] Go.")

        names = [f"lane-{index}" for index in range(7)]
        with ThreadPoolExecutor(len(names)) as pool:
            return " ".join(pool.map(run, names))


def restarted(store):
    """Before its second turn it says so, and waits until the server is another one. The SDK reconnects where it reads."""
    history = []
    events = Queue()
    is_reconnecting = Event()
    with client.responses.connect(
        on_reconnecting=lambda event: is_reconnecting.set(), max_retries=1000, initial_delay=0.01, max_delay=0.05
    ) as connection:

        def read():
            for event in connection:
                events.put(event)

        Thread(target=read, daemon=True).start()

        def take(fresh, previous):
            history.extend(item.to_dict() for item in (previous.output if previous else []))
            is_second = previous and len(history) == 4
            history.extend(fresh)
            if is_second:
                print("waiting", flush=True)
                sys.stdin.readline()
                # From then on what is sent waits for the new connection.
                is_reconnecting.wait()
            response = turn(connection, events.get, store=store, input=fresh, **after(previous))
            if response == "previous_response_not_found":
                assert not store
                response = turn(connection, events.get, store=store, input=history)
            return response

        return run_loop(take)


ways = {
    "create": lambda: run_loop(create),
    "history": lambda: run_loop(whole_history()),
    "stream": lambda: run_loop(strict_stream),
    "socket": lambda: over_socket(False),
    "socket-stored": lambda: over_socket(True),
    "lanes": over_lanes,
    "restart": lambda: restarted(False),
    "restart-stored": lambda: restarted(True),
}
print(json.dumps({"answer": ways[way]()}, ensure_ascii=False))
