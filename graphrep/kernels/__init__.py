"""Sparse kernels: tensors in, tensors out; no graph objects above :class:`CSR`."""

from graphrep.kernels._dispatch import backend
from graphrep.kernels.csr import CSR
from graphrep.kernels.projection.gds import GDSRandom
from graphrep.kernels.sddmm import sddmm
from graphrep.kernels.spmm import spmm

__all__ = ["CSR", "GDSRandom", "backend", "sddmm", "spmm"]
