"""What `graphrep recommend` does: interactions, their parts, a trained recommender beside popularity, lists, a page."""

from __future__ import annotations
