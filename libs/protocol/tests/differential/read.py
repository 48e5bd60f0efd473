"""Reads an SSE byte stream from stdin with httpx-sse and writes one JSON line per dispatched event:
{"id", "event", "data", "retry"}.

    python read.py [CHUNK_BYTES] < stream     feeds the reader CHUNK_BYTES bytes at a time (default: all at once)

`id` is the last event id in force at that event ("" before the first), `event` defaults to "message", `retry` is
the last reconnection time seen (null before the first).

httpx-sse also yields blocks without data (a lone `id:` or `retry:`, or a comment once an id is in force), which
the standard says are not dispatched: they are left out here, after their id and retry took effect. It cannot tell
them from an event whose data is the empty string, so this reader drops those too.
"""

import json
import sys
from collections.abc import Iterator

import httpx
from httpx_sse import EventSource


class Chunks(httpx.SyncByteStream):
    """The bytes as a network would hand them over: a piece at a time, cut anywhere."""

    def __init__(self, content: bytes, chunk_bytes: int) -> None:
        self.content = content
        self.chunk_bytes = chunk_bytes

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.content), self.chunk_bytes):
            yield self.content[start : start + self.chunk_bytes]


def main() -> None:
    content = sys.stdin.buffer.read()
    chunk_bytes = int(sys.argv[1]) if len(sys.argv) > 1 else max(len(content), 1)
    if chunk_bytes < 1:
        raise SystemExit(f"CHUNK_BYTES must be a whole number from 1, got {sys.argv[1]!r}")
    headers = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, stream=Chunks(content, chunk_bytes))
    retry = None
    lines = []
    for event in EventSource(response).iter_sse():
        retry = event.retry if event.retry is not None else retry
        if event.data:
            fields = {"id": event.id, "event": event.event, "data": event.data, "retry": retry}
            lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    sys.stdout.buffer.write("".join(lines).encode())


if __name__ == "__main__":
    main()
