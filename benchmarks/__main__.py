"""Runs every benchmark; ends with 1 where a target is missed."""

import sys

from benchmarks import intake, landing, reports, tree_shap, what_if

sys.exit(max([landing.main(), what_if.main(), tree_shap.main(), intake.main(), reports.main()]))
