"""Bundled plugins of SELMA: one folder per kind of plugin or per paper."""
