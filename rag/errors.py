"""Every error of ours, one tree, mapped once to HTTP status and exit code:

RagError                   status  exit   what went wrong; the message names the thing and the remedy
├── WrongUsage             400     2      the request or setting itself is wrong
│   ├── WrongSetting       400     2      a setting is unknown or its value does not fit
│   └── WrongFilter        422     2      a filter names an unknown operator or field, or has the wrong form
├── NotPermitted           403     1      known, but not allowed to do this
│   └── NotAuthenticated   401     1      no valid token
├── NotFound               404     1      no such collection, document, interaction
├── Conflict               409     1      it exists already, or changed meanwhile
├── TooMuch                413     1      over a stated limit
├── NotReady               503     1      the store needs an upgrade, a model or index is missing
│   ├── StoreNotReady      503     1      the database is missing, locked, or of another version
│   ├── ModelNotReady      503     1      a model is not installed, or not what it should be
│   ├── IndexDamaged       503     1      a snapshot fails its checksum; it is rebuilt from SQL
│   └── Busy               503     1      as many requests wait already as may; again in a moment
└── GeneratorFailed        502     1      the generator gave no (whole) answer
"""


class RagError(Exception):
    """An error whose message can be shown to whoever asked."""

    status = 500
    exit_code = 1


class WrongUsage(RagError):
    status, exit_code = 400, 2


class WrongSetting(WrongUsage):
    pass


class WrongFilter(WrongUsage):
    status = 422


class NotPermitted(RagError):
    status = 403


class NotAuthenticated(NotPermitted):
    status = 401


class NotFound(RagError):
    status = 404


class Conflict(RagError):
    status = 409


class TooMuch(RagError):
    status = 413


class NotReady(RagError):
    status = 503


class StoreNotReady(NotReady):
    pass


class ModelNotReady(NotReady):
    pass


class IndexDamaged(NotReady):
    pass


class Busy(NotReady):
    def __init__(self, message: str, retry_after_s: float) -> None:
        """retry_after_s: when asking again makes sense; over HTTP the header Retry-After."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class GeneratorFailed(RagError):
    status = 502
