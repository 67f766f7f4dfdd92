"""Plain values without secrets: what reports and trackers may show of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_SECRET = re.compile(r"(^|_)(key|token|secret|password)$")
_LOGIN = re.compile(r"(?<=://)[^/?#\s@]+@")


def without_secrets(value: Any, key: str = "") -> Any:
    """A copy in plain types: texts under a name such as `api_key` or `password` become `***`, and so do logins in URLs.

    Args:
        value: mappings and lists of anything; what JSON has no type for becomes its text.
        key: the name that it stands under.
    """
    if isinstance(value, Mapping):
        return {str(name): without_secrets(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item, key) for item in value]
    if value is None or isinstance(value, int | float | bool):
        return value
    text = str(value)
    return HIDDEN if text and _SECRET.search(key.lower()) else _LOGIN.sub(f"{HIDDEN}@", text)
