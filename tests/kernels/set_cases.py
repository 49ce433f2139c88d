"""What the tests of walks, samples, common neighbours and influence share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import torch
from scipy.stats import chi2
from torch import Tensor

from graphrep.kernels import CSR


def adjacency(csr: CSR) -> Tensor:
    """(num_rows, num_cols) float64, 1 where an entry is stored."""
    dense = torch.zeros(csr.shape, dtype=torch.float64)
    dense[csr.row().long(), csr.col.long()] = 1
    return dense


def follows(counts: Tensor, probability: Tensor) -> None:
    """Chi-square test of counts against probabilities; fails once in 10^6 for a right sampler, so never by chance."""
    possible = probability > 0
    assert not bool(counts[~possible].any())
    expected = counts.sum() * probability[possible]
    assert float(expected.min()) > 5  # the test's own requirement
    statistic = float(((counts[possible] - expected) ** 2 / expected).sum())
    assert statistic < chi2.ppf(1 - 1e-6, int(possible.sum()) - 1)


def same_for_any_threads(results: Callable[[], list[Tensor]]) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = results()
        torch.set_num_threads(2)
        two = results()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def peak_bytes(code: str) -> int:
    """Growth of the peak resident set that `code` prints, in KiB, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout) * 1024
