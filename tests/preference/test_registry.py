"""The registry's entries for these models: pinned, and found by the names that the options have as default."""

from __future__ import annotations

import pytest
from selma_plugins.preference.plugin import selma_evaluators

from selma_core.catalog import Catalog
from selma_core.registry import Registry

# Its commit is not known for certain: a folder that the user fills.
UNPINNED = {"denscore"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(Catalog.discover(select="data").registry_sources())


def test_every_default_model_is_an_entry_with_a_commit(registry: Registry) -> None:
    names = {"clip_vit_l14"}
    for record in selma_evaluators():
        options = record.options()
        names |= {name for name in (options.model, options.tokenizer) if name}
    assert len(names) == 9
    for name in names - UNPINNED:
        entry = registry.entry("models", name, need_files=False)
        (source,) = registry.sources("models", name)
        assert source.type == "hub"
        assert entry.data["license"]
        assert not any(pattern.endswith((".bin", ".pt")) for pattern in source.files)
        pickled = name in {"hpsv2", "hpsv21", "imagereward"}
        assert source.member.endswith(".pt") == pickled
    assert {registry.document("models", name).data["version"] for name in ("hpsv2", "hpsv21")} == {"2.0", "2.1"}


def test_a_model_without_a_known_commit_is_the_users_to_pin(registry: Registry) -> None:
    (source,) = registry.sources("models", "denscore")
    assert source.type == "folder"
    commit = "0123456789abcdef0123456789abcdef01234567"
    direct = registry.entry("models", f"hub:luping-liu/Denscore@{commit}", need_files=False)
    assert direct.pin == f"hub:luping-liu/Denscore@{commit}"
