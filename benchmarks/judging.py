"""Is judging limited by the server? `python benchmarks/judging.py [questions] [concurrency] [latency] [side]`.

Asks a fake server on loopback that answers each question after `latency` seconds, `concurrency` at once, about PNG
images of `side` pixels, as many questions per image as DSG-1k has on average; prints our time over the server's ideal
time, `questions * latency / concurrency`, and how long the process computed per question, which is what bounds the rate
when the server does not. The server is a process of its own, so that it does not share our interpreter; both need a
core for themselves.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image
from selma_plugins.chat.openai_chat import OpenAIChat
from selma_plugins.chat.options import OpenAIOptions

from selma_core.data import ChatRequest, Message

QUESTIONS, CONCURRENCY, LATENCY, SIDE = 8182, 64, 1.0, 512
PER_IMAGE = 8
ANSWER = (
    b'{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop", "logprobs": {"content": [{"token": "yes", '
    b'"logprob": -0.1, "top_logprobs": [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]}]}}]}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


async def answer(latency: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers the requests of one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            await asyncio.sleep(latency)
            writer.write(HEAD + ANSWER)
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


def serve(pipe: Connection, latency: float) -> None:
    """Runs the server; sends its port."""

    async def main() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: answer(latency, reader, writer), "127.0.0.1", 0, limit=2**24, backlog=256
        )
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def requests(folder: Path, count: int, side: int) -> list[ChatRequest]:
    """Questions, those on one image together; the images compress to about the size of a drawn picture."""
    draw, found = np.random.default_rng(0), []
    for index in range(count):
        path = folder / f"{index // PER_IMAGE % 40}.png"
        if not path.exists():
            small = draw.integers(0, 256, (side // 6, side // 6, 3), dtype=np.uint8)
            Image.fromarray(small).resize((side, side), Image.Resampling.BILINEAR).save(path)
        text = f"Is there a thing, number {index}?\nAnswer only yes or no."
        found.append(ChatRequest(messages=(Message.user(path, text),), max_tokens=8, choices=("yes", "no")))
    return found


def main(count: int, concurrency: int, latency: float, side: int) -> None:
    """Prints one line."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs, latency), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    judge = OpenAIChat(OpenAIOptions(model="fake", base_url=url, concurrency=concurrency))
    with tempfile.TemporaryDirectory() as folder:
        asked = requests(Path(folder), count, side)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / len(list(Path(folder).iterdir()))
        start, busy = time.perf_counter(), time.process_time()
        replies = judge.reply(asked)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
    server.terminate()
    assert all(reply.text == "yes" and reply.choice_logprobs for reply in replies), "some questions got no answer"
    ideal = count * latency / concurrency
    print(
        f"{count} questions, images of {size / 1000:.0f} kB, {concurrency} at once, {latency:g} s each: "
        f"{seconds:.1f} s, the server's ideal is {ideal:.1f} s, ratio {seconds / ideal:.2f}; "
        f"we computed {1000 * busy / count:.2f} ms per question"
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else QUESTIONS,
        int(given[1]) if len(given) > 1 else CONCURRENCY,
        float(given[2]) if len(given) > 2 else LATENCY,
        int(given[3]) if len(given) > 3 else SIDE,
    )
