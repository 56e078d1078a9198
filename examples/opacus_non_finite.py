"""One record with an infinite feature turns every weight of an Opacus training into NaN. REFUTED.

    dpaudit run examples/opacus_non_finite.py

The gradient of such a record has no finite norm, its clip factor is 0 or NaN, and inf times 0 is NaN: where the record
is sampled once, the release says so. DP-SGD's proof bounds every record's part, whatever the record. The twin with a
huge finite record, opacus_huge_record.py, is not refuted.
"""

from dataclasses import replace

from opacus_digits import audit as honest
from opacus_digits import x, y

import canaries

audit = replace(honest, neighbors=canaries.extreme((x[:501], y[:501]), nonfinite="inf"), max_trials=200)
