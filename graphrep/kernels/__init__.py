"""Sparse kernels: tensors in, tensors out; no graph objects above :class:`CSR`."""

from graphrep.kernels._dispatch import backend
from graphrep.kernels.csr import CSR

__all__ = ["CSR", "backend"]
