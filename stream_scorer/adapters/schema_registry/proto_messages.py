"""Messages of Protobuf as JSON has them, by the descriptor that they were written with."""

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from stream_scorer.core.forms.feature_values import NUMBERS, TEXTS, with_values

_WHOLE = {
    FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}  # fmt: skip
_BROKEN = {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}
_WRAPPERS = tuple(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String")
)
_PLAIN_KINDS = {"number", "text", "flag"}
Convert = Callable[[Any], Any]


class Unreadable(Exception):
    """A message holds what none of ours can, or what could mean two things."""


class MessageReader:
    """Reads the messages of one descriptor; the contract then judges what it reads, by the names of the fields."""

    def __init__(self, descriptor: Descriptor, names: Sequence[str], nullable: frozenset[str]) -> None:
        """Read only these fields; those that may be null are null where the writer set none."""
        self._nullable = nullable
        self._parts: dict[str, Convert] = {}
        places = {name: place for place, name in enumerate(names)}
        kept = sorted((each for each in descriptor.fields if each.name in places), key=lambda each: places[each.name])
        self._fields = [_Field(each, self, at_top=True) for each in kept]

    def read(self, message: Any) -> dict[str, Any]:
        """Return a message as JSON has it, its fields in our order.

        Raises Unreadable, and OverflowError for NaN and infinities.
        """
        found = self.object(self._fields, message)
        if isinstance(offers := found.get("offers"), dict):
            found["offers"] = _candidates(offers)
        return with_values(found, _unwrapped)

    def part(self, message: Any) -> dict[str, Any]:
        """Return a message within another."""
        descriptor = message.DESCRIPTOR
        read = self._parts.get(descriptor.full_name)
        if read is None:
            read = self._parts[descriptor.full_name] = self._part_reader(descriptor)
        found: dict[str, Any] = read(message)
        return found

    def _part_reader(self, descriptor: Descriptor) -> Convert:
        known = [_Field(each, self) for each in descriptor.fields]
        if len(descriptor.oneofs) != 1 or len(descriptor.oneofs[0].fields) != len(known):
            return partial(self.object, known)
        # one choice, such as our Value: asked which it is, and not of each whether it is
        name, converters = descriptor.oneofs[0].name, {each.name: each.convert for each in known}

        def read(message: Any) -> dict[str, Any]:
            chosen = message.WhichOneof(name)
            return {} if chosen is None else {chosen: converters[chosen](getattr(message, chosen))}

        return read

    def object(self, known: "Sequence[_Field]", message: Any) -> dict[str, Any]:
        """Return the fields that are set; a field that cannot say so has its value."""
        found: dict[str, Any] = {}
        for field in known:
            if not field.has_presence or message.HasField(field.name):
                found[field.name] = field.convert(getattr(message, field.name))
            elif field.name in self._nullable:
                found[field.name] = None
        return found


class _Field:
    """How the values of one field become JSON."""

    __slots__ = ("convert", "has_presence", "name")

    def __init__(self, field: FieldDescriptor, reader: MessageReader, *, at_top: bool = False) -> None:
        self.name, self.has_presence = field.name, field.has_presence
        one = _converter(field, reader)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            inner = _converter(field.message_type.fields_by_name["value"], reader)
            # a map has no order, and its names are sorted: the same bytes whenever it is read
            self.convert: Convert = lambda entries: {name: inner(entries[name]) for name in sorted(map(_text, entries))}
        elif field.is_repeated:
            plain = field.message_type is None
            self.convert = _unless_empty(one) if at_top and field.name == "offers" and plain else _listed(one)
        elif at_top and not field.has_presence and field.cpp_type in _WHOLE:
            self.convert = _unless_zero
        else:
            self.convert = one


def _converter(field: FieldDescriptor, reader: MessageReader) -> Convert:
    if field.message_type is not None:
        return _part_converter(field.message_type, reader)
    if field.cpp_type in _BROKEN:
        return _finite
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        names = {number: each.name for number, each in field.enum_type.values_by_number.items()}
        return lambda number: _named(names, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _no_bytes
    return _text if field.type == FieldDescriptor.TYPE_STRING else _same


def _part_converter(kind: Descriptor, reader: MessageReader) -> Convert:
    if kind.full_name == "google.protobuf.Timestamp":
        return lambda time: time.seconds * 1_000 + time.nanos // 1_000_000
    if kind.full_name == "google.protobuf.Struct":
        return lambda struct: {name: _any(struct.fields[name]) for name in sorted(struct.fields)}
    if kind.full_name == "google.protobuf.Value":
        return _any
    if kind.full_name in _WRAPPERS:
        return lambda wrapper: _finite(wrapper.value)
    return reader.part


def _any(value: Any) -> Any:
    """Return a value of Struct, which any language may hold features in."""
    kind = value.WhichOneof("kind")
    if kind is None or kind == "struct_value":
        raise Unreadable("a value of a feature is an object, or of no kind")
    if kind == "null_value":
        return None
    inner = getattr(value, kind)
    return [_any(each) for each in inner.values] if kind == "list_value" else _finite(inner)


def _unwrapped(value: Any) -> Any:
    """Return a feature's value; writers may have plain maps of numbers, or the kinds of our `Value`."""
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise Unreadable("a value of a feature is of no kind, or of several")
    ((kind, inner),) = value.items()
    if kind == "null":
        return None
    if kind in {TEXTS, NUMBERS} and isinstance(inner, dict) and "values" in inner:
        return inner["values"]
    if kind in _PLAIN_KINDS:
        return inner
    raise Unreadable("a value of a feature is of a kind that no message has")


def _candidates(held: dict[str, Any]) -> list[Any]:
    """Return a request's offers from the message that tells an empty list from none."""
    lists = [held[name] for name in ("ids", "offers") if isinstance(held.get(name), list)]
    full = [each for each in lists if each]
    if not lists or len(full) > 1:
        raise Unreadable("offers must hold ids, or objects that state features, and not both")
    return full[0] if full else []


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        # schemas of proto2 let any bytes be a string, and those that are not UTF-8 come as bytes
        raise Unreadable("a text is not UTF-8, or the names in a map are no text")
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        raise OverflowError
    return value


def _named(names: dict[int, str], number: int) -> str:
    if number not in names:
        raise Unreadable("an enum has a number that its schema does not name")
    return names[number]


def _no_bytes(value: bytes) -> Any:
    raise Unreadable("a field is of bytes, which no message has")


def _unless_zero(value: int) -> int:
    if value == 0:
        raise Unreadable("a whole number is 0 or was never set, which the schema does not tell: make it optional")
    return value


def _listed(one: Convert) -> Convert:
    return list if one is _same else lambda values: [one(each) for each in values]


def _unless_empty(one: Convert) -> Convert:
    def convert(values: Any) -> list[Any]:
        if not values:
            raise Unreadable("offers is empty or was never set, which the schema does not tell: hold it in a message")
        return [one(each) for each in values]

    return convert
