"""The columns of the table of two models."""

from __future__ import annotations

from ..widgets.columns import Column

COLUMNS = tuple(
    Column(key, title, tooltip, "list", form, rising=key in ("latent", "state"), shown=True)
    for key, title, tooltip, form in (
        ("latent", "Latent", "Number of the latent", "d"),
        ("state", "State", "Fires in both models, or only in the second (gained) or the first (lost)", ""),
        ("diff_a", "Diff. 1st", "Mean over the class minus mean over the rest, first model", "#.3g"),
        ("diff_b", "Diff. 2nd", "Mean over the class minus mean over the rest, second model", "#.3g"),
        ("change", "Change", "Second difference minus first", "+#.3g"),
        ("auroc_a", "AUROC 1st", "How well its mean separates the class in the first model", ".3f"),
        ("auroc_b", "AUROC 2nd", "How well its mean separates the class in the second model", ".3f"),
    )
)
"""One row a latent that fires in either model; until the user sorts, by the size of the change."""
