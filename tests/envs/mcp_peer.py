"""A small MCP server, written with the official SDK: a program for the tests of ``McpServer``.

``python mcp_peer.py`` speaks stdio; ``python mcp_peer.py PORT`` speaks HTTP and wants the header ``x-key: secret``.
"""

import os
import sys
import time
from typing import Any

from mcp.server import MCPServer
from mcp.types import ImageContent, TextContent, ToolAnnotations

server = MCPServer("peer")
notes: list[str] = []


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def list_notes() -> list[str]:
    """Lists the notes."""
    return notes


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def set_note(text: str) -> str:
    """Replaces all notes."""
    notes[:] = [text]
    return f"noted: {text}"


@server.tool()
def sleep(seconds: float) -> str:
    """Takes a while."""
    time.sleep(seconds)
    return "awake"


@server.tool()
def die() -> str:
    """Ends the server in the middle of the call."""
    print("I was told to die", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool(structured_output=False)
def picture() -> list[Any]:
    """Returns a picture and a word."""
    return [
        TextContent(type="text", text="see:"),
        ImageContent(type="image", data="QUJDRA==", mime_type="image/png"),
    ]


@server.tool()
def surroundings() -> dict[str, str]:
    """Returns the environment variables."""
    return dict(os.environ)


def main() -> None:
    if len(sys.argv) == 1:
        server.run()
        return
    import uvicorn
    from starlette.responses import PlainTextResponse

    app = server.streamable_http_app()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (b"x-key", b"secret") not in scope["headers"]:
            await PlainTextResponse("no key", status_code=401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    uvicorn.run(guarded, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
