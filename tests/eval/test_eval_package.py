"""The package as a whole: lazy names, light import, what results print."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import graphrep.eval
from graphrep.eval import Result, cluster_scores, link_scores


def test_import_is_light() -> None:
    code = "import sys, graphrep.eval; print([m for m in ('torch', 'sklearn', 'scipy', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_scores_do_not_need_torch() -> None:
    code = "import sys, graphrep.eval as e; e.link_scores([1.], [0.], ks=(1,)); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", graphrep.eval.__all__)
def test_names_resolve_and_are_documented(name) -> None:
    found = getattr(graphrep.eval, name)
    assert found.__doc__
    assert name in dir(graphrep.eval)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        graphrep.eval.no_such  # noqa: B018


def test_results_are_frozen_and_plain() -> None:
    found = cluster_scores([0, 1, 1], [1, 0, 0])
    assert isinstance(found, Result)
    with pytest.raises(AttributeError):
        found.acc = 0.5
    assert all(isinstance(v, float | int | np.ndarray) for v in vars(found).values())


def test_json_has_numbers_and_arrays_only_when_asked() -> None:
    found = link_scores([2.0, 1.0], [0.0, 1.5], ks=(1, 2))
    assert json.loads(found.to_json())["hits"] == {"1": 0.5, "2": 1.0}
    assert "rank" not in json.loads(found.to_json())
    assert json.loads(found.to_json(arrays=True))["rank"] == [1.0, 2.0]
    assert "array(2,)" in repr(found)
    assert "hits@2" in str(found)
    assert found.to_dict()["kind"] == "LinkScores"
