"""The bundled recipe that writes its prompts with a language model, and names as a user mistypes them."""

from __future__ import annotations

from typing import Any

import pytest

from selma_core.catalog import Catalog
from selma_core.config import bind_options, expanded_options, load_recipe
from selma_core.errors import ConfigErrors
from selma_core.registry import Registry


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.discover()


@pytest.fixture(scope="module")
def registry(catalog: Catalog) -> Registry:
    return Registry(catalog.registry_sources())


def bind(catalog: Catalog, registry: Registry, use: str, options: dict[str, Any]) -> Any:
    offer = catalog.find("prompt_source", use)
    bound = bind_options(offer, options, path="stages.prompts.options", origins={}, catalog=catalog, registry=registry)
    return bound, expanded_options(offer, bound, catalog=catalog, registry=registry)


def test_shapes_llm_differs_from_shapes_in_its_prompts_only(registry: Registry) -> None:
    plain, llm = (load_recipe(name, registry=registry).data for name in ("shapes", "shapes_llm"))
    assert {name: slot for name, slot in plain["stages"].items() if name != "prompts"} == {
        name: slot for name, slot in llm["stages"].items() if name != "prompts"
    }
    assert llm["stages"]["prompts"]["use"] == "llm_skills"
    assert llm["axes"] == plain["axes"]


@pytest.mark.parametrize("skill", ["paragraph", "count", "real_user", "counterfactual", "general"])
def test_the_options_of_shapes_llm_bind_and_are_pinned(catalog: Catalog, registry: Registry, skill: str) -> None:
    options = dict(load_recipe("shapes_llm", registry=registry).data["stages"]["prompts"]["options"])
    options["skill"] = options["skill"].replace("{skill}", skill)
    bound, pinned = bind(catalog, registry, "llm_skills", options)
    assert bound.skill == f"shapes_{skill}"
    assert bound.within.use == "grammar"
    assert pinned["chat"]["plugin"] == "llama_cpp"
    assert pinned["chat"]["options"]["model"]["pin"]
    assert len(pinned["decontaminate"]) == 2
    assert "give_up" not in pinned


def test_defect_14_an_unknown_skill_is_refused_before_anything_runs(catalog: Catalog, registry: Registry) -> None:
    with pytest.raises(ConfigErrors, match=r"stages\.prompts\.options\.skill: .*'Whoops'.*known: .*counterfactual"):
        bind(catalog, registry, "llm_skills", {"skill": "Whoops"})
    with pytest.raises(ConfigErrors, match="did you mean 'real_user'"):
        bind(catalog, registry, "llm_skills", {"skill": "real_users"})


def test_a_secret_in_the_options_is_refused(catalog: Catalog, registry: Registry) -> None:
    chat = {"use": "openai", "options": {"model": "m", "base_url": "http://me:secret@host/v1"}}
    with pytest.raises(ConfigErrors, match="must hold no user, password or query"):
        bind(catalog, registry, "llm_skills", {"skill": "count", "chat": chat})


def test_the_key_of_a_server_is_in_no_fingerprint(
    catalog: Catalog, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    chat = {"use": "openai", "options": {"model": "m", "api_key_env": "OPENAI_API_KEY"}}
    bound, pinned = bind(catalog, registry, "llm_skills", {"skill": "count", "chat": chat})
    assert "secret" not in f"{bound} {pinned}"
    assert "OPENAI_API_KEY" not in str(pinned)
    assert set(pinned["chat"]["options"]) == {"model", "base_url", "mode", "top_p", "constrain", "extra"}


def test_a_file_is_pinned_by_its_content(catalog: Catalog, registry: Registry, tmp_path: Any) -> None:
    first, copy, other = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    for path, text in ((first, "a cat\n"), (copy, "a cat\n"), (other, "a dog\n")):
        path.write_text(text)
    pins = [bind(catalog, registry, "prompt_file", {"path": str(path)})[1] for path in (first, copy, other)]
    assert pins[0] == pins[1] != pins[2]
