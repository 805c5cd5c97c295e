"""For which architectures a package is built."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.koji.arches import build_arches, canonical
from koschei.koji.records import SrpmFacts

TAG = ("i686", "x86_64", "armv7hl")
ALLOWED = ("i386", "x86_64", "armhfp")


def choice(*, tag=TAG, allowed=ALLOWED, override=None, build=(), exclusive=(), exclude=()):
    facts = SrpmFacts("rnv", "1", "1", (), buildarchs=build, exclusivearch=exclusive, excludearch=exclude)
    return build_arches(facts, tag, allowed, override)


def test_a_plain_package_is_built_for_all_the_tag_s_arches_as_spelled_there():
    assert choice().arches == TAG
    assert choice().override == "i686 x86_64 armv7hl"


def test_a_noarch_package_leaves_the_choice_to_koji():
    assert choice(build=("noarch",)).arches == ("noarch",)
    assert choice(build=("noarch",)).override is None
    assert not choice(build=("noarch",)).empty


def test_exclusivearch_keeps_only_what_it_names_literally():
    assert choice(exclusive=("x86_64", "aarch64")).arches == ("x86_64",)
    assert choice(exclusive=("i386", "x86_64")).arches == ("x86_64",)


def test_excludearch_drops_what_it_names_literally():
    assert choice(exclude=("x86_64",)).arches == ("i686", "armv7hl")
    assert choice(exclude=("i386",)).arches == TAG


@pytest.mark.parametrize("override", ["x86_64", "  x86_64 "])
def test_an_override_replaces_the_list(override):
    assert choice(override=override).arches == ("x86_64",)
    assert choice(override=override, exclude=("x86_64",)).arches == ("x86_64",)
    assert choice(override=override, build=("noarch",)).override == "x86_64"


def test_an_override_may_be_spelled_in_any_way_and_keeps_its_spelling():
    assert choice(override="i386 armhfp").arches == ("i386", "armhfp")
    assert choice(override="i586").override == "i586"


def test_an_override_is_still_limited_to_what_the_tag_and_the_settings_allow():
    assert choice(override="x86_64 s390x").arches == ("x86_64",)
    assert choice(override="s390x").empty


@pytest.mark.parametrize("override", ["^x86_64", "^ x86_64"])
def test_an_inverse_override_drops_what_it_names(override):
    assert choice(override=override).arches == ("i686", "armv7hl")


def test_an_inverse_override_may_be_spelled_in_any_way():
    assert choice(override="^i386 armhfp").arches == ("x86_64",)
    assert choice(override="^i386 x86_64 armhfp").empty
    assert choice(override="^i386", build=("noarch",)).arches == ("noarch",)


def test_the_settings_may_be_spelled_in_any_way():
    assert choice(allowed=("i586", "armv7hl")).arches == ("i686", "armv7hl")


def test_arches_that_the_settings_do_not_allow_are_not_built():
    assert choice(tag=(*TAG, "s390x", "aarch64")).arches == TAG
    assert choice(allowed=()).empty
    assert choice(tag=()).empty
    assert choice(tag=()).override is None


def test_a_noarch_package_that_excludes_noarch_is_not_built_as_such():
    assert choice(build=("noarch",), exclude=("noarch",)).empty


def test_noarch_in_exclusivearch_makes_a_package_noarch_as_in_kojid():
    # maven in the recorded hub: BuildArch noarch, ExclusiveArch x86_64 aarch64 noarch
    assert choice(build=("noarch",), exclusive=("x86_64", "aarch64", "noarch")).arches == ("noarch",)
    assert choice(exclusive=("x86_64", "noarch")).override is None


names = st.lists(st.sampled_from(["i386", "i686", "x86_64", "armv7hl", "armhfp", "aarch64", "s390x", "noarch"]))


@given(tag=names, allowed=names, build=names, exclusive=names, exclude=names, override=names, inverse=st.booleans())
def test_nothing_is_ever_built_where_it_may_not_be(tag, allowed, build, exclusive, exclude, override, inverse):
    wish = ("^" if inverse else "") + " ".join(override)
    got = choice(tag=tag, allowed=allowed, build=build, exclusive=exclusive, exclude=exclude, override=wish).arches
    assert canonical(got) - {"noarch"} <= canonical(tag) & canonical(allowed)
    assert len(set(got)) == len(got)
    if inverse:
        assert not canonical(got) & canonical(override)
