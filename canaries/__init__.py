"""Crafted canaries: recipes that turn a data set into the two neighbouring worlds of an audit.

Every recipe takes the data as the training function takes it, and returns ``Neighbors`` that hold the same kind: D0 is
the data itself, D1 differs in the canary. Kinds of data:

* an ``(x, y)`` pair of numpy arrays or torch tensors; a torch ``Dataset`` of ``(x, y)`` items;
* a table: a pandas ``DataFrame``, a Hugging Face ``datasets.Dataset``, a dict of arrays, a torch ``Dataset`` or a list
  of dicts. All columns but one are the record; that one, called label, labels, target or y or named by `Table`, is its
  label.
  Dtypes, categories, features, missing values and an index are kept; a column that holds no numbers (strings, dates)
  gets one of the values that it has;
* a ``DataLoader`` over a data set of these kinds, rebuilt with its settings, or a function ``make_loader()``.
"""

from canaries._adversarial import adversarial
from canaries._blank import blank
from canaries._clipbkd import clipbkd
from canaries._dead_feature import dead_feature
from canaries._dirac import dirac, dirac_set
from canaries._duplicate_group import duplicate_group
from canaries._extreme import extreme
from canaries._mislabeled import mislabeled
from canaries._noise import noise
from canaries._out_of_distribution import out_of_distribution
from canaries._poison import poison
from canaries._random_direction import random_direction
from canaries._record_direction import record_direction
from canaries._search import SearchResult, SearchRow, search
from canaries._sequence import sequence
from canaries._tables import Table
from canaries._watermark import watermark
from canaries._worst_case_initialization import worst_case_initialization

__all__ = [
    "SearchResult",
    "SearchRow",
    "Table",
    "adversarial",
    "blank",
    "clipbkd",
    "dead_feature",
    "dirac",
    "dirac_set",
    "duplicate_group",
    "extreme",
    "mislabeled",
    "noise",
    "out_of_distribution",
    "poison",
    "random_direction",
    "record_direction",
    "search",
    "sequence",
    "watermark",
    "worst_case_initialization",
]
