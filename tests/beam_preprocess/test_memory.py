"""What keeping freed memory does, seen from the page faults of a process of its own."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from beam_preprocess.memory import keep_freed_memory, release_freed_memory

def faults(rounds=20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(40_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
faults(1)
kept = faults()
release_freed_memory()
print(kept, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_large_arrays_are_mapped_once_while_freed_memory_is_kept():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kept, released = map(int, done.stdout.split())
    assert kept < 100
    assert released > 20 * 10  # 40 MB anew each time: some 10,000 pages, or 20 huge ones


def test_other_libraries_are_left_alone(monkeypatch):
    from beam_preprocess import memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("called the C library"))
    memory.keep_freed_memory()
    memory.release_freed_memory()
