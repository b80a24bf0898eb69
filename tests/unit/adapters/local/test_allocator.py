import subprocess
import sys

import pytest

TOUCH = """
import resource
import numpy as np
from stream_scorer.adapters.local.allocator import keep_freed_memory
if {kept}:
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1_000_000)
before = faults()
for _ in range(20):
    np.ones(1_000_000)
print(faults() - before)
"""


def faults_of(*, kept: bool) -> int:
    return int(
        subprocess.run(
            [sys.executable, "-c", TOUCH.format(kept=kept)], check=True, capture_output=True, text=True
        ).stdout
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_used_again() -> None:
    assert faults_of(kept=True) * 10 < faults_of(kept=False)
