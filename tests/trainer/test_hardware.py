"""What is told of this machine, held against what others say of it."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import hardware as module
from trainer.hardware import FLAGS, cpu_flags, hardware, peak_memory, settings, versions


def test_machine_is_described() -> None:
    found = hardware()
    assert found["processor"]
    assert 1 <= found["cores"] <= os.cpu_count()
    assert set(found["cpu_flags"]) <= set(FLAGS)
    assert len(found["gpus"]) == len(tf.config.list_physical_devices("GPU"))
    assert found["memory_bytes"] > peak_memory()["peak_resident_bytes"] > 2**20


CPU = """processor\t: 0
model name\t: AMD EPYC 9R14
flags\t\t: fpu avx2 fma avx512_bf16

processor\t: 1
model name\t: another
flags\t\t: fpu
"""


def test_first_processor_is_told(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(CPU)
    monkeypatch.setattr(
        module, "Path", lambda name: file if name == "/proc/cpuinfo" else Path(name)
    )
    assert hardware()["processor"] == "AMD EPYC 9R14"
    assert hardware()["cpu_flags"] == ["avx2", "fma", "avx512_bf16"]
    file.unlink()
    assert hardware()["processor"] and not cpu_flags()


def test_versions_are_those_that_are_imported() -> None:
    found = versions()
    assert found["tensorflow"] == tf.__version__ and found["keras"] == keras.__version__
    assert found["numpy"] == np.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_missing_package_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package"))
    assert set(versions()) == {"system", "python", "numpy"}


def test_settings_are_those_that_are_set(monkeypatch) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert settings()["TF_ENABLE_ONEDNN_OPTS"] == "0" and "OMP_NUM_THREADS" not in settings()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_peak_memory_is_that_of_the_process_alone_and_stays_when_memory_is_freed() -> None:
    """256 MiB, in a process whose parent, this one, has more than the process begins with."""
    script = (
        "from trainer.hardware import _peak_resident_bytes as peak\n"
        "first = peak()\n"
        "held = bytearray(b'1' * 2**28)\n"
        "full = peak()\n"
        "del held\n"
        "print(first, full, peak())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    first, full, after = map(int, done.stdout.split())
    assert first < 2**28 < peak_memory()["peak_resident_bytes"]
    assert 2**28 < full < first + 2**30 and after > full - 2**24  # the kernel counts in batches


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_no_gpu_has_no_peak() -> None:
    assert peak_memory()["peak_gpu_bytes"] is None
