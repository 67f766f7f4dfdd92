"""Every sample has its own seed, so that batch size, executor and resume change nothing."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) from any parts: first 63 bits of sha256 over their length-prefixed texts."""
    digest = hashlib.sha256()
    for part in parts:
        text = str(part).encode()
        digest.update(f"{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def sample_seed(run_seed: int, prompt_id: str, k: int) -> int:
    """The seed of sample `k` of a prompt: equal for every variant, so that comparisons are paired."""
    return derive_seed("sample", run_seed, prompt_id, k)
