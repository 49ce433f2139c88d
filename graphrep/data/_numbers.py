"""Numbers in byte buffers, compiled: reading integers and decimals, writing float32 with nine digits."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["MAX_NUMBER_BYTES", "parse_decimal", "parse_integer", "put_float32", "put_integer"]

MAX_NUMBER_BYTES = 20
_POWERS = 10.0 ** np.arange(309)
_MINUS, _PLUS, _POINT, _ZERO, _NINE = 45, 43, 46, 48, 57


@numba.njit(cache=True, nogil=True, inline="never")  # type: ignore[untyped-decorator]
def parse_integer(text: Any, start: int, end: int) -> Any:
    """The integer in ``text[start:end]`` and whether it is one.

    A leading zero or plus sign ("007") and more than 18 digits are not: such ids are text, or they would change.
    """
    negative = start < end and text[start] == _MINUS
    at = start + negative
    size = end - at
    if size < 1 or size > 18 or (text[at] == _ZERO and (size > 1 or negative)):
        return np.int64(0), False
    value = np.int64(0)
    for i in range(at, end):
        digit = np.int64(text[i]) - _ZERO
        if digit < 0 or digit > 9:
            return np.int64(0), False
        value = value * 10 + digit
    return -value if negative else value, True


@numba.njit(cache=True, nogil=True, inline="never")  # type: ignore[untyped-decorator]
def parse_decimal(text: Any, start: int, end: int) -> Any:
    """The decimal number in ``text[start:end]`` as float64, and whether it is one; ``nan`` and ``inf`` count.

    Exact up to 15 digits with a decimal exponent up to 22, else within two units of the last place.
    """
    at = start
    negative = at < end and text[at] == _MINUS
    if negative or (at < end and text[at] == _PLUS):
        at += 1
    mantissa, exponent, digits, seen, point = np.uint64(0), np.int64(0), np.int64(0), False, False
    while at < end:
        c = text[at]
        if _ZERO <= c <= _NINE:
            seen = True
            if digits < 19:
                mantissa = mantissa * np.uint64(10) + np.uint64(c - _ZERO)
                digits += mantissa > 0
                exponent -= point
            else:
                exponent += not point
        elif c == _POINT and not point:
            point = True
        else:
            break
        at += 1
    if not seen:
        return _named(text, at, end, negative)
    if at < end and (text[at] | 32) == 101:  # e
        power, good = _parse_exponent(text, at + 1, end)
        if not good:
            return 0.0, False
        exponent += power
        at = end
    value = _scaled(np.float64(mantissa), exponent)
    return -value if negative else value, at == end


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _parse_exponent(text: Any, start: Any, end: Any) -> Any:
    negative = start < end and text[start] == _MINUS
    at = start + (negative or (start < end and text[start] == _PLUS))
    if at == end:
        return 0, False
    value = np.int64(0)
    for i in range(at, end):
        if text[i] < _ZERO or text[i] > _NINE:
            return 0, False
        value = min(value * 10 + np.int64(text[i]) - _ZERO, np.int64(9999))
    return -value if negative else value, True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _scaled(mantissa: Any, exponent: Any) -> Any:
    if mantissa == 0.0 or exponent == 0:
        return mantissa
    if exponent > 0:
        return mantissa * _POWERS[exponent] if exponent <= 308 else np.inf
    if exponent < -308:
        mantissa /= _POWERS[min(-exponent - 308, 308)]
        exponent = -308
    return mantissa / _POWERS[-exponent]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _named(text: Any, start: int, end: int, negative: bool) -> Any:
    """Reads ``nan``, ``inf`` and ``infinity`` in any case."""
    size = end - start
    if size != 3 and size != 8:
        return 0.0, False
    a, b, c = text[start] | 32, text[start + 1] | 32, text[start + 2] | 32
    if size == 3 and a == 110 and b == 97 and c == 110:
        return np.nan, True
    if a == 105 and b == 110 and c == 102 and (size == 3 or text[end - 1] | 32 == 121):
        return (-np.inf if negative else np.inf), True
    return 0.0, False


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def put_integer(out: Any, at: Any, value: Any) -> Any:
    """Writes a non-negative integer at ``out[at:]``; returns the position behind it."""
    size, rest = 1, value
    while rest >= 10:
        rest //= 10
        size += 1
    for i in range(size):
        out[at + size - 1 - i] = _ZERO + value % 10
        value //= 10
    return at + size


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def put_float32(out: Any, at: Any, value: Any) -> Any:
    """Writes a float32 with the nine digits that restore it exactly, trailing zeros left out.

    Takes at most 20 bytes; returns the position behind it.
    """
    number = np.float64(value)
    if number != number:
        out[at], out[at + 1], out[at + 2] = 110, 97, 110
        return at + 3
    if number < 0 or (number == 0 and np.signbit(number)):
        out[at] = _MINUS
        at += 1
        number = -number
    if number == np.inf:
        out[at], out[at + 1], out[at + 2] = 105, 110, 102
        return at + 3
    if number == 0:
        out[at] = _ZERO
        return at + 1
    exponent = int(np.floor(np.log10(number)))
    mantissa = _nine_digits(number, exponent)
    if mantissa >= 1_000_000_000:  # rounding, or log10 one below
        exponent += 1
        mantissa = _nine_digits(number, exponent)
    size = 9
    while mantissa % 10 == 0:
        mantissa //= 10
        size -= 1
    if -5 <= exponent <= 9:
        return _put_plain(out, at, mantissa, size, exponent)
    return _put_scientific(out, at, mantissa, size, exponent)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nine_digits(number: Any, exponent: Any) -> Any:
    power = 8 - exponent
    scaled = number * _POWERS[power] if power >= 0 else number / _POWERS[-power]
    return np.int64(np.rint(scaled))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _put_plain(out: Any, at: Any, mantissa: Any, size: Any, exponent: Any) -> Any:
    """Digits d1..d`size` with the point behind the digit of 10^0."""
    if exponent < 0:
        out[at], out[at + 1] = _ZERO, _POINT
        at += 2
        for _ in range(-exponent - 1):
            out[at] = _ZERO
            at += 1
        return put_integer(out, at, mantissa)
    whole = exponent + 1
    if size <= whole:
        at = put_integer(out, at, mantissa)
        for _ in range(whole - size):
            out[at] = _ZERO
            at += 1
        return at
    end = put_integer(out, at + 1, mantissa)
    for i in range(whole):
        out[at + i] = out[at + i + 1]
    out[at + whole] = _POINT
    return end


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _put_scientific(out: Any, at: Any, mantissa: Any, size: Any, exponent: Any) -> Any:
    if size == 1:
        at = put_integer(out, at, mantissa)
    else:
        end = put_integer(out, at + 1, mantissa)
        out[at] = out[at + 1]
        out[at + 1] = _POINT
        at = end
    out[at] = 101
    out[at + 1] = _MINUS if exponent < 0 else _PLUS
    return put_integer(out, at + 2, abs(exponent))
