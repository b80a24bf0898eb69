"""The URL of Redis: what of it may be shown, and why one is refused before a client sees it."""

from urllib.parse import parse_qsl, urlsplit

MASK = "********"

_SCHEMES = ("redis", "rediss", "unix")
_ENCODE = "percent-encode the characters / # ? @ : % of a user name or password (/ is %2F, # is %23)"
# what an option of the URL may change; all others, such as decode_responses or socket_timeout, are the client's own
# business
_OPTIONS = {"db", "username", "password", "client_name", "health_check_interval", "socket_keepalive"}
_TLS_OPTIONS = {
    f"ssl_{name}"
    for name in ("ca_certs", "ca_data", "ca_path", "cert_reqs", "certfile", "check_hostname", "ciphers", "keyfile")
} | {"ssl_min_version", "ssl_password"}
_NUMBERS = {"db", "health_check_interval", "ssl_min_version"}
_OPEN_OPTIONS = (_OPTIONS | _TLS_OPTIONS) - {"username", "password", "ssl_password", "ssl_ca_data"}


def fault_of(url: str) -> str | None:
    """Return why a URL cannot be used, without any part of it that may be secret; None when it can."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        return f"must begin with {', '.join(f'{each}://' for each in _SCHEMES)}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text shows what stands in the port's place: a part of the password, as like as not
        return f"the host or port cannot be read; {_ENCODE}"
    if "#" in url or "@" in parts.path or "@" in parts.query:
        return f"the host ends before an @ or at a #; {_ENCODE}"
    if port == 0:
        return "the port must be between 1 and 65535, got 0"
    if scheme != "unix" and parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        return "the path must be the number of a database, as /0"
    return _fault_of_options(scheme, parts.query)


def _fault_of_options(scheme: str, query: str) -> str | None:
    allowed = _OPTIONS | (_TLS_OPTIONS if scheme == "rediss" else set())
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _TLS_OPTIONS and scheme != "rediss":
            return f"{name} needs rediss://"
        if name not in allowed:
            known = name if name.isidentifier() and len(name) < 40 else "an option"
            return f"{known} cannot be set in the URL; these can: {', '.join(sorted(allowed))}"
        if name in _NUMBERS and not value.isdecimal():
            return f"{name} must be a whole number"
        if name == "ssl_cert_reqs" and value not in {"none", "optional", "required"}:
            return "ssl_cert_reqs must be none, optional or required"
    return None


def masked_url(url: str) -> str:
    """Return the URL with scheme, user, host, database and options, and without anything that may be a password."""
    if fault_of(url) is not None:
        scheme, separator, _ = url.partition("://")
        return f"{scheme}{separator}{MASK}" if scheme in _SCHEMES else MASK
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{parts.scheme}://{user}{colon}{MASK if colon else ''}{at}{host}{parts.path}"
    options = [
        f"{name}={value if name in _OPEN_OPTIONS else MASK}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    return f"{shown}?{'&'.join(options)}" if options else shown
