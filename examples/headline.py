"""`make audit`: two real Opacus trainings on real images, one faulty and one honest, audited with default settings.

Exits 0 if the faulty one was refuted and the honest one was not.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

from dpaudit import Verdict
from dpaudit._spec import load_spec
from dpaudit.trials import Progress

HERE = Path(__file__).parent
EXPECTED = {
    "opacus_ghost_regression": Verdict.REFUTED,  # Opacus 1.6.0, ghost clipping, a loss of shape (B, 1)
    "opacus_digits": Verdict.NOT_REFUTED,
}


def main() -> int:
    """Audit both; print each report, then the two verdicts and where the reports lie."""
    lines = []
    as_expected = True
    for name, expected in EXPECTED.items():
        start = time.monotonic()
        spec = load_spec(HERE / f"{name}.py")
        folder = Path("runs") / "headline" / name
        print(f"\nauditing {spec.path} ...", file=sys.stderr)
        report = replace(spec.audit, ledger=folder).run(
            fresh=True, progress=Progress(), reproduce=f"dpaudit run examples/{name}.py --seed {spec.audit.seed}"
        )
        report.save(folder)
        print(report, file=sys.stderr)
        as_expected &= report.verdict is expected
        seconds = time.monotonic() - start
        lines.append(
            f"{report.verdict.value:<12} {name:<24} expected {expected.value:<12} "
            f"{report.trials.completed:>4} trials {seconds:5.0f} s   report in {folder}"
        )
    print("\n" + "\n".join(lines))
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
