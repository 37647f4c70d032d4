"""What makes a process that trains a detector on a CPU fast."""

import ctypes
import os
import sys

# The parameters of glibc's mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4


def for_training():
    """Both of the below. For a process of our own: who imports boxloss decides for himself."""
    keep_memory()
    use_onednn()


def keep_memory():
    """Let freed blocks be used again instead of returned; nothing where malloc is not glibc's.

    TensorFlow asks for the tensors of every step anew. By default glibc takes each large block from
    the kernel and gives it back when it is freed, so that a step pays for zeroing the same pages
    again and again: up to half of its time on two cores.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
    mallopt(TOP_PAD, 2**26)


def use_onednn(wanted=True):
    """Let TensorFlow convolve by oneDNN, unless the environment or an earlier call decided.

    TensorFlow itself does so on newer processors only; with AVX2 alone it saves a third, too. It
    reads the environment when it is imported.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1" if wanted else "0")
