"""Repeated audits at the boundary of exactly known mechanisms; see `assert_valid` for how they are judged."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
