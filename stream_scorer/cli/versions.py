"""What `--version` prints: whoever reports a fault names the libraries that it may lie in."""

import platform
from importlib.metadata import PackageNotFoundError, version

from stream_scorer import __version__
from stream_scorer.adapters.kafka.client import librdkafka_version

_PACKAGES = ("confluent-kafka", "redis", "numpy", "pydantic", "msgspec", "pyarrow", "torch")


def versions() -> list[tuple[str, str]]:
    """Return names and versions, ours first; those of extras that are not installed are said to be so."""
    libraries = {each: _version_of(each) for each in _PACKAGES}
    return [
        ("stream-scorer", __version__),
        ("python", platform.python_version()),
        ("librdkafka", librdkafka_version()),
        *libraries.items(),
    ]


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
