"""Settings: precedence, --set, config files, TOML written and read back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphrep.cli.settings import collect, parse_numbers, parse_sets, read_config, to_toml
from graphrep.data.toml import dumps
from graphrep.errors import FileFormatError, GraphrepError, UnknownNameError

scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(st.dictionaries(st.text(min_size=1), st.one_of(scalars, st.lists(scalars, max_size=4)), max_size=5))
def test_toml_round_trip(values: dict[str, object]) -> None:
    try:
        text = dumps({"table": values})
        text.encode("utf8")
    except UnicodeEncodeError:
        return
    assert tomllib.loads(text).get("table", {}) == values


def test_toml_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(TypeError, match="complex"):
        dumps({"table": {"x": 1j}})


def test_later_layers_win_and_none_says_nothing() -> None:
    recipe = {"params": {"dim": 1, "seed": 1, "weights": [1.0]}}
    config = {"params": {"dim": 2, "seed": 2}, "run": {"method": "a"}}
    options = {"params": {"dim": 3, "seed": None}, "run": {"method": None}}
    sets = {"params": {"dim": 4}}
    joined = collect(recipe, config, options, sets)
    assert joined["params"] == {"dim": 4, "seed": 2, "weights": [1.0]}
    assert joined["run"] == {"method": "a"}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("a=3", 3),
        ("a=-0.5", -0.5),
        ("a=1e-3", 1e-3),
        ("a=true", True),
        ("a=False", False),
        ("a=text", "text"),
        ('a="3"', "3"),
        ("a=1/3", 1 / 3),
        ("a=0,0,1", [0.0, 0.0, 1.0]),
        ("a=[1, 2]", [1, 2]),
        ("a=x=y", "x=y"),
        ("a=", ""),
    ],
)
def test_set_values(pair: str, value: object) -> None:
    found = parse_sets([pair])["a"]
    assert found == value
    assert type(found) is type(value)


def test_set_needs_an_equals_sign() -> None:
    with pytest.raises(UnknownNameError, match='got "dim"'):
        parse_sets(["dim"])


def test_numbers() -> None:
    assert parse_numbers("1,2.5", "--ratios") == [1.0, 2.5]
    with pytest.raises(GraphrepError, match=r'--ratios takes numbers.*"1,x"'):
        parse_numbers("1,x", "--ratios")


def test_config_round_trip(tmp_path: Path) -> None:
    settings = collect({"run": {"graph": "a b.csv", "threads": 2}, "params": {"dim": 8, "weights": [0.0, 6.67]}})
    (tmp_path / "c.toml").write_text(to_toml(settings))
    assert read_config(tmp_path / "c.toml") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[parms]\ndim = 3\n", 'unknown table "parms".*params'),
        ("[run]\ngrap = 'x'\n", 'no key "grap".*graph'),
        ("params = 3\n", 'unknown table "params"'),
    ],
)
def test_unknown_names_in_a_config(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UnknownNameError, match=message):
        read_config(tmp_path / "c.toml")


def test_broken_and_missing_config(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[run\n")
    with pytest.raises(FileFormatError, match="not a TOML file"):
        read_config(tmp_path / "c.toml")
    with pytest.raises(FileFormatError, match="Cannot read"):
        read_config(tmp_path / "none.toml")
