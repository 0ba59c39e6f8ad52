"""OpenAI's Agents SDK for Python: runs loops of tools, and prints the last answer of each.

Usage: agents_loop.py <tools as JSON>, with one order a line: {transport, way, base_url, prompt, folder}. The SDK takes
seconds to load, so that one process does all of them.
"""

import asyncio
import json
import os
import sys

from agents import (
    Agent,
    FunctionTool,
    OpenAIProvider,
    RunConfig,
    Runner,
    set_tracing_disabled,
)
from toolbox import run_tool

set_tracing_disabled(True)


def tool_of(declared):
    async def invoke(_context, arguments):
        return run_tool(declared["name"], arguments)

    return FunctionTool(
        name=declared["name"],
        description=declared["description"],
        params_json_schema=declared["parameters"],
        on_invoke_tool=invoke,
    )


async def run(tools, transport, way, base_url, prompt, folder):
    os.chdir(folder)
    provider = OpenAIProvider(
        api_key="any",
        base_url=base_url,
        use_responses=True,
        use_responses_websocket=transport == "websocket",
    )
    agent = Agent(
        name="Writer",
        model="local-model",
        instructions="You write logs.",
        tools=[tool_of(tool) for tool in tools],
    )
    config = RunConfig(model_provider=provider, tracing_disabled=True)
    if way == "stream":
        streamed = Runner.run_streamed(agent, prompt, run_config=config)
        async for _event in streamed.stream_events():
            pass
        answer = streamed.final_output
    else:
        previous = None
        if way == "chained":
            hello = await Runner.run(agent, "[task:hello] Hello?", run_config=config)
            previous = hello.last_response_id
        result = await Runner.run(agent, prompt, run_config=config, previous_response_id=previous)
        answer = result.final_output
    await provider.aclose()
    return answer


async def main():
    tools = json.loads(sys.argv[1])
    while line := await asyncio.to_thread(sys.stdin.readline):
        answer = await run(tools, **json.loads(line))
        print(json.dumps({"answer": answer}, ensure_ascii=False), flush=True)


asyncio.run(main())
