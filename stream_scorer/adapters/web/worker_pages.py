"""Reads the metrics of workers over HTTP, from the addresses in the settings alone."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator

from stream_scorer.core.inspecting.worker_metrics import MetricSample
from stream_scorer.errors import TransientError

_BYTES_MAX = 5_000_000


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses to be sent elsewhere: what is read is what the settings name."""

    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


def read_metrics(url: str, *, timeout_s: float) -> list[MetricSample]:
    """Return the samples at a URL. Raises TransientError where it does not answer with metrics."""
    try:
        with _opener.open(url, timeout=timeout_s) as page:
            text = page.read(_BYTES_MAX).decode()
        return list(_samples(text))
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise TransientError(f"{url} does not answer with metrics: {reason}") from error


def _samples(text: str) -> Iterator[MetricSample]:
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for each in family.samples:
            yield MetricSample(each.name, tuple(each.labels.items()), each.value)
