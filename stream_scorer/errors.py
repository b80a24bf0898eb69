"""Every exception that crosses a module's border.

StreamScorerError
├── UsageError              wrong command, flag, file or setting: exit code 2
├── BadModel                a model or release that must not serve: says what is wrong and by how much
├── ReleaseError            a release in the store that is absent, incomplete or not what its manifest says
├── Stopped                 asked to stop before the work began: exit code 0
├── NotReady                something needed is not there yet (a broker, a topic, a first release)
├── TransientError          trouble outside that may pass: retried with a bound
└── StreamError             the transactional stream
    ├── BatchAborted        outputs and offsets of this batch were not written: rewind, read again
    └── FatalStreamError    the outcome is unknown or we were fenced: end the process, the successor settles it

A record that can never be processed is no exception but a `DeadLetter`, a value. Our own mistakes are ordinary Python
exceptions, which nobody catches.
"""


class StreamScorerError(Exception):
    """Root of the tree."""


class UsageError(StreamScorerError):
    """The person running the command can put it right."""


class BadModel(StreamScorerError):
    """A model or release that must not serve."""


class ReleaseError(StreamScorerError):
    """A stored release is absent, incomplete, or not what its manifest says."""


class Stopped(StreamScorerError):
    """Asked to stop before the work began; nothing is wrong."""


class NotReady(StreamScorerError):
    """Something needed is not there yet."""


class TransientError(StreamScorerError):
    """Trouble outside that may pass."""


class StreamError(StreamScorerError):
    """Trouble of the transactional stream."""


class BatchAborted(StreamError):
    """Nothing of the batch was written; `membership_lost` says that writing the same again cannot succeed."""

    def __init__(self, message: str, membership_lost: bool = False) -> None:  # noqa: FBT002 - an exception's args are positional
        """Say why."""
        super().__init__(message, membership_lost)
        self.membership_lost = membership_lost

    def __str__(self) -> str:
        """Return the reason."""
        return str(self.args[0])


class FatalStreamError(StreamError):
    """The process must end; its successor's `init_transactions` settles what is open."""
