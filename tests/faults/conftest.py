import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))  # for audit_worlds: the command line as a process
sys.path.insert(0, str(Path(__file__).parent))  # for fault_worlds
