"""The bundled prompt sources."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.records import PromptSourceRecord
from selma_plugins.prompts.options import (
    BenchmarkPromptsOptions,
    GrammarOptions,
    LlmSkillsOptions,
    PromptFileOptions,
)


@hookimpl
def selma_prompt_sources() -> Iterator[PromptSourceRecord]:
    """Yields `llm_skills`, `prompt_file`, `grammar`, `benchmark_prompts`."""
    yield PromptSourceRecord(
        name="llm_skills",
        summary="a chat model expands a skill's seed prompts; near copies are rejected by ROUGE-L",
        factory="selma_plugins.prompts.llm_skills:LlmSkills",
        options=LlmSkillsOptions,
        revision=2,  # prompts carry their skill's `flip`
        reference="SELMA, arXiv 2403.06952, section 3.1",
    )
    yield PromptSourceRecord(
        name="prompt_file",
        summary="prompts from a JSON, JSONL, CSV or TXT file",
        factory="selma_plugins.prompts.prompt_file:PromptFile",
        options=PromptFileOptions,
    )
    yield PromptSourceRecord(
        name="grammar",
        summary="prompts of the bundled shapes world, written by its grammar",
        factory="selma_plugins.prompts.grammar:Grammar",
        options=GrammarOptions,
    )
    yield PromptSourceRecord(
        name="benchmark_prompts",
        summary="the prompts of a benchmark, all or a fixed stratified subset",
        factory="selma_plugins.prompts.benchmark:BenchmarkPrompts",
        options=BenchmarkPromptsOptions,
    )
