"""Which latents tell a finding: scores of every latent over a data set, their order, and how two orders compare."""

from .compare import RankingComparison, compare_rankings
from .files import read_published, read_published_folder, read_ranking
from .neighbours import coactivation_neighbours, decoder_neighbours, top_images
from .orders import Ranking, first_ranks, order_of, union_mask, union_sizes
from .scores import SCORES, Contrast, LabelledPool, Score, class_rankings, score_latents
from .statistics import ClassStatistics, class_statistics, label_entropy
from .table import rank_latents

__all__ = [
    "SCORES",
    "ClassStatistics",
    "Contrast",
    "LabelledPool",
    "Ranking",
    "RankingComparison",
    "Score",
    "class_rankings",
    "class_statistics",
    "coactivation_neighbours",
    "compare_rankings",
    "decoder_neighbours",
    "first_ranks",
    "label_entropy",
    "order_of",
    "rank_latents",
    "read_published",
    "read_published_folder",
    "read_ranking",
    "score_latents",
    "top_images",
    "union_mask",
    "union_sizes",
]
