#!/usr/bin/python3
"""A TCP proxy whose connections can be cut, refused and slowed while it runs.

    proxy.py FRONT:BACK [FRONT:BACK …]        ports of loopback

One JSON object a line on stdin changes it, the answer is one line on stdout:

    {"refuse": [FRONT, …]}     close what is open on these ports and accept nothing there
    {"cut": [FRONT, …]}        close what is open on these ports, once
    {"delay_ms": 80}           hold back every piece of data this long, in both directions
    {}                         only answer: {"connections": open now, "bytes": forwarded, "cut": closed so far}

It ends when stdin closes.
"""

import asyncio
import contextlib
import json
import sys

PIECE = 65536


class Proxy:
    """Forwards; its settings are plain attributes, everything runs in one event loop."""

    def __init__(self, routes):
        self._routes = routes
        self._open = {front: set() for front in routes}
        self._refused = set()
        self._delay_s = 0.0
        self._bytes = self._cut = 0

    async def run(self):
        servers = [await asyncio.start_server(lambda r, w, front=front: self._serve(front, r, w), "127.0.0.1", front)
                   for front in self._routes]
        print(json.dumps({"ready": True}), flush=True)
        commands = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := await commands.readline():
            self._change(json.loads(line))
            print(json.dumps({"connections": sum(map(len, self._open.values())), "bytes": self._bytes,
                              "cut": self._cut}), flush=True)
        for server in servers:
            server.close()

    def _change(self, command):
        if "refuse" in command:
            self._refused = set(command["refuse"])
            self._close(self._refused)
        self._close(command.get("cut", ()))
        if "delay_ms" in command:
            self._delay_s = command["delay_ms"] / 1000

    def _close(self, fronts):
        for front in fronts:
            for writer in list(self._open[front]):
                writer.transport.abort()  # a reset, whatever is still unsent
            self._cut += len(self._open[front]) // 2

    async def _serve(self, front, reader, writer):
        if front in self._refused:
            writer.transport.abort()
            return
        try:
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._routes[front])
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back_writer}
        self._open[front] |= ends
        try:
            await asyncio.gather(self._pump(reader, back_writer), self._pump(back_reader, writer))
        finally:
            self._open[front] -= ends
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                self._bytes += len(piece)
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()


def main():
    routes = dict(map(int, route.split(":")) for route in sys.argv[1:])
    asyncio.run(Proxy(routes).run())


if __name__ == "__main__":
    main()
