"""Commands as their users run them."""

import subprocess
from pathlib import Path


def execute(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that sees nothing of the checkout and of this process's environment but PATH and HOME."""
    found = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=found, capture_output=True, text=True, timeout=600
    )
