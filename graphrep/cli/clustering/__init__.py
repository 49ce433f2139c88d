"""What `graphrep cluster` does: inputs, clusterings over methods and seeds, judgement without labels, files, a page."""

from __future__ import annotations
