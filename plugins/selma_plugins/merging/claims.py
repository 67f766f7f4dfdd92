"""The properties that a merge strategy can claim, by name.

A strategy's class attribute `claims` holds those that it has with its default options; where options take one away or
add one, its docstring says so. The tests check every claim, and that what is not claimed does not hold.

Notation: T experts D_i = B_i A_i with weights w_i; M(w) is the merged delta.
"""

from __future__ import annotations

IDENTITY = "identity"
IDEMPOTENCE = "idempotence"
PERMUTATION = "permutation"
WEIGHT_LINEARITY = "weight_linearity"
HOMOGENEITY = "homogeneity"
ODDNESS = "oddness"
EQUALS_LINEAR = "equals_linear"
GAUGE_INVARIANCE = "gauge_invariance"
MISSING_LAYERS = "missing_layers"
DETERMINISM = "determinism"
INDEPENDENCE = "independence"
EXPECTATION = "expectation"
OPTIMALITY = "optimality"

MEANING: dict[str, str] = {
    IDENTITY: "one expert, merged alone, is itself",
    IDEMPOTENCE: "T copies of one expert, with weights that sum to 1, are that expert",
    PERMUTATION: "the order of the experts (with their weights) does not matter",
    WEIGHT_LINEARITY: "M(a w + b v) = a M(w) + b M(v)",
    HOMOGENEITY: "M(c w) = c M(w) for c > 0; where it fails, a common factor on the weights is lost: use `scale`",
    ODDNESS: "M(-w) = -M(w)",
    EQUALS_LINEAR: "M(w) = sum w_i D_i",
    GAUGE_INVARIANCE: "only the deltas count, not which factors B G, inv(G) A they are stored as",
    MISSING_LAYERS: "a layer that an expert lacks is a zero delta, and the other weights stay",
    DETERMINISM: "the same bytes each time, whatever was merged before and from whichever thread",
    INDEPENDENCE: "a further expert of weight 0 changes nothing",
    EXPECTATION: "the mean over seeds is sum w_i D_i",
    OPTIMALITY: "no delta of the result's rank is nearer to sum w_i D_i",
}

# What nearly every method on deltas has.
USUAL = frozenset({PERMUTATION, GAUGE_INVARIANCE, MISSING_LAYERS, DETERMINISM})
# The scale contract.
CONTRACT = frozenset({IDENTITY, IDEMPOTENCE})
# M is linear in the weights.
LINEAR_IN_WEIGHTS = frozenset({WEIGHT_LINEARITY, HOMOGENEITY, ODDNESS})
# What a method has that gives sum w_i D_i exactly.
EXACT = USUAL | CONTRACT | LINEAR_IN_WEIGHTS | {EQUALS_LINEAR, INDEPENDENCE, EXPECTATION, OPTIMALITY}
