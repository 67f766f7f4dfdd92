"""A chat model behind a server that speaks the OpenAI protocol."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from queue import SimpleQueue
from ssl import SSLContext
from typing import Any, NoReturn

import httpx

from selma_core.data import ChatReply, ChatRequest
from selma_core.errors import UserError, did_you_mean
from selma_plugins.chat.options import OPENAI_URL, OpenAIOptions
from selma_plugins.chat.retry import RETRY_STATUSES, TransientError, retrying, seconds_asked
from selma_plugins.chat.wire import PATHS, content, error_line, parse

_NO_SUCH_MODEL = frozenset({"model_not_found", "invalid_model", "NotFoundError"})
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class OpenAIChat:
    """Sends up to `concurrency` requests at once and keeps their order.

    A call that still fails after `attempts` tries is a `ChatReply` with `error`. The key is read from the environment
    for each call and is kept in no attribute.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options

    def __repr__(self) -> str:
        return f"OpenAIChat({self.identity})"

    @property
    def identity(self) -> str:
        """`openai:MODEL`, with the host when it is not OpenAI's."""
        host = "" if self._options.base_url == OPENAI_URL else f"@{httpx.URL(self._options.base_url).host}"
        return f"openai:{self._options.model}{host}"

    def reply(self, requests: Sequence[ChatRequest]) -> list[ChatReply]:
        """One reply per request, in order.

        Raises:
            UserError: no key, a refused key, a model or address that the server does not know.
        """
        if not requests:
            return []
        headers = self._headers()
        workers = min(self._options.concurrency, len(requests))
        timeout = httpx.Timeout(self._options.timeout, connect=min(10.0, self._options.timeout))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="selma-openai")
        # A client each: one for all looks through all of its connections at every request.
        with ExitStack() as stack:
            clients: SimpleQueue[httpx.Client] = SimpleQueue()
            for _ in range(workers):
                client = httpx.Client(headers=headers, timeout=timeout, verify=_certificates())
                clients.put(stack.enter_context(client))
            try:
                return list(pool.map(lambda request: self._with_client(clients, request), requests))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _with_client(self, clients: SimpleQueue[httpx.Client], request: ChatRequest) -> ChatReply:
        client = clients.get()
        try:
            return self._one(client, request)
        finally:
            clients.put(client)

    def _one(self, client: httpx.Client, request: ChatRequest) -> ChatReply:
        options = self._options
        try:
            sent = content(request, options)
        except ValueError as error:
            return ChatReply(error=f"{self.identity}: {error}")
        attempt = retrying(options.attempts, options.backoff, options.max_wait)
        try:
            reply: ChatReply = attempt(self._post, client, request, sent)
        except TransientError as error:
            return ChatReply(error=self._scrub(f"{self.identity}: {error} ({options.attempts} tries)"))
        return reply

    def _post(self, client: httpx.Client, request: ChatRequest, sent: bytes) -> ChatReply:
        url = self._options.base_url.rstrip("/") + PATHS[self._options.mode]
        try:
            response = client.post(url, content=sent)
        except httpx.TimeoutException:
            raise TransientError(f"no answer within {self._options.timeout:g} s") from None
        except httpx.TransportError as error:
            raise TransientError(f"connection failed: {error or type(error).__name__}") from None
        if response.status_code != httpx.codes.OK:
            return self._refused(client, response)
        try:
            return parse(response.json(), request)
        except ValueError as error:  # also JSONDecodeError
            raise TransientError(f"unreadable answer: {error}") from None

    def _refused(self, client: httpx.Client, response: httpx.Response) -> ChatReply:
        status, (code, message) = response.status_code, error_line(_json_or_text(response))
        if status in (401, 403):
            self._stop(f"refused the key in {self._options.api_key_env} ({status}: {message})")
        if status == httpx.codes.NOT_FOUND or code in _NO_SUCH_MODEL:
            self._stop(f"does not know the model '{self._options.model}' ({status}: {message})" + self._others(client))
        if code in _NO_MONEY:
            self._stop(f"has no quota left ({status}: {message})")
        if status in RETRY_STATUSES:
            raise TransientError(f"{status} {message}".strip(), seconds_asked(response.headers.get("retry-after")))
        return ChatReply(error=self._scrub(f"{self.identity}: {status} {message}".strip()))

    def _stop(self, line: str) -> NoReturn:
        raise UserError(self._scrub(f"openai: the server {self._options.base_url} {line}"))

    def _others(self, client: httpx.Client) -> str:
        """The nearest model the server has, when it says which it has."""
        try:
            rows = client.get(self._options.base_url.rstrip("/") + "/models").json()["data"]
            names = [str(row["id"]) for row in rows]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return "; check options model and base_url"
        return f"; {did_you_mean(self._options.model, names)}"

    def _headers(self) -> dict[str, str]:
        for _, line in self._options.needs():
            raise UserError(f"openai: {line}")
        key = self._options.key()
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def _scrub(self, line: str) -> str:
        key = self._options.key()
        return line.replace(key, "***") if key else line


def _json_or_text(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


@lru_cache(maxsize=1)
def _certificates() -> SSLContext:
    """Reading them takes longer than a question."""
    return httpx.create_ssl_context()
