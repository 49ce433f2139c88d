"""Which pairs enter which sums."""

from __future__ import annotations

__all__ = ["DOTS", "SKIP_DIAGONAL", "UU", "UV", "VU", "VV"]

UV = 1  # rows of u against all rows of v
VU = 2  # rows of v against all rows of u
UU = 4  # rows of u against the other rows of u
VV = 8  # rows of v against the other rows of v
SKIP_DIAGONAL = 16  # leave (i, i) out of UV and VU
DOTS = 32  # also the products <u_i, v_i>
