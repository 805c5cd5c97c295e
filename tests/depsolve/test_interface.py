"""The values that travel."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.depsolve import Nevra, engine
from koschei.errors import ConfigError

WORD = st.text("abc019+~^._", min_size=1, max_size=8)
NAME = st.text("abc019+._-", min_size=1, max_size=12)


def test_a_nevra_shows_its_epoch_only_when_it_has_one() -> None:
    assert str(Nevra("perl", 4, "5.36", "1.fc40", "x86_64")) == "perl-4:5.36-1.fc40.x86_64"
    assert str(Nevra("gcc-c++", 0, "13.2", "1", "noarch")) == "gcc-c++-13.2-1.noarch"
    assert Nevra.parse("adduser-0:3.134-0.noarch") == Nevra("adduser", 0, "3.134", "0", "noarch")


@given(NAME, st.integers(0, 99), WORD, WORD, st.sampled_from(["x86_64", "noarch"]))
def test_what_a_nevra_shows_can_be_read_back(name: str, epoch: int, version: str, release: str, arch: str) -> None:
    nevra = Nevra(name, epoch, version, release, arch)
    assert Nevra.parse(str(nevra)) == nevra


@pytest.mark.parametrize("text", ["", "foo", "foo-1.x86_64", "-1-1.x86_64", "foo-x:1-1.noarch", "foo-1-1"])
def test_a_nevra_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"epoch|form"):
        Nevra.parse(text)


def test_an_unknown_engine_is_a_config_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'zypp'.*solv, libdnf5"):
        engine("zypp")


@pytest.mark.parametrize("placeholder", [False, True])
def test_an_engine_whose_library_is_absent_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, placeholder: bool
) -> None:
    """The package libdnf5 on PyPI is a module with nothing in it."""
    monkeypatch.setitem(sys.modules, "libdnf5", ModuleType("libdnf5") if placeholder else None)
    monkeypatch.delitem(sys.modules, "libdnf5.base", raising=False)
    with pytest.raises(ConfigError, match=r"dependency\.engine: .*libdnf5.*python3-libdnf5") as caught:
        engine("libdnf5")
    assert len(str(caught.value).splitlines()) == 1
