"""Human studies: blinded pairs as a page that works offline, and what the raters' answers say."""

from __future__ import annotations

from selma_core.study.export import Study, export_study
from selma_core.study.results import import_results

__all__ = ["Study", "export_study", "import_results"]
