"""Ids of generated prompts."""

from __future__ import annotations


def prompt_id(skill: str, index: int) -> str:
    """`skill-00042`: unique over the skills of a run, and the same in every run, as sample seeds derive from it."""
    return f"{skill or 'prompt'}-{index:05d}"
