"""The adapter network, and what is wrong with the released one (attention, dropout, start, unused layers, padding)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from selma_plugins.sur.network import SurNetwork, fresh

from selma_core.errors import UserError

WIDTH, LENGTH = 32, 6


def awake(seed: int = 0, **settings: object) -> SurNetwork:
    """A network whose last layer is not zero, so that it does something."""
    net = fresh(seed, WIDTH, **settings)
    with torch.no_grad():
        net.fc.weight.copy_(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(seed)) / 4)
    return net


def embedding(seed: int, batch: int) -> torch.Tensor:
    return torch.randn(batch, LENGTH, WIDTH, generator=torch.Generator().manual_seed(seed))


def test_sizes_are_those_of_the_released_adapter_without_its_unused_layers() -> None:
    net = fresh(0, 768)
    count = sum(p.numel() for p in net.parameters())
    assert count == 13_980_928
    layer = sum(p.numel() for p in net.layers[0].parameters())
    value = sum(p.numel() for p in net.query.parameters())
    assert (layer, value) == (5_513_984, 590_592)
    assert count + layer + value == 20_085_504  # the template layer and the value layer of the released file


@given(seed=st.integers(0, 99), batch=st.integers(2, 4))
def test_no_prompt_depends_on_its_batch(seed: int, batch: int) -> None:
    net, x = awake(seed), embedding(seed, batch)
    out = net(x).out
    single = torch.cat([net(x[i : i + 1]).out for i in range(batch)])
    assert torch.allclose(out, single, atol=1e-5)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(net(x[order]).out, out[order], atol=1e-5)


def test_a_token_moves_the_others_of_its_prompt_and_none_of_another() -> None:
    net, x = awake(), embedding(1, 2)
    changed = x.clone()
    changed[0, 4] += 1
    moved = (net(changed).inner - net(x).inner).abs().amax(-1) > 1e-6
    assert moved[0].all()
    assert not moved[1].any()


def test_legacy_attention_runs_over_the_batch() -> None:
    net, x = awake(legacy=True, residual="convex"), embedding(1, 2)
    changed = x.clone()
    changed[0, 4] += 1
    moved = (net(changed).inner - net(x).inner).abs().amax(-1) > 1e-6
    assert moved.nonzero().tolist() == [[0, 4], [1, 4]]


@given(seed=st.integers(0, 99), eta=st.floats(0, 1))
def test_a_fresh_adapter_changes_nothing_or_shrinks(seed: int, eta: float) -> None:
    x = embedding(seed, 2)
    assert torch.equal(fresh(seed, WIDTH, eta=eta)(x).out, x)
    assert torch.allclose(fresh(seed, WIDTH, eta=eta, residual="convex")(x).out, (1 - eta) * x)


def test_a_fresh_legacy_adapter_adds_its_bias() -> None:
    x = embedding(0, 2)
    net = fresh(0, WIDTH, residual="convex", legacy=True)
    assert torch.allclose(net(x).out, 0.9 * x + 0.1 * net.fc.bias)
    assert net.fc.bias.abs().sum() > 0


def test_two_passes_are_equal_until_dropout_is_asked_for() -> None:
    net, x = awake(), embedding(0, 2)
    assert torch.equal(net(x).out, net(x).out)
    net.train()
    assert not torch.equal(net(x).out, net(x).out)


def test_every_weight_gets_a_gradient() -> None:
    net = awake()
    found = net(embedding(0, 2))
    (found.out.square().sum() + found.inner[..., 0].sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_padding_is_neither_read_nor_changed_under_a_mask() -> None:
    net, x = awake(), embedding(0, 2)
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * LENGTH])
    other = x.clone()
    other[0, 4:] += 1
    assert torch.allclose(net(other, mask).out[0, :4], net(x, mask).out[0, :4], atol=1e-6)
    assert torch.equal(net(x, mask).out[0, 4:], x[0, 4:])
    assert torch.allclose(net(x, torch.ones_like(mask)).out, net(x).out, atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(UserError, match="heads: 5 does not divide the text encoder's width 32"):
        SurNetwork(32, heads=5)


def test_equal_seeds_give_equal_networks() -> None:
    first, second, third = (fresh(seed, WIDTH).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)
