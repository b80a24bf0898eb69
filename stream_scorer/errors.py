"""Every exception that crosses a module's border.

StreamScorerError
├── UsageError              wrong command, flag, file or setting: exit code 2
│   ├── OtherShape          a training cannot go on from an earlier model: its towers have other sizes
│   ├── BadMessage          a program's message would become a dead letter, with its code
│   └── AwaitedAlready      a program asks again for a ranking that it still awaits
├── BadModel                a model or release that must not serve: says what is wrong and by how much
│   ├── ClosedProgram       a tower's program that the settings deny, or that needs what is not installed
│   └── GateRefusal         the gate's faults speak against a release, which publish could be forced to overlook
├── ReleaseError            a release in the store that is absent, incomplete or not what its manifest says
├── Stopped                 asked to stop before the work began: exit code 0
├── NotReady                something needed is not there yet (a broker, a topic, a first release)
├── NotDelivered            the brokers did not take a record that a program sent: sending it again may help
├── RequestRefused          a request became a dead letter, with its code
├── TransientError          trouble outside that may pass: retried with a bound
│   └── NoRanking           no ranking came in time: the request may still be answered
└── StreamError             the transactional stream
    ├── BatchAborted        outputs and offsets of this batch were not written: rewind, read again
    └── FatalStreamError    the outcome is unknown or we were fenced: end the process, the successor settles it

A record that can never be processed is no exception but a `DeadLetter`, a value. Our own mistakes are ordinary Python
exceptions, which nobody catches.
"""


class StreamScorerError(Exception):
    """Root of the tree."""


class UsageError(StreamScorerError):
    """A wrong command, flag, file or setting: whoever runs the command can correct it."""


class OtherShape(UsageError):
    """A training cannot go on from an earlier model, whose towers have other widths or layers."""


class BadMessage(UsageError):
    """A program's message would become a dead letter: `code` and `reason` are those that it would have."""

    def __init__(self, kind: str, reason: str, code: str) -> None:
        """Say of which kind of message, and why."""
        super().__init__(kind, reason, code)
        self.reason, self.code = reason, code

    def __str__(self) -> str:
        """Return the kind of message, the reason and the code."""
        kind, reason, code = self.args
        return f"{kind}: {reason} ({code})"


class AwaitedAlready(UsageError):
    """A program asks for the ranking of a request whose id is awaited already."""


class BadModel(StreamScorerError):
    """A model or release that must not serve."""


class ClosedProgram(BadModel):
    """A tower's program that may not be opened here, or that needs what is not installed."""


class GateRefusal(BadModel):
    """The gate found faults in a release; `publish --force` would overlook them."""


class ReleaseError(StreamScorerError):
    """A stored release is absent, incomplete, or not what its manifest says."""


class Stopped(StreamScorerError):
    """The process was asked to stop before the work began; nothing is wrong."""


class NotReady(StreamScorerError):
    """Something that is needed does not exist yet: a broker, a topic, a first release."""


class TransientError(StreamScorerError):
    """Trouble outside that may pass; whoever raises it has retried, with a bound."""


class NoRanking(TransientError):
    """No ranking of a request came in time; the request stays on its topic, and may still be answered."""


class NotDelivered(StreamScorerError):
    """The brokers did not take a record that a program sent; it may have arrived where no answer came."""


class RequestRefused(StreamScorerError):
    """The ranker refused a request: `code` is that of its dead letter."""

    def __init__(self, code: str, message: str) -> None:
        """Say why."""
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        """Return the reason and the code."""
        return f"{self.args[1]} ({self.code})"


class StreamError(StreamScorerError):
    """Trouble of the transactional stream."""


class BatchAborted(StreamError):
    """Nothing of the batch was written; after `membership_lost`, writing it again cannot succeed."""

    def __init__(self, message: str, membership_lost: bool = False) -> None:  # noqa: FBT002  args are positional
        """Say why."""
        super().__init__(message, membership_lost)
        self.membership_lost = membership_lost

    def __str__(self) -> str:
        """Return the reason."""
        return str(self.args[0])


class FatalStreamError(StreamError):
    """The process must end; its successor's `init_transactions` settles what is open."""
