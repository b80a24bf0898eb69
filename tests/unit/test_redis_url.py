"""A Redis URL keeps its secret, and changes nothing of the client that it should not."""

import pytest
import redis

from stream_scorer.redis_url import fault_of, masked_url

GOOD = [
    "redis://localhost:6379/0",
    "redis://there",
    "redis:///3",
    "rediss://me:p%2Fw@there:1/0?ssl_cert_reqs=none&ssl_check_hostname=false",
    "unix:///tmp/redis.sock?db=2",
    "redis://me:a@b@there/1?client_name=ring",
]
TORN = ["a/hush", "12#hush", "12/hush", "a?hush", "hu[sh", "hush/", "x#@hush"]


@pytest.mark.parametrize("url", GOOD)
def test_a_usable_url_has_no_fault(url: str) -> None:
    assert fault_of(url) is None
    redis.Redis.from_url(url)


@pytest.mark.parametrize("password", TORN)
@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_a_torn_url_hides_its_password(scheme: str, password: str) -> None:
    url = f"{scheme}://me:{password}@there:6379/0"
    fault = fault_of(url)
    assert fault is not None
    assert "%2F" in fault
    assert "hush" not in fault + masked_url(url)


@pytest.mark.parametrize(
    "option",
    [
        "decode_responses=True",
        "socket_timeout=9",
        "protocol=3",
        "encoding=latin-1",
        "max_connections=1",
        "ssl_ciphers=x",
    ],
)
def test_client_options_are_refused_by_name(option: str) -> None:
    fault = fault_of(f"redis://there/0?{option}")
    assert fault is not None
    assert option.partition("=")[0] in fault


@pytest.mark.parametrize(("query", "name"), [("db=x", "db"), ("ssl_cert_reqs=maybe", "ssl_cert_reqs")])
def test_an_option_of_no_meaning_is_refused(query: str, name: str) -> None:
    assert name in (fault_of(f"rediss://there?{query}") or "")


@pytest.mark.parametrize("url", ["", "there:6379", "http://there", "redis://there:0", "redis://there/zero"])
def test_what_names_no_redis_is_refused(url: str) -> None:
    assert fault_of(url) is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:hush@there:1/0", "redis://me:********@there:1/0"),
        ("redis://:hush@there", "redis://:********@there"),
        ("redis://there/0?password=hush&client_name=ring", "redis://there/0?password=********&client_name=ring"),
        ("rediss://there?ssl_password=hush", "rediss://there?ssl_password=********"),
        ("redis://there/0?pasword=hush", "redis://********"),
        ("hush", "********"),
    ],
)
def test_a_secret_is_masked_wherever_it_stands(url: str, shown: str) -> None:
    assert masked_url(url) == shown
