"""Labelled patches: PanNuke folds, image folders with a labels table, and the labelling rule."""

from ml.data.loading import load_patches
from ml.data.patches import (
    CRITERION,
    Patch,
    Patches,
    Progress,
    Source,
    label_by_rule,
    natural_order,
)

__all__ = [
    "CRITERION",
    "Patch",
    "Patches",
    "Progress",
    "Source",
    "label_by_rule",
    "load_patches",
    "natural_order",
]
