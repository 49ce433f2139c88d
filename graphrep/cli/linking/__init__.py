"""What `graphrep linkpred` does: links held out, predictors beside heuristics, scores, missing links, a page."""

from __future__ import annotations
