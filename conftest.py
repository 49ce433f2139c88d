"""Leaves the modules of Triton kernels out of the doctests where there is no Triton to import them with."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("triton") else ["graphrep/kernels/*cuda.py"]
