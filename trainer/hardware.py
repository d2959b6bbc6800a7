"""What a training or a benchmark ran on: processor, memory, GPUs, versions. No TensorFlow is needed
to import it.
"""

import importlib.metadata
import os
import platform
import resource
from pathlib import Path
from typing import Any

PACKAGES = ("unet-tfx", "tensorflow", "keras", "numpy", "horovod", "tfx", "apache-beam")
"""Packages whose versions are told where they are installed."""
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")
"""What a processor may have that decides how fast convolutions are; bf16 by type."""
_SETTINGS = ("TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS")


def hardware() -> dict[str, Any]:
    """The machine of this process.

    Returns:
      `processor`, `cores` (those that the process may use), `cpu_flags` (of `FLAGS`),
      `memory_bytes` (of the machine), and `gpus`: `name` and `compute_capability` of each one that
      TensorFlow finds.
    """
    flags = cpu_flags()
    return {
        "processor": _cpu_info().get("model name") or platform.processor() or platform.machine(),
        "cores": _cores(),
        "cpu_flags": [flag for flag in FLAGS if flag in flags],
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "gpus": _gpus(),
    }


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in the words of /proc/cpuinfo; empty without such a file."""
    cpu = _cpu_info()
    return frozenset((cpu.get("flags") or cpu.get("Features") or "").split())


def versions() -> dict[str, str]:
    """Versions of the system, of Python, and of those of `PACKAGES` that are installed."""
    found = {"system": platform.platform(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def settings() -> dict[str, str]:
    """The environment variables that change how fast TensorFlow computes, where they are set."""
    return {name: os.environ[name] for name in _SETTINGS if name in os.environ}


def peak_memory() -> dict[str, int | None]:
    """Most memory of this process so far.

    Returns:
      `peak_resident_bytes`, and `peak_gpu_bytes`: of the GPU that TensorFlow took most of, None
      where there is no GPU.
    """
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    peaks = [int(tf.config.experimental.get_memory_info(gpu.name)["peak"]) for gpu in gpus]
    return {
        "peak_resident_bytes": _peak_resident_bytes(),
        "peak_gpu_bytes": max(peaks, default=None),
    }


def _peak_resident_bytes() -> int:
    """By /proc/self/status of Linux, whose getrusage begins a process with its parent's memory.

    Other systems have getrusage alone.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else 1024 * peak


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _cpu_info() -> dict[str, str]:
    """The first processor in /proc/cpuinfo; empty where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _gpus() -> list[dict[str, str]]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [
        {
            "name": str(d.get("device_name", "unknown")),
            "compute_capability": ".".join(map(str, d.get("compute_capability", ()))),
        }
        for d in details
    ]
