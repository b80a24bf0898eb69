"""Starting processes as a person at a terminal would."""

import signal


def heed_ctrl_c() -> None:
    """Let a child heed SIGINT (as preexec_fn): jobs that a shell runs in the background ignore it, and hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
