"""Executors: `inline` runs stages in this process, `process` in worker processes."""
