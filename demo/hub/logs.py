"""The logs that a builder leaves behind, with text a packager would recognise."""

from __future__ import annotations

from .rpmdata import parse_deps
from .values import SourcePackage

_COMPILER_ERROR = """\
gcc -DHAVE_CONFIG_H -I. -O2 -flto=auto -Wall -Werror=format-security -c -o src/main.o src/main.c
src/main.c: In function 'main':
src/main.c:42:12: error: implicit declaration of function 'frobnicate' [-Wimplicit-function-declaration]
   42 |     return frobnicate(argc, argv);
      |            ^~~~~~~~~~
make[1]: *** [Makefile:712: src/main.o] Error 1
make: *** [Makefile:398: all-recursive] Error 1
error: Bad exit status from /var/tmp/rpm-tmp.Xr3kQp (%build)
"""

_ROOT_ERROR = """\
DEBUG util.py:463:  Failed to resolve the transaction:
DEBUG util.py:463:  Problem: nothing provides {dep} needed by {package}
ERROR util.py:610:  Command failed: dnf5 builddep --installroot /var/lib/mock/root
"""


def srpm_logs(source: SourcePackage, failed: bool) -> dict[str, str]:
    """File name -> text for the stage that makes the SRPM."""
    build = (
        "Mock Version: 6.3\nBuilding target platforms: noarch\nBuilding for target noarch\n"
        f"Wrote: /builddir/build/SRPMS/{source.srpm}\n"
    )
    root = "DEBUG util.py:463:  Complete!\n"
    if failed:
        build = f"Mock Version: 6.3\nerror: line 12: Unknown tag: %forgesetup in {source.name}.spec\n"
        build += "Child return code was: 1\n"
        root += "ERROR util.py:610:  Command failed: rpmbuild -bs\n"
    return {"build.log": build, "root.log": root, "state.log": _state(failed)}


def arch_logs(source: SourcePackage, arch: str, failed: str | None = None, ending: str | None = None) -> dict[str, str]:
    """File name -> text for one architecture. failed: None, 'build', 'root' or 'builder'; ending replaces the error."""
    root = "".join(f"DEBUG util.py:463:  Installing {dep}\n" for dep in parse_deps(source.build_requires))
    build = f"Mock Version: 6.3\nBuilding target platforms: {arch}\nBuilding for target {arch}\n"
    if failed == "root":
        dep = next(iter(source.build_requires), "glibc")
        return {
            "root.log": root + (ending or _ROOT_ERROR.format(dep=dep, package=source.srpm)),
            "state.log": _state(True),
        }
    build += (
        "Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.N1aVwZ\nExecuting(%build): /bin/sh -e /var/tmp/rpm-tmp.Xr3kQp\n"
    )
    if failed == "build":
        build += (ending or _COMPILER_ERROR) + "Child return code was: 1\n"
    elif failed is None:
        build += "".join(f"Wrote: /builddir/build/RPMS/{binary.name}.rpm\n" for binary in source.binaries)
        build += "Child return code was: 0\n"
    logs = {"build.log": build, "root.log": root + "DEBUG util.py:463:  Complete!\n"}
    if failed is None:
        logs["hw_info.log"] = f"CPU info:\nArchitecture: {arch}\nCPU(s): 4\n"
    return logs | {"state.log": _state(failed is not None)}


def _state(failed: bool) -> str:
    return "\n".join(
        (
            "Start: chroot init",
            "Finish: chroot init",
            "Start: rpmbuild",
            f"{'ERROR' if failed else 'Finish'}: rpmbuild",
            "",
        )
    )
