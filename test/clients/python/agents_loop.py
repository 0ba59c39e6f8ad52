"""OpenAI's Agents SDK for Python: runs a loop of tools in the way that is named, and prints the last answer.

Usage: agents_loop.py <websocket|http> <history|stream|chained> <base URL> <prompt> <tools as JSON>
"""

import asyncio
import json
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

transport, way, base_url, prompt, tools_text = sys.argv[1:]
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


async def main():
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
        tools=[tool_of(tool) for tool in json.loads(tools_text)],
    )
    config = RunConfig(model_provider=provider, tracing_disabled=True)
    if way == "stream":
        run = Runner.run_streamed(agent, prompt, run_config=config)
        async for _event in run.stream_events():
            pass
        answer = run.final_output
    elif way == "chained":
        hello = await Runner.run(agent, "[task:hello] Hello?", run_config=config)
        run = await Runner.run(
            agent, prompt, run_config=config, previous_response_id=hello.last_response_id
        )
        answer = run.final_output
    else:
        answer = (await Runner.run(agent, prompt, run_config=config)).final_output
    await provider.aclose()
    print(json.dumps({"answer": answer}, ensure_ascii=False))


asyncio.run(main())
