"""What scores of latents are called on the screen."""

SCORES = {
    "diff": ("Difference", "Mean over the images of the class minus mean over the rest"),
    "mean": ("Mean", "Mean over the images of the class"),
    "centred": ("Centred", "Mean over the images of the class minus mean over all"),
    "standardised": ("Std. diff.", "Difference of the means over the pooled standard deviation"),
    "auroc": ("AUROC", "Area under the ROC curve of the mean activation, for the class against the rest"),
    "auroc_max": ("AUROC max", "Area under the ROC curve of the maximum, for the class against the rest"),
    "average_precision": ("Av. prec.", "Average precision of the mean activation for the class"),
    "selectivity": ("Selectivity", "2 |AUROC - 0.5|: how well it separates the class, in either direction"),
    "attribution": ("Logit", "Mean contribution to the class's logit over the images of the class"),
    "firing_images": ("Fires", "Share of the images on which it fires"),
    "firing_cells": ("Cells", "Share of all cells in which it fires"),
    "mean_active": ("When active", "Mean over the images on which it fires"),
    "std": ("Std. dev.", "Standard deviation over the images"),
    "entropy": ("Entropy", "Entropy of the classes among its 50 strongest images, in nats; low is pure"),
    "entropy_prior": ("Entropy/prior", "The same with the share of each class divided out"),
}
"""Scores a latent can be ranked by: title and meaning."""

_INTERVALS = {
    "auroc_lo": ("AUROC from", "Lower end of the AUROC's 95 % interval, by patient; of the best 100"),
    "auroc_hi": ("AUROC to", "Upper end of the AUROC's 95 % interval, by patient; of the best 100"),
    "diff_lo": ("Diff. from", "Lower end of the difference's 95 % interval, by patient; of the best 100"),
    "diff_hi": ("Diff. to", "Upper end of the difference's 95 % interval, by patient; of the best 100"),
    "p_value": ("p", "Mann-Whitney test, images taken as independent"),
    "q_value": ("q", "False discovery rate (Benjamini-Hochberg over live latents)"),
    "mean_rest": ("Mean rest", "Mean over the images of the other classes"),
    "mean_all": ("Mean all", "Mean over all images"),
}

_IN_WORDS = {
    "standardised": "standardised difference",
    "auroc": "AUROC",
    "auroc_max": "AUROC of the maximum",
    "average_precision": "average precision",
    "attribution": "contribution to the logit",
    "firing_images": "share of images with activation",
    "firing_cells": "share of cells with activation",
    "mean_active": "mean over images with activation",
    "std": "standard deviation",
    "entropy_prior": "entropy over prior",
    "auroc_lo": "lower end of the AUROC's interval",
    "auroc_hi": "upper end of the AUROC's interval",
    "diff_lo": "lower end of the difference's interval",
    "diff_hi": "upper end of the difference's interval",
    "p_value": "p value",
    "q_value": "q value",
    "mean_rest": "mean over the rest",
    "mean_all": "mean over all images",
}


def in_words(score: str) -> str:
    """Return what a sentence calls a score or one of its intervals: written out, where a column's title is short.

    >>> in_words("standardised"), in_words("diff")
    ('standardised difference', 'difference')
    """
    return _IN_WORDS.get(score) or {**SCORES, **_INTERVALS}[score][0].lower()
