"""Fetching public data sets from where their authors put them; only :func:`download` does so, and only when called."""

from __future__ import annotations

from graphrep.data.fetching.get import download

__all__ = ["download"]
