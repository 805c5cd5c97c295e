"""All methods of the hub in one class."""

from __future__ import annotations

from .methods_builds import BuildMethods
from .methods_files import FileMethods
from .methods_repos import RepoMethods
from .methods_rpms import RpmMethods
from .methods_tags import TagMethods
from .methods_users import UserMethods


class RootExports(UserMethods, TagMethods, BuildMethods, RpmMethods, RepoMethods, FileMethods):
    """Koji's RootExports, as far as the stand-in has it. FileMethods brings the methods about tasks."""
