"""The twin of opacus_non_finite.py with a record near the largest float: not refuted.

dpaudit run examples/opacus_huge_record.py
"""

from dataclasses import replace

from opacus_digits import audit as honest
from opacus_digits import x, y

import canaries

audit = replace(honest, neighbors=canaries.extreme((x[:501], y[:501]), scale=1e37), max_trials=200)
