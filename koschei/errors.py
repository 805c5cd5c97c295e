"""Every error Koschei raises on purpose.

    KoscheiError
    ├── ConfigError               a setting is missing, unknown or wrong
    ├── UserError                 the person asked for something that cannot be done
    │   ├── NotFoundError         a name that nobody knows
    │   ├── AlreadyExistsError    a name that is taken
    │   ├── InvalidInputError     a value that makes no sense
    │   ├── NotAllowedError       the person may not do this
    │   └── TooManyEditsError     the person has made too many changes lately
    ├── ServiceError              something outside is away or talks nonsense; trying again later can help
    │   ├── DatabaseError         PostgreSQL is away or its schema is not the one this code needs
    │   │   └── TablesBusy        a migration did not get its locks
    │   ├── KojiError             Koji
    │   │   ├── KojiOutage        unreachable, offline, or answering with something that is not XML-RPC
    │   │   ├── KojiAuthError     Koji does not let us in, or lets us submit nothing
    │   │   ├── KojiRefusal       Koji understood the request and said no (unknown tag, not allowed, bad argument)
    │   │   └── LostReply         a write may or may not have happened; look before repeating it
    │   ├── RepositoryError       a repository cannot be used
    │   │   ├── RepositoryGone    it is not there (any more)
    │   │   ├── RepositoryBroken  it is there, but incomplete, corrupt or unreadable
    │   │   └── NoBuildGroup      Koji has no build group for it, so nobody knows its base buildroot
    │   ├── BusError              the message broker
    │   └── WebhookError          a webhook's receiver did not take what it was sent
    ├── EventError                an event does not fit its message schema: our own mistake
    └── MessageError              a message from the bus makes no sense: somebody else's

The message of each says what is wrong, where, and what to do about it; it is shown to people as it is.
"""


class KoscheiError(Exception):
    """Something went wrong in a way Koschei knows about."""


class ConfigError(KoscheiError):
    """The configuration cannot be used."""


class UserError(KoscheiError):
    """The request cannot be carried out as it was made; nothing was changed. `field`: the value at fault, if one is."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        self.field = field
        super().__init__(message)


class NotFoundError(UserError):
    """There is no such thing."""


class AlreadyExistsError(UserError):
    """The name is taken."""


class InvalidInputError(UserError):
    """The value cannot be used."""


class NotAllowedError(UserError):
    """The person has no right to do this."""


class TooManyEditsError(UserError):
    """The person has used up the edits of this hour; `wait` is the number of seconds until there is another."""

    def __init__(self, message: str, wait: int) -> None:
        self.wait = wait
        super().__init__(message)


class ServiceError(KoscheiError):
    """Something Koschei depends on does not work at the moment."""


class DatabaseError(ServiceError):
    """The database cannot be used."""


class TablesBusy(DatabaseError):  # noqa: N818
    """A migration did not get its locks, because others use the tables; it changed nothing and can be repeated."""


class KojiError(ServiceError):
    """Koji did not do what was asked."""


class KojiOutage(KojiError):  # noqa: N818 - an outage is what it is
    """Koji cannot be reached or is not working; the same call may work later."""


class KojiAuthError(KojiError):
    """Koji does not accept our credentials, even in a fresh session, or lets us submit nothing."""


class KojiRefusal(KojiError):  # noqa: N818
    """Koji answered with a fault; `code` is its fault code (that of a koji.GenericError), `text` its words."""

    def __init__(self, method: str, code: int, text: str) -> None:
        self.method = method
        self.code = code
        self.text = text
        super().__init__(f"Koji refused {method}: {text} (fault {code})")


class LostReply(KojiError):  # noqa: N818
    """The reply to a write was lost: it may or may not have happened."""


class RepositoryError(ServiceError):
    """A package repository cannot be used."""


class RepositoryGone(RepositoryError):  # noqa: N818
    """The repository is not there (any more)."""


class RepositoryBroken(RepositoryError):  # noqa: N818
    """The repository is there but cannot be read."""


class NoBuildGroup(RepositoryError):  # noqa: N818
    """Koji has no build group of that name as of the repository."""


class BusError(ServiceError):
    """The message broker cannot be reached or refused a message."""


class WebhookError(ServiceError):
    """A webhook's receiver cannot be reached or refused what it was sent."""


class EventError(KoscheiError):
    """An event does not fit the schema of its message."""


class MessageError(KoscheiError):
    """A message from the bus makes no sense; that it comes again would not help."""
