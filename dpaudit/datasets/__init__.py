"""Real data sets as plain ``(x, y)`` pairs of numpy arrays; `digits` needs no file.

The others read the published archives from `folder`, or from the folder that ``$DPAUDIT_DATA`` names.
Either may be the data set's own folder or its parent, with subfolders ``mnist``, ``fashion_mnist``,
``location`` and ``adult``. Contents are checked against the published ones; nothing is downloaded or written.
"""

from dpaudit.datasets._adult import ADULT_COLUMNS, adult
from dpaudit.datasets._digits import digits
from dpaudit.datasets._images import fashion_mnist, mnist
from dpaudit.datasets._location import location
from dpaudit.datasets._pair import Pair

__all__ = ["ADULT_COLUMNS", "Pair", "adult", "digits", "fashion_mnist", "location", "mnist"]
