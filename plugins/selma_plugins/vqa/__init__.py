"""Evaluators that ask a vision-language model: VQAScore, GenEval 2, T2I-CompBench, pairwise judging."""
