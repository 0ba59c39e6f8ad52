"""The tools of the task, which leave something on disk in the folder where the program runs."""

import json


def run_tool(name: str, arguments: str) -> str:
    given = json.loads(arguments)
    if name == "read":
        with open(given["file"], encoding="utf-8") as file:
            return file.read()
    with open(given["file"], "a", encoding="utf-8") as file:
        file.write(given["line"] + "\n")
    return "appended"
