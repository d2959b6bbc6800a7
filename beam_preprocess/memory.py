"""Memory of workers that fill one large array after another."""

import ctypes
import platform

# glibc's malloc.h: options of mallopt, and their defaults where they have one
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER, _DEFAULT_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = 2**31 - 1, 128 * 1024, 65536


def keep_freed_memory() -> None:
    """Keeps freed memory for the next array of the process, in place of giving it back at once.

    By default glibc maps every large array afresh, and the system clears and maps it page by page:
    on a virtual machine that takes longer than to compute the array. Peak memory stays the same.
    Does nothing without glibc.
    """
    _set(trim_threshold=_NEVER, mmap_max=0)


def release_freed_memory() -> None:
    """Ends `keep_freed_memory`, and gives back what was kept."""
    _set(trim_threshold=_DEFAULT_TRIM_THRESHOLD, mmap_max=_DEFAULT_MMAP_MAX)
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _set(*, trim_threshold: int, mmap_max: int) -> None:
    if _has_glibc():
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, trim_threshold)
        library.mallopt(_M_MMAP_MAX, mmap_max)


def _has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
