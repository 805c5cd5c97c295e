"""Continuous integration for RPM packages built in Koji: the floor that services, pages and commands stand on."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("koschei")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
