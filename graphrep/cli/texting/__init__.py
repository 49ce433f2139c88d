"""What `graphrep train lmgnn` does: texts found, parts held out, a training in stages, scores, files, a page."""

from __future__ import annotations
