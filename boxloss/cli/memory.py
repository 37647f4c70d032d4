"""Freed memory that stays with the process.

TensorFlow asks for the tensors of every step anew. By default glibc takes each large block from the
kernel and gives it back when it is freed, so that a training step pays for zeroing the same pages
again and again: up to half of its time on two cores.
"""

import ctypes

# The parameters of glibc's mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4


def keep():
    """Let freed blocks be used again instead of returned; nothing where malloc is not glibc's.

    For a process of our own only: a program that imports boxloss decides for itself.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
    mallopt(TOP_PAD, 2**26)
