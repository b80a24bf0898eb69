"""Schemas by id and by subject, from a registry that may be away for a while."""

import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from json import JSONDecodeError
from typing import Literal, NamedTuple, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.error import OAuthTokenError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from stream_scorer.errors import NotReady, UsageError

Answer = TypeVar("Answer")
Kind = Literal["AVRO", "JSON", "PROTOBUF"]

VERSIONS_MAX = 20  # of a subject, among which ours is looked for, from the newest
_ASK_S = 5.0
_REFUSED = (401, 403)
_NOT_FOUND, _TOO_MANY, _SERVER_FAULT = 404, 429, 500
_NO_SCHEMA = 40403  # the code of Confluent's API; a bare 404 may also be another server's, or a wrong path's
_ID_MAX = 2**31 - 1
_UNKNOWN_FOR_S = 1.0


class SchemaIds(NamedTuple):
    """Both ids of a schema as a frame has them; not every registry gives GUIDs."""

    number: bytes
    guid: bytes | None


class SchemaRegistry:
    """One registry. Schemas never change under their ids: each is asked for once, and kept."""

    def __init__(self, url: str, config: Mapping[str, str], *, wait_s: float, register: bool) -> None:
        """Ask nothing yet; with `register`, schemas that a subject lacks are registered.

        Each question is asked again for `wait_s` while the registry is away. Raises UsageError for wrong settings.
        """
        self.url, self.wait_s, self.register = url, wait_s, register
        try:
            self.client = SchemaRegistryClient.new_client({"max.retries": 0, "timeout": _ASK_S, **config, "url": url})
        except (TypeError, ValueError, OSError) as error:
            raise UsageError(f"wire.registry: {error}") from error
        self._unknown: set[bytes] = set()
        self._unknown_until_s = 0.0
        weakref.finalize(self, self.client.close)  # as long-lived as what reads by it, which nobody closes

    def asking(self, ask: Callable[[], Answer]) -> Answer:
        """Return the answer to a question, in which the registry may be asked.

        Raises NotReady once it has not answered for `wait_s`, UsageError where it refuses who asks or something else
        answers, and SchemaRegistryError for what it says of the question itself.
        """
        tries = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(self.wait_s),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            reraise=True,
        )
        try:
            return tries(ask)
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise NotReady(f"the schema registry {self.url} did not answer for {self.wait_s:g} s: {reason}") from error
        except OAuthTokenError as error:
            raise UsageError(f"no token for the schema registry {self.url}: {error}; see wire.registry") from error
        except JSONDecodeError as error:
            raise self._no_registry("it is not JSON") from error
        except SchemaRegistryError as error:
            if error.http_status_code in _REFUSED:
                raise UsageError(f"the schema registry {self.url} refuses us: {error}; see wire.registry") from error
            if _may_pass(error):
                raise NotReady(f"the schema registry {self.url} failed for {self.wait_s:g} s: {error}") from error
            raise

    def reach(self) -> None:
        """Ask for all subjects. Raises as `asking` does, and UsageError where the URL is not that of a registry."""
        try:
            self.asking(self.client.get_subjects)
        except SchemaRegistryError as error:
            raise self._no_registry(error) from error

    def _no_registry(self, why: object) -> UsageError:
        return UsageError(
            f"{self.url} does not answer as a schema registry does ({why}): wire.registry_url must be the place "
            "of Confluent's API, such as http://host:8081, of Apicurio http://host:8080/apis/ccompat/v7"
        )

    def schema(self, schema_id: bytes) -> Schema | None:
        """Return a schema by its id as a frame has it; None: the registry does not know it, or did not a second ago.

        Raises as `reach` does: a registry that says nothing of schemas must not make good records look wrong.
        """
        now_s = time.monotonic()
        if now_s > self._unknown_until_s:
            self._unknown.clear()
            self._unknown_until_s = now_s + _UNKNOWN_FOR_S
        # a producer of another registry must not cost a question for each of its records
        if schema_id in self._unknown:
            return None
        found = self._ask_for(schema_id)
        if found is None:
            self._unknown.add(schema_id)
        return found

    def _ask_for(self, schema_id: bytes) -> Schema | None:
        client = self.client
        try:
            if schema_id[0] == 0:
                number = int.from_bytes(schema_id[1:], "big")
                if not 1 <= number <= _ID_MAX:
                    return None
                return self.asking(lambda: client.get_schema(number, fmt="serialized"))
            guid = _guid(schema_id[1:].hex())
            return self.asking(lambda: client.get_schema_by_guid(guid, fmt="serialized"))
        except SchemaRegistryError as error:
            if error.http_status_code != _NOT_FOUND:
                raise NotReady(f"the schema registry {self.url} cannot say what a schema is: {error}") from error
            if error.error_code != _NO_SCHEMA:
                self.reach()
            return None

    def ids_of(self, subject: str, text: str, kind: Kind, *, same: Callable[[Schema], bool]) -> SchemaIds:
        """Return the ids of our schema in a subject, after it was registered where that is allowed.

        Where it may not be, `same` says which of the subject's versions is ours, however it is written. Raises
        UsageError where the subject lacks it or does not take it, and as `asking` does.
        """
        schema, client = Schema(text, kind), self.client
        try:
            if self.register:
                made = self.asking(lambda: client.register_schema_full_response(subject, schema))
                return _ids(made.schema_id, made.guid)
            return self._found(subject, same)
        except SchemaRegistryError as error:
            raise UsageError(_why_not(subject, error, register=self.register)) from error

    def _found(self, subject: str, same: Callable[[Schema], bool]) -> SchemaIds:
        versions = self.asking(lambda: self.client.get_versions(subject))
        for version in sorted(versions, reverse=True)[:VERSIONS_MAX]:
            there = self.asking(partial(self.client.get_version, subject, version, fmt="serialized"))
            if same(there.schema):
                return _ids(there.schema_id, there.guid)
        raise UsageError(
            f"none of the newest {VERSIONS_MAX} versions of the subject {subject} is our schema: register the one in "
            "schemas/, or set wire.register_schemas"
        )

    def newest(self, subject: str) -> Schema | None:
        """Return the newest schema of a subject; None: there is none. Raises as `reach` does."""
        try:
            return self.asking(lambda: self.client.get_latest_version(subject, fmt="serialized")).schema
        except SchemaRegistryError:
            self.reach()
            return None

    def takes(self, subject: str, text: str, kind: Kind) -> bool:
        """Return whether a subject that exists would take our schema. Raises as `reach` does."""
        try:
            return self.asking(lambda: self.client.test_compatibility(subject, Schema(text, kind)))
        except SchemaRegistryError:
            self.reach()
            return True  # some registries cannot say; registering will


def _why_not(subject: str, error: SchemaRegistryError, *, register: bool) -> str:
    if register:
        return f"the schema registry does not take our schema for the subject {subject}: {error}"
    return (
        f"the schema registry has no subject {subject} ({error}): register the schema of schemas/ there, or set "
        "wire.register_schemas"
    )


def _ids(number: int | None, guid: str | None) -> SchemaIds:
    assert number is not None, "a registry names what it has by a number"
    return SchemaIds(
        b"\0" + number.to_bytes(4, "big"), None if guid is None else b"\1" + bytes.fromhex(guid.replace("-", ""))
    )


def _guid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, SchemaRegistryError):
        return error.http_status_code == _TOO_MANY or error.http_status_code >= _SERVER_FAULT
    return isinstance(error, httpx2.TransportError)
