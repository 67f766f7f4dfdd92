"""When to try a failed call again, and how long to wait before."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class TransientError(Exception):
    """A failure that may pass. Attributes: retry_after = seconds that the server asked for, or None."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def seconds_asked(header: str | None) -> float | None:
    """Seconds in a Retry-After header: a number or an HTTP date; None when absent or unreadable."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return max(0.0, (when - datetime.now(when.tzinfo or UTC)).total_seconds()) if when.tzinfo else None


class Wait(tenacity.wait.wait_base):
    """Doubling pauses with random jitter; what the server asks for is the least. Never above `longest` seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._grow = tenacity.wait_random_exponential(multiplier=first, max=longest)
        self._first, self._longest = first, longest

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Seconds before the next try."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = getattr(error, "retry_after", None) or 0.0
        grown = self._first / 2 + self._grow(retry_state) if self._first else 0.0
        return min(max(asked, grown), self._longest)


def retrying(attempts: int, first: float, longest: float) -> tenacity.Retrying:
    """Tries a call up to `attempts` times while it raises `TransientError`; the last one is raised."""
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=Wait(first, longest),
        retry=tenacity.retry_if_exception_type(TransientError),
        sleep=time.sleep,
        reraise=True,
    )
