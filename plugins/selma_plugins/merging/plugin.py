"""The bundled merge strategies."""

from __future__ import annotations

from collections.abc import Iterator

from selma_core import hookimpl
from selma_core.merging.options import MergeOptions
from selma_core.records import MergeStrategyRecord
from selma_plugins.merging.options import (
    BreadcrumbsOptions,
    CartOptions,
    CoreOptions,
    DellaOptions,
    DropOptions,
    InnerOptions,
    IsoOptions,
    ReleasedOptions,
    SparseOptions,
    SvdOptions,
    TiesOptions,
)


@hookimpl
def selma_merge_strategies() -> Iterator[MergeStrategyRecord]:
    """SELMA's merge in both readings, as its released code computes it, and what else merges LoRA deltas."""
    yield MergeStrategyRecord(
        name="linear",
        summary="weighted mean of the deltas B A, exact (SELMA's merge; task arithmetic)",
        factory="selma_plugins.merging.linear:Linear",
        options=MergeOptions,
        reference="arXiv 2403.06952, section 3.4; arXiv 2212.04089",
    )
    yield MergeStrategyRecord(
        name="param_mean",
        summary="weighted mean of A and of B apart; with cross terms between experts",
        factory="selma_plugins.merging.param_mean:ParamMean",
        options=MergeOptions,
        reference="arXiv 2307.13269 (LoraHub's composition)",
    )
    yield MergeStrategyRecord(
        name="selma_released",
        summary="linear with the weights of the released script: 1 / length of the model's id",
        factory="selma_plugins.merging.released:Released",
        options=ReleasedOptions,
        reference="jialuli-luka/SELMA inference/img_gen_merge.py",
    )
    yield from _low_rank()
    yield from _elementwise()


def _low_rank() -> Iterator[MergeStrategyRecord]:
    """Methods that work on the factors, or in small bases."""
    yield MergeStrategyRecord(
        name="cat",
        summary="B = [B_1 ... B_T], A = [w_1 A_1; ...; w_T A_T]: linear, written by concatenation",
        factory="selma_plugins.merging.cat:Cat",
        options=MergeOptions,
        reference="huggingface/peft add_weighted_adapter, combination_type cat",
    )
    yield MergeStrategyRecord(
        name="svd",
        summary="the best rank-k approximation of sum w_i D_i, from the factors",
        factory="selma_plugins.merging.svd:Svd",
        options=SvdOptions,
        revision=2,
        reference="Eckart & Young 1936; arXiv 0909.4061; kohya-ss/sd-scripts resize_lora (rules for k)",
    )
    yield MergeStrategyRecord(
        name="model_stock",
        summary="t sum w_i D_i, t = T c / (1 + (T-1) c) with c the mean cosine of the experts",
        factory="selma_plugins.merging.model_stock:ModelStock",
        options=MergeOptions,
        reference="arXiv 2403.19522",
    )
    yield MergeStrategyRecord(
        name="slerp",
        summary="two experts: [sin((1-t) theta) D_1 + sin(t theta) D_2] / sin theta, t = w_2 / (w_1 + w_2)",
        factory="selma_plugins.merging.slerp:Slerp",
        options=MergeOptions,
        reference="Shoemake 1985, Animating rotation with quaternion curves",
    )
    yield MergeStrategyRecord(
        name="tsv",
        summary="polar([U_1 ... U_T]) diag(T w_i S_i) polar([V_1; ...; V_T]): singular vectors made orthogonal",
        factory="selma_plugins.merging.tsv:Tsv",
        options=MergeOptions,
        reference="arXiv 2412.00081 (TSV-Merge)",
    )
    yield MergeStrategyRecord(
        name="knots",
        summary="U inner(S V_1, ..., S V_T) with [D_1 ... D_T] = U S V: an elementwise method in a shared basis",
        factory="selma_plugins.merging.knots:Knots",
        options=InnerOptions,
        reference="arXiv 2410.19735",
    )
    yield MergeStrategyRecord(
        name="iso_c",
        summary="sum w_i D_i = U S V with all singular values made equal: (sum S / rank) U V",
        factory="selma_plugins.merging.iso_c:IsoC",
        options=IsoOptions,
        reference="arXiv 2502.04959",
    )
    yield MergeStrategyRecord(
        name="cart",
        summary="M + lam sum SVD_k(D_i - M), M the mean: the mean and each expert's leading deviations",
        factory="selma_plugins.merging.cart:Cart",
        options=CartOptions,
        reference="arXiv 2412.12153",
    )
    yield MergeStrategyRecord(
        name="core",
        summary="U inner(U' D_1 V, ..., U' D_T V) V': core-ties, core-dare in the experts' own small space",
        factory="selma_plugins.merging.core:Core",
        options=CoreOptions,
        reference="arXiv 2509.17786",
    )


def _elementwise() -> Iterator[MergeStrategyRecord]:
    """Methods that drop entries of the deltas; their results have full rank (`rank` re-compresses)."""
    yield MergeStrategyRecord(
        name="ties",
        summary="keep the largest |D_i|, elect a sign per entry, average those that agree (four published variants)",
        factory="selma_plugins.merging.ties:Ties",
        options=TiesOptions,
        reference="arXiv 2306.01708",
    )
    yield MergeStrategyRecord(
        name="dare",
        summary="D_i M_i / density with random masks M_i; then linear or ties",
        factory="selma_plugins.merging.dare:Dare",
        options=DropOptions,
        reference="arXiv 2311.03099",
    )
    yield MergeStrategyRecord(
        name="della",
        summary="as dare, with keep probabilities density ± eps by the rank of |D_i| in its row; then linear or ties",
        factory="selma_plugins.merging.della:Della",
        options=DellaOptions,
        reference="arXiv 2406.11617",
    )
    yield MergeStrategyRecord(
        name="magnitude",
        summary="keep the largest |D_i|; then linear or ties",
        factory="selma_plugins.merging.magnitude:Magnitude",
        options=SparseOptions,
        reference="arXiv 2306.01708 (its trimming)",
    )
    yield MergeStrategyRecord(
        name="breadcrumbs",
        summary="drop the share gamma of the largest |D_i| and all but density of the rest; then linear or ties",
        factory="selma_plugins.merging.breadcrumbs:Breadcrumbs",
        options=BreadcrumbsOptions,
        reference="arXiv 2312.06795",
    )
