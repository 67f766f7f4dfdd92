"""Evaluators: observations by a judge, one row per question, and named pure rules that turn them into scores."""
