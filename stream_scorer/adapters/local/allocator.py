"""The C allocator of this process."""

import ctypes

# numbers of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

MMAP_BYTES_MIN = 32 * 1024 * 1024  # the most that glibc takes
KEPT_BYTES_MAX = 64 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Keep freed memory for the next batch instead of handing it back.

    Return False where the C library has no such setting.

    By default glibc maps every larger array afresh, and touching the fresh pages costs a batch more than ranking it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, MMAP_BYTES_MIN)) and bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES_MAX))
