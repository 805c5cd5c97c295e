"""The rules of Koschei as pure functions: values in, values out; no I/O, no database, no clock (`now` is an argument).

states          what state a package, a build, a collection is in
priority        how much a package deserves a build
schedulability  whether it may be built at all, and if not why
evr             which of two versions is newer, and a sort key in the same order
changes         what differs between two sets of installed dependencies
suspects        which of the differences most likely broke a build
verdict         what a finished Koji task says about the package
"""
