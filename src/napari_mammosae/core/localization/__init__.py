"""From heatmaps to boxes, and from boxes to figures: how well latents localise findings.

Everything here is in the model input's frame; IoU is the same in the source frame. Definitions: Mammo-SAE (published
threshold 0.95 quantile, released code 0.3 of the maximum), PASCAL VOC (all-point average precision, greedy matching).
"""

from .boxes import DEFAULT_MIN_AREA, Confidence, Regions, find_regions
from .cells import box_shares, cell_shares, centres_inside, union_area
from .combination import Combination, CombinedMap, combine_maps, find_combined_regions
from .detections import Detections, SparseMaps, detect, sparse_maps
from .evaluation import LocalizationSettings, localize_run
from .focus import Focus, Places, focus, places
from .matching import (
    Froc,
    Matches,
    PrecisionRecall,
    average_precision,
    froc,
    iou,
    match,
    paired_iou,
    precision_recall,
    weighted_average_precision,
)
from .paper_table import PaperRow, paper_row, paper_table
from .thresholds import DEFAULT_THRESHOLD, Threshold
from .upsampling import upsample

__all__ = [
    "Combination", "CombinedMap", "Confidence", "DEFAULT_MIN_AREA", "DEFAULT_THRESHOLD", "Detections", "Focus", "Froc",
    "LocalizationSettings", "Matches", "PaperRow", "Places", "PrecisionRecall", "Regions", "SparseMaps", "Threshold",
    "average_precision", "box_shares", "cell_shares", "centres_inside", "combine_maps", "detect",
    "find_combined_regions", "find_regions", "focus", "froc", "iou", "localize_run", "match", "paired_iou",
    "paper_row", "paper_table", "places", "precision_recall", "sparse_maps", "union_area", "upsample",
    "weighted_average_precision",
]  # fmt: skip
