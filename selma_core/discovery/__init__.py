"""Finding plugins: which there are (`selection`), their modules (`candidates`), their checked records (`records`)."""

from selma_core.discovery.candidates import Candidate, from_entry_points, from_file
from selma_core.discovery.read import read_plugin
from selma_core.discovery.selection import Selection

__all__ = ["Candidate", "Selection", "from_entry_points", "from_file", "read_plugin"]
