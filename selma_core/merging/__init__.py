"""Merging LoRA experts: what every strategy shares, so that a strategy is its formula and nothing else.

`options` (the settings that any strategy can have), `strategy` (a base class), `layer` (one layer, from factors to
factors), `files` (a whole merge of LoRA files), `algebra` (norms, products and truncation of low-rank deltas), `blocks`
(block weights), `authoring` (a plain function as a strategy). Nothing here is imported before it is used.
"""
