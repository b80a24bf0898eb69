"""What MLflow and the stores of its artifacts raise, as errors of ours."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException

from stream_scorer.errors import TransientError, UsageError

_REFUSALS = {
    "RESOURCE_DOES_NOT_EXIST",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "BAD_REQUEST",
    "ENDPOINT_NOT_FOUND",
}
# MLflow lets these pass as they are. Their libraries are there only where a store of that kind is used.
_OF_STORES = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("boto3.exceptions", "Boto3Error"),
    ("azure.core.exceptions", "AzureError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)
_USER_INFO = re.compile(r"//[^/\s@]+@")


@contextmanager
def reached(doing: str) -> Iterator[None]:
    """Raise UsageError for what MLflow refuses or lacks a library for, TransientError where it doesn't answer."""
    try:
        yield
    except MlflowException as error:
        sentence = _sentence(doing, error)
        raise (UsageError if error.error_code in _REFUSALS else TransientError)(sentence) from error
    except ImportError as error:
        needed = "this kind of address needs a library that is not installed"
        raise UsageError(f"{doing}: {needed} ({error}); a tracking server's begins with https://") from error
    except _troubles() as error:
        raise TransientError(_sentence(doing, error)) from error


def _troubles() -> tuple[type[Exception], ...]:
    loaded = ((sys.modules.get(module), name) for module, name in _OF_STORES)
    return (OSError, *(getattr(module, name) for module, name in loaded if module is not None))


def _sentence(doing: str, error: Exception) -> str:
    """Return the first line of an error's text, without a password that an address in it may hold."""
    return f"{doing}: {_USER_INFO.sub('//********@', str(error).partition(chr(10))[0])}"
