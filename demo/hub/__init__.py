"""A stand-in for a Koji hub and its builders, for the demo and for tests.

It speaks Koji's XML-RPC to the unmodified official client and keeps a small world in memory. `Hub` is the world and the
handle on it, `HubServer` lets clients in. What it answers was checked against recordings of a real hub.
"""

from .hub import Hub
from .server import HubServer
from .values import Binary, BuildContext, Outcome, SourcePackage, Timings

__all__ = ["Binary", "BuildContext", "Hub", "HubServer", "Outcome", "SourcePackage", "Timings"]
