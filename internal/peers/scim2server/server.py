"""scim2-server's ASGI application over its own in-memory storage, under uvicorn.

No authentication, nothing persisted, one process. uvicorn rather than the
library's command, whose server closes the connection after each answer. It
listens on a free port of the loopback, prints it as "port N", and ends with
its standard input.
"""

import asyncio
import os
import socket
import sys
import threading

import uvicorn
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage
from scim2_server.utils import load_default_provider


def end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


app = ASGIApplication(AsyncInMemoryStorage(), load_default_provider())
# asyncio switches Nagle's algorithm off only where the protocol is named; with
# it each answer would wait for the client's delayed acknowledgement.
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen(1024)
threading.Thread(target=end_with_stdin, daemon=True).start()
print(f"port {listener.getsockname()[1]}", flush=True)
config = uvicorn.Config(
    app, http="httptools", loop="asyncio", access_log=False, log_level="warning", timeout_keep_alive=600
)
asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
