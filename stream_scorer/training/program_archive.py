"""Checks an archive of torch.export before torch sees it, and writes a new archive of nothing but what was checked.

`torch.export.load` trusts its input: it hands size expressions and guards to Python's parser, looks up operators by any
dotted name, imports the containers that a tree names, and unpickles constants. Here each of these is refused unless it
has a form that cannot run code. A zip file may state things twice and differently, so a new one is written: what torch
reads is byte for byte what was checked.
"""

import io
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import torch

from stream_scorer.errors import BadModel

Json = Any

ARCHIVE_BYTES_MAX = 2**30
JSON_BYTES_MAX = 2**25
FILES_MAX = 10_000
NUMBERS_MAX = 2**30  # of one tensor: torch makes a tensor of any declared size, even from an empty file

_ROOT = "archive"
_JSON = re.compile(r"(models/[^/]+|data/(weights|constants)/[^/]+_config)\.json")
_RAW = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|extra/.*|archive_(format|version)|\.data/[^/]+|byteorder"
)
_PICKLED = re.compile(r"data/sample_inputs/[^/]+\.pt")
_SYMBOL = re.compile(
    r"-?\d{1,18}|[a-z]{1,4}\d{1,9}|Symbol\('[a-z]{1,4}\d{1,9}'(, (positive|integer|nonnegative)=True)*\)"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.(?P<name>\w+)\.\w+|_operator\.(add|sub|mul|floordiv|mod|neg|getitem)")
_FILE_OPERATORS = {"from_file", "save", "load"}  # the operators of aten that read or write files
_ARGUMENT = re.compile(
    r"as_(none|name|tensors?|optional_tensors?|nested_tensors|ints?|int_lists|floats?|float_lists|bools?|strings?"
    r"|scalar_type|memory_format|layout|device|sym_(int|float|bool)s?|expr)"
)
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_DROPPED: dict[str, Json] = {
    "metadata": {},
    "guards_code": [],
    "treespec_namedtuple_fields": {},
}  # emptied, not checked: these serve only debugging and checks of shapes


def cleaned(data: bytes) -> bytes:
    """Return a new archive with the same program.

    Raises BadModel for bytes that are no archive, are too large, or could run code on loading.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _written(_checked(archive, len(data)))
    except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, OSError, struct.error) as error:
        raise BadModel(f"the program is no archive of torch.export: {error}") from error


def _checked(archive: zipfile.ZipFile, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file.

    Compressed files are refused, so the files together cannot be larger than the archive: no zip bomb unpacks here.
    """
    files = archive.infolist()
    unpacked = sum(file.file_size for file in files)
    stored = unpacked <= size and all(file.compress_type == zipfile.ZIP_STORED for file in files)
    if not stored or size > ARCHIVE_BYTES_MAX or len(files) > FILES_MAX:
        _refuse(
            f"{len(files)} files of {unpacked} bytes in {size}; at most {FILES_MAX}, uncompressed, "
            f"{ARCHIVE_BYTES_MAX} bytes"
        )
    names = [file.filename.partition("/")[2] for file in files]
    # A zip reader may ignore case when it looks up a name: which of two such files torch reads would be uncertain.
    if len({name.casefold() for name in names}) < len(names):
        _refuse("two files of one name")
    for name, file in zip(names, files, strict=True):
        yield name, _checked_file(name, archive.read(file))


def _checked_file(name: str, content: bytes) -> bytes:
    if _JSON.fullmatch(name):
        return json.dumps(_checked_json(name, content)).encode()
    if not _RAW.fullmatch(name) and not (_PICKLED.fullmatch(name) and _is_plain(content)):
        _refuse(f"{name}, which may run code on loading")
    return content


def _written(files: Iterator[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files:
            archive.writestr(f"{_ROOT}/{name}", content)
    return made.getvalue()


def _checked_json(name: str, content: bytes) -> Json:
    """Return the parsed JSON after checking every key in it.

    It is walked without recursion, as deep JSON would exhaust the stack. A repeated key is refused, because another
    parser might take the other value.
    """
    if len(content) > JSON_BYTES_MAX:
        _refuse(f"{name} of {len(content)} bytes, at most {JSON_BYTES_MAX}")
    try:
        whole = json.loads(content, object_pairs_hook=_unique)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadModel(f"the program is no archive of torch.export: {name} is not JSON: {error}") from error
    rest = [whole]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            value.update({key: empty for key, empty in _DROPPED.items() if key in value})
            for key, inner in value.items():
                _check_key(name, key, inner)
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return whole


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) < len(pairs):
        _refuse("a key twice in one JSON object")
    return made


def _check_key(place: str, key: str, value: Json) -> None:
    """Refuse a value that its key makes dangerous; a weight that is named like such a key is checked the same way."""
    check = _CHECKS.get(key)
    if (key.startswith("as_") and not _ARGUMENT.fullmatch(key)) or (check is not None and not check(value)):
        _refuse(
            f"{key} = {json.dumps(value)[:100]} in {place}, which may run code on loading or take any amount of memory"
        )


def _is_symbol(value: Json) -> bool:
    """Return whether a size expression is an integer or the name of an integer, which needs no evaluation."""
    return isinstance(value, str) and _SYMBOL.fullmatch(value) is not None


def _is_operator(value: Json) -> bool:
    found = _OPERATOR.fullmatch(value) if isinstance(value, str) else None
    return found is not None and found["name"] not in _FILE_OPERATORS


def _is_plain_tree(value: Json) -> bool:
    """Return whether a tree has only tuples, lists and dicts; other containers name modules that torch would import."""
    try:
        protocol, tree = json.loads(value, object_pairs_hook=_unique)
    except (TypeError, ValueError, RecursionError):
        return False
    rest = [tree]
    while rest:
        node = rest.pop()
        if not isinstance(node, dict) or node.get("type") not in _CONTAINERS or "__enum__" in str(node.get("context")):
            return False
        rest += node.get("children_spec", [])
    return bool(protocol == 1)


def _is_small(value: Json) -> bool:
    numbers = 1
    for size in value if isinstance(value, list) else []:
        known = size.get("as_int", 1) if isinstance(size, dict) else None
        if type(known) is not int or not 0 <= known <= NUMBERS_MAX:
            return False
        numbers *= max(known, 1)
    return isinstance(value, list) and numbers <= NUMBERS_MAX


def _is_cpu(value: Json) -> bool:
    return isinstance(value, Mapping) and value.get("type") == "cpu"


def _is_raw_file(value: Json) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(weight|tensor)_\d+", value) is not None


def _is_false(value: Json) -> bool:
    return value is False


_CHECKS: dict[str, Callable[[Json], bool]] = {
    "expr_str": _is_symbol,
    "target": _is_operator,
    "in_spec": _is_plain_tree,
    "out_spec": _is_plain_tree,
    "sizes": _is_small,
    "device": _is_cpu,
    "as_device": _is_cpu,
    "path_name": _is_raw_file,
    "use_pickle": _is_false,
}


def _is_plain(data: bytes) -> bool:
    """Return whether torch can read the pickle with `weights_only`, which runs no code.

    Where it cannot, torch.export would read it without that restriction.
    """
    try:
        torch.load(io.BytesIO(data), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        return False
    return True


def _refuse(what: str) -> NoReturn:
    raise BadModel(f"the program holds {what}")
