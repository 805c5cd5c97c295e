"""For which architectures a package is built: kojid's own choice, narrowed by override and settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import koji

from koschei.koji.records import SrpmFacts

NOARCH = "noarch"


@dataclass(frozen=True)
class ArchChoice:
    """Architectures to build for, as they were spelled; none if the package cannot be built anywhere."""

    arches: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not self.arches

    @property
    def override(self) -> str | None:
        """The build option `arch_override`; None for a noarch package, whose builder Koji chooses itself."""
        return None if self.empty or NOARCH in self.arches else " ".join(self.arches)


def build_arches(
    facts: SrpmFacts, tag_arches: Iterable[str], allowed: Sequence[str], arch_override: str | None
) -> ArchChoice:
    """Architectures for which a package can and may be built.

    `tag_arches` are the build tag's, `allowed` koji_config.build_arches, `arch_override` the package's own wish: names
    that replace Koji's choice, or after `^` names to leave out. The rules are kojid's (`BuildTask.getArchList`).
    """
    tag = tuple(tag_arches)
    chosen = [arch for arch in facts.buildarchs or tag if not facts.exclusivearch or arch in facts.exclusivearch]
    chosen = [arch for arch in chosen if arch not in facts.excludearch]
    if NOARCH not in facts.excludearch and (NOARCH in facts.buildarchs or NOARCH in facts.exclusivearch):
        chosen.append(NOARCH)
    wish = (arch_override or "").strip()
    if wish.startswith("^"):
        unwanted = canonical(wish[1:].split())
        chosen = [arch for arch in chosen if koji.canonArch(arch) not in unwanted]
    elif wish:
        chosen = wish.split()
    possible = canonical(tag) & canonical(allowed)
    return ArchChoice(
        tuple(dict.fromkeys(arch for arch in chosen if arch == NOARCH or koji.canonArch(arch) in possible))
    )


def canonical(arches: Iterable[str]) -> set[str]:
    """Koji's canonical names (i686 is i386 there)."""
    return {koji.canonArch(arch) for arch in arches}
