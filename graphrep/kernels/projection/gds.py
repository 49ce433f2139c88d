"""The random numbers of Neo4j Graph Data Science's FastRP, bit for bit ("Ran" of Numerical Recipes, section 7.1)."""

from __future__ import annotations

__all__ = ["GDSRandom"]

_MASK = (1 << 64) - 1


class GDSRandom:
    """Three-word 64-bit generator; all arithmetic is modulo 2^64, all shifts are logical.

    Args:
        seed: any integer; negative ones count as their two's complement.

    Source: fastrp.md of the GDS semantics: a node with original id `g` draws from
    ``GDSRandom(GDSRandom(seed).next_u64() ^ g)``, one double per coordinate.

    Example:
        >>> rng = GDSRandom(42)
        >>> 0.0 <= rng.next_double() < 1.0
        True
    """

    __slots__ = ("_u", "_v", "_w")

    def __init__(self, seed: int) -> None:
        self._v = 4101842887655102017
        self._w = 1
        self._u = (int(seed) & _MASK) ^ self._v
        self.next_u64()
        self._v = self._u
        self.next_u64()
        self._w = self._v
        self.next_u64()

    def next_u64(self) -> int:
        """The next 64 random bits as an integer in [0, 2^64)."""
        self._u = (self._u * 2862933555777941757 + 7046029254386353087) & _MASK
        v = self._v
        v ^= v >> 17
        v = (v ^ (v << 31)) & _MASK
        self._v = v ^ (v >> 8)
        self._w = (4294957665 * self._w + (self._w >> 32)) & _MASK
        x = (self._u ^ (self._u << 21)) & _MASK
        x ^= x >> 35
        x = (x ^ (x << 4)) & _MASK
        return ((x + self._v) & _MASK) ^ self._w

    def next_double(self) -> float:
        """A float in [0, 1) from the top 26 and top 27 bits of the next two words."""
        high = self.next_u64() >> 38
        low = self.next_u64() >> 37
        return float((high << 27) + low) * 2.0**-53
