"""How long a failed call waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from selma_plugins.chat.retry import TransientError, Wait, seconds_asked


def state(attempt: int, error: Exception) -> Any:
    return SimpleNamespace(attempt_number=attempt, outcome=SimpleNamespace(exception=lambda: error))


def test_reads_numbers_dates_and_nothing() -> None:
    assert seconds_asked("2.5") == 2.5
    assert seconds_asked("-3") == 0
    assert seconds_asked(None) is None
    assert seconds_asked("soon") is None
    later = seconds_asked(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert later == pytest.approx(29, abs=2)


def test_pauses_double_with_jitter_up_to_the_longest() -> None:
    wait = Wait(1.0, 10.0)
    for attempt, most in ((1, 1.5), (2, 2.5), (3, 4.5), (9, 10.0)):
        seen = {wait(state(attempt, TransientError("x"))) for _ in range(50)}
        assert all(0.5 <= seconds <= most for seconds in seen)
        assert len(seen) > 10


def test_what_the_server_asks_for_is_the_least() -> None:
    assert Wait(0.1, 60)(state(1, TransientError("x", 7.0))) == 7.0
    assert Wait(0.1, 5)(state(1, TransientError("x", 7.0))) == 5.0
