"""The item index: maximum inner product search over the item vectors, exact or approximate."""

from recsys.recommender.config import IndexConfig, IndexKind
from recsys.recommender.index.item_index import BUNDLE_KIND, ItemIndex
from recsys.recommender.index.report import IndexReport, OperatingPoint

__all__ = ["BUNDLE_KIND", "IndexConfig", "IndexKind", "IndexReport", "ItemIndex", "OperatingPoint"]
