"""One thread of arithmetic a process: the tests run side by side with their own workers, and threads that wait spin."""

import os

for library in ("OMP", "OPENBLAS", "MKL"):  # read once, when numpy is imported
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
