"""Every recipe file: known method and data set, parameters the constructor takes, protocol that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphrep.recipes
from graphrep.cli.judging import PROTOCOLS
from graphrep.data.cards import card
from graphrep.errors import FileFormatError, UnknownNameError
from graphrep.recipes import check_params, recipe, recipe_names
from graphrep.registry import METHODS

NAMES = recipe_names()
PARTS = ("node", "link")  # random parts of nodes or links, by the shares that the recipe has
RANKING = ("holdout", "published")  # a tenth of the training pairs chooses the epoch, or every epoch is trained


def test_there_are_recipes() -> None:
    assert "fastrp/blogcatalog" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_whole(name: str) -> None:
    found = recipe(name)
    method, _, rest = name.partition("/")
    assert method == found.method
    dataset = found.dataset.rpartition("/")[2]
    assert rest == dataset or rest.startswith(f"{dataset}_")  # several settings for one set
    assert found.paper
    check_params(found.method, found.params, where=name)
    METHODS[found.method].load()(**found.params)
    assert card(found.dataset).nodes > 0
    known = {"recommend": RANKING, "classify": PARTS}.get(METHODS[found.method].task, PROTOCOLS)
    assert found.eval.get("protocol") in known


@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_line_up(name: str) -> None:
    published, measured = recipe(name).published, recipe(name).measured
    for known in (published, measured):
        if "labels" in known:
            assert all(len(known[key]) == len(known["labels"]) for key in ("macro_f1", "micro_f1", "auc"))
            assert all(0 < value < 100 for key in ("macro_f1", "micro_f1", "auc") for value in known[key])
    if measured:
        assert measured["by"]
    if "labels" in published:
        return
    if "hits_at" in published:
        assert len(published["hits_at"]) == len(published["hits"])
        assert all(0 < value < 100 for value in published["hits"])
        return
    if "ks" in published:
        assert len(published["ks"]) == len(published["recall"]) == len(published["ndcg"])
        assert all(0 < value < 100 for value in published["recall"] + published["ndcg"])
        return
    assert published or not name.startswith("fastrp"), "the settings of this method are published with their scores"
    scores = ("acc", "nmi", "ari", "macro_f1") if "acc" in published else ("micro_f1", "macro_f1")
    for key in scores if published else ():
        assert len(published[key]) == len(published.get("ratios", [None]))
        assert all(0 < value < 100 for value in published[key])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[recipes]\n", 'unknown table: "recipes".*Did you mean "recipe"'),
        ("[recipe]\nmethods = 'fastrp'\n", 'unknown key of .recipe.: "methods".*Did you mean "method"'),
        ("[eval]\nratio = [0.1]\n", 'unknown key of .eval.: "ratio"'),
        ("[recipe\n", "is not TOML"),
    ],
)
def test_broken_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    (tmp_path / "fastrp").mkdir()
    (tmp_path / "fastrp" / "karate.toml").write_text(text)
    monkeypatch.setattr(graphrep.recipes, "files", lambda package: tmp_path)
    with pytest.raises(FileFormatError, match=message):
        recipe("fastrp/karate")


def test_recipe_of_an_unknown_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fastrp").mkdir()
    (tmp_path / "fastrp" / "karate.toml").write_text("[recipe]\nmethod = 'fastrap'\n")
    monkeypatch.setattr(graphrep.recipes, "files", lambda package: tmp_path)
    with pytest.raises(UnknownNameError, match=r'"fastrap"\. Did you mean "fastrp"'):
        recipe("fastrp/karate")


def test_unknown_parameter_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match=r'"weight" \(here\).*Did you mean "weights"'):
        check_params("fastrp", {"weight": 1}, where="here")
