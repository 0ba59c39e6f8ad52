"""Frameworks of others, each in front of the Responses API: runs a loop of tools, and prints the last answer.

Usage: framework_loop.py <framework> <base URL> <prompt> <tools as JSON>
"""

import asyncio
import json
import sys

from toolbox import run_tool

framework, base_url, prompt, tools_text = sys.argv[1:]
TOOLS = json.loads(tools_text)
INSTRUCTIONS = "You write logs."
MODEL = "local-model"


def append(file: str, line: str) -> str:
    """Appends a line to a file."""
    return run_tool("append", json.dumps({"file": file, "line": line}))


def read(file: str) -> str:
    """Reads a file."""
    return run_tool("read", json.dumps({"file": file}))


FUNCTIONS = {"append": append, "read": read}


async def pydantic_ai(chained):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=base_url, api_key="any"))
    settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto") if chained else None
    agent = Agent(model, instructions=INSTRUCTIONS, tools=[append, read], model_settings=settings)
    return (await agent.run(prompt)).output


async def haystack(_chained):
    from haystack.components.generators.chat import OpenAIResponsesChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.tools import Tool
    from haystack.utils import Secret

    tools = [Tool(**tool, function=FUNCTIONS[tool["name"]]) for tool in TOOLS]
    generator = OpenAIResponsesChatGenerator(
        api_key=Secret.from_token("any"), model=MODEL, api_base_url=base_url, tools=tools
    )
    messages = [ChatMessage.from_system(INSTRUCTIONS), ChatMessage.from_user(prompt)]
    while True:
        reply = generator.run(messages)["replies"][0]
        messages.append(reply)
        if not reply.tool_calls:
            return reply.text
        for call in reply.tool_calls:
            output = FUNCTIONS[call.tool_name](**call.arguments)
            messages.append(ChatMessage.from_tool(output, origin=call))


async def livekit(use_websocket):
    from livekit.agents import llm, utils
    from livekit.plugins import openai

    tools = [llm.function_tool(function) for function in FUNCTIONS.values()]
    # Over a WebSocket its URL is the whole one.
    url = f"{base_url}/responses" if use_websocket else base_url
    model = openai.responses.LLM(model=MODEL, api_key="any", base_url=url, use_websocket=use_websocket)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=INSTRUCTIONS)
    context.add_message(role="user", content=prompt)
    async with utils.http_context.open():
        while True:
            response = await model.chat(chat_ctx=context, tools=tools).collect()
            if not response.tool_calls:
                await model.aclose()
                return response.text
            calls = [
                llm.FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments)
                for call in response.tool_calls
            ]
            outputs = [
                llm.FunctionCallOutput(
                    call_id=call.call_id, name=call.name, output=run_tool(call.name, call.arguments), is_error=False
                )
                for call in calls
            ]
            context.insert([*calls, *outputs])


async def semantic_kernel(_chained):
    from openai import AsyncOpenAI
    from semantic_kernel.agents import OpenAIResponsesAgent
    from semantic_kernel.functions import kernel_function

    class Files:
        append = staticmethod(kernel_function(name="append", description="Appends a line to a file.")(append))
        read = staticmethod(kernel_function(name="read", description="Reads a file.")(read))

    agent = OpenAIResponsesAgent(
        ai_model_id=MODEL,
        client=AsyncOpenAI(base_url=base_url, api_key="any"),
        instructions=INSTRUCTIONS,
        name="Writer",
        plugins=[Files()],
        # Otherwise it sends everything again beside `previous_response_id`, the prompt included.
        store_enabled=False,
    )
    return str((await agent.get_response(messages=prompt)).message)


async def llama_index(chained):
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai import OpenAIResponses

    tools = [FunctionTool.from_defaults(function) for function in FUNCTIONS.values()]
    model = OpenAIResponses(
        model=MODEL,
        api_key="any",
        api_base=base_url,
        instructions=INSTRUCTIONS,
        track_previous_responses=chained,
        context_window=100_000,
    )
    messages = [ChatMessage(role="user", content=prompt)]
    while True:
        response = await model.achat_with_tools(tools, chat_history=messages, allow_parallel_tool_calls=True)
        messages.append(response.message)
        calls = model.get_tool_calls_from_response(response, error_on_no_tool_call=False)
        if not calls:
            return response.message.content
        for call in calls:
            output = FUNCTIONS[call.tool_name](**call.tool_kwargs)
            messages.append(
                ChatMessage(role="tool", content=output, additional_kwargs={"tool_call_id": call.tool_id})
            )


async def strands(stateful):
    import strands as library
    from strands.models.openai_responses import OpenAIResponsesModel
    from strands.tools.executors import SequentialToolExecutor

    model = OpenAIResponsesModel(
        client_args={"base_url": base_url, "api_key": "any"}, model_id=MODEL, stateful=stateful
    )
    agent = library.Agent(
        model=model,
        system_prompt=INSTRUCTIONS,
        tools=[library.tool(append), library.tool(read)],
        tool_executor=SequentialToolExecutor(),
        callback_handler=None,
    )
    return str(await agent.invoke_async(prompt)).strip()


WAYS = {
    "pydantic-ai": (pydantic_ai, False),
    "pydantic-ai, chained": (pydantic_ai, True),
    "haystack": (haystack, False),
    "LiveKit Agents over HTTP": (livekit, False),
    "LiveKit Agents over a WebSocket": (livekit, True),
    "semantic-kernel": (semantic_kernel, False),
    "llama-index": (llama_index, False),
    "llama-index, chained": (llama_index, True),
    "strands": (strands, False),
    "strands, stateful": (strands, True),
}

way, argument = WAYS[framework]
print(json.dumps({"answer": asyncio.run(way(argument))}, ensure_ascii=False))
