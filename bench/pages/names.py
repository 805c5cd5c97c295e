"""Names as a distribution has them: some everybody knows, the rest in the families that they come in."""

from __future__ import annotations

from random import Random

KNOWN = """
glibc gcc kernel systemd bash coreutils openssl python3.14 perl llvm clang cmake make binutils rpm redhat-rpm-config
qt6-qtbase gtk4 glib2 boost icu libxml2 curl zlib-ng sqlite postgresql17 mariadb httpd nginx java-25-openjdk maven
golang rust nodejs22 ruby php lua R octave gdb valgrind firefox libreoffice texlive-base webkitgtk mesa pipewire
""".split()
# A name of a package, and how many in a hundred are of this family.
FAMILIES = (
    ("rust-{}", 14),
    ("python-{}", 18),
    ("perl-{}", 13),
    ("golang-github-{}", 8),
    ("ghc-{}", 4),
    ("rubygem-{}", 4),
    ("R-{}", 3),
    ("nodejs-{}", 2),
    ("php-{}", 3),
    ("texlive-{}", 3),
    ("lib{}", 8),
    ("{}", 20),
)
# What a binary package is called beside its source.
SUFFIXES = ("", "-libs", "-devel", "-common", "-doc", "-utils")
SYLLABLES = (
    "ab ac al an ar as at ax ba be bi bo bu ca ce co cu da de di do du el em en er es ex fa fe fi fo ga ge gi go gr ha "
    "he hi ho ic id im in io is it ja jo ka ki ko la le li lo lu ma me mi mo mu na ne ni no nu ob od om on op or os pa "
    "pe pi po py qu ra re ri ro ru sa se si so su ta te ti to tu ul um un ur us va ve vi vo wa we wi xa xi ya yo ze zo"
).split()


def words(chance: Random) -> str:
    """A word that could be the name of something."""
    word = "".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))
    return word if chance.random() < 0.7 else f"{word}-{''.join(chance.choices(SYLLABLES, k=2))}"


def packages(number: int, chance: Random) -> list[str]:
    """So many names of source packages, well known ones first."""
    found = dict.fromkeys(KNOWN[:number])
    patterns, weights = zip(*FAMILIES, strict=True)
    while len(found) < number:
        found[chance.choices(patterns, weights)[0].format(words(chance))] = None
    return list(found)


def binaries(sources: list[str], number: int, chance: Random) -> list[str]:
    """So many names of binary packages, those of well known sources first."""
    found: dict[str, None] = {}
    for suffix in SUFFIXES:
        for source in sources:
            if suffix in SUFFIXES[:3] or chance.random() < 0.5:
                found[source + suffix] = None
            if len(found) == number:
                return list(found)
    return list(found)


def people(number: int, chance: Random) -> list[str]:
    """So many names of users."""
    found = dict.fromkeys(("jane", "operator")[:number])
    while len(found) < number:
        found["".join(chance.choices(SYLLABLES, k=3)) + str(chance.randint(1, 99))] = None
    return list(found)
