"""Images that SELMA did not make, scored by the same stages and store as a run's own."""

from selma_core.evaluating.files import check_out, write_evaluation
from selma_core.evaluating.folder import Evaluation, evaluate_folder
from selma_core.evaluating.recipe import Wanted

__all__ = ["Evaluation", "Wanted", "check_out", "evaluate_folder", "write_evaluation"]
