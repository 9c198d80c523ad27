"""What a process has used so far, where the system tells (Linux)."""

import os
from pathlib import Path


def usage_of(pid: int | str = "self") -> dict[str, float]:
    """Processor seconds and peak resident memory; empty where the system does not tell."""
    process = Path("/proc") / str(pid)
    if not process.exists():
        return {}
    # The second field is the name, in brackets, and may hold blanks.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    peak = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
    user, system = int(fields[11]), int(fields[12])
    return {"cpu": (user + system) / os.sysconf("SC_CLK_TCK"), "peak_mib": int(peak.split()[1]) / 1024}
