"""Archives of torch.export that would run code, or take any amount of memory, are refused before torch sees them."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from stream_scorer.errors import BadModel
from stream_scorer.training.program import open_program
from stream_scorer.training.program_archive import cleaned
from tests.program_samples import archive

Edit = Callable[[dict[str, Any], str], None]
RUN = "__import__('pathlib').Path({!r}).touch() or 3"  # harmless, and leaves a trace


@pytest.fixture(scope="module")
def data() -> bytes:
    return archive()


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        return {name.partition("/")[2]: files.read(name) for name in files.namelist()}


def rewritten(data: bytes, changes: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Put other files into the archive; a new name is added."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as new:
        for name, content in (files_of(data) | changes).items():
            new.writestr(f"archive/{name}", content)
    return made.getvalue()


def edited(data: bytes, edit: Edit, trace: Path, name: str = "models/model.json") -> bytes:
    whole = json.loads(files_of(data)[name])
    edit(whole, RUN.format(str(trace)))
    return rewritten(data, {name: json.dumps(whole).encode()})


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "place",
    [
        "data/sample_inputs/model.pt",
        "data/weights/model.pt",
        "data/constants/model.pt",
        "data/constants/custom.so",
        "data/constants/opaque_obj_0",
        "data/aotinductor/model/model.so",
    ],
)
def test_pickles_and_libraries_are_refused_unrun(data: bytes, tmp_path: Path, place: str) -> None:
    made = rewritten(data, {place: pickle.dumps(Bomb(tmp_path / "ran"), protocol=2)})
    with pytest.raises(BadModel, match="may run code on loading"):
        open_program(made)
    assert not (tmp_path / "ran").exists()


def test_pickled_constants_are_refused(data: bytes, tmp_path: Path) -> None:
    meta = json.loads(files_of(data)["data/weights/model_weights_config.json"])["config"]["plans.weight"]["tensor_meta"]
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": meta}
    changes = {
        "data/constants/opaque_obj_0": pickle.dumps(Bomb(tmp_path / "ran")),
        "data/constants/model_constants_config.json": json.dumps({"config": {"x": entry}}).encode(),
    }
    with pytest.raises(BadModel, match="opaque_obj_0"):
        open_program(rewritten(data, changes))
    assert not (tmp_path / "ran").exists()


def _size(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["tensor_values"]["index"]["sizes"][0] = {"as_expr": {"expr_str": code, "hint": None}}


def _deep_size(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["sym_int_values"]["x"] = {"as_expr": {"hint": None, "expr_str": code}}


def _guard(model: dict[str, Any], code: str) -> None:
    model["guards_code"] = [code]


def _target(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def _file_operator(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def _operator_argument(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_operator": "torch.os.system"}


def _custom_object(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_custom_obj": {"name": "x", "class_fqn": "y"}}


def _imported_container(model: dict[str, Any], code: str) -> None:
    context = {"default_factory_module": "antigravity", "default_factory_name": "x", "dict_context": []}
    tree = {"type": "collections.defaultdict", "context": context, "children_spec": []}
    model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])


def _imported_enum(model: dict[str, Any], code: str) -> None:
    context = '[{"__enum__": true, "fqn": "antigravity:X", "name": "y"}]'
    tree = {"type": "builtins.dict", "context": context, "children_spec": []}
    model["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps([1, tree])


def _huge(model: dict[str, Any], code: str) -> None:
    model["graph_module"]["graph"]["tensor_values"]["index"]["sizes"] = [{"as_int": 2**20}, {"as_int": 2**20}]


@pytest.mark.parametrize(
    "edit",
    [
        _size,
        _deep_size,
        _target,
        _file_operator,
        _operator_argument,
        _custom_object,
        _imported_container,
        _imported_enum,
        _huge,
    ],
)
def test_dangerous_graphs_are_refused_unrun(data: bytes, tmp_path: Path, edit: Edit) -> None:
    made = edited(data, edit, tmp_path / "ran")
    with pytest.raises(BadModel, match="may run code on loading or take any amount of memory"):
        open_program(made)
    assert not (tmp_path / "ran").exists()


def test_executable_guards_are_left_out(data: bytes, tmp_path: Path) -> None:
    assert open_program(edited(data, _guard, tmp_path / "ran")).dim == 4
    assert not (tmp_path / "ran").exists()


def test_empty_weights_of_any_size_are_refused(data: bytes, tmp_path: Path) -> None:
    def grow(config: dict[str, Any], _: str) -> None:
        config["config"]["plans.weight"]["tensor_meta"]["sizes"] = [{"as_int": 2**29}, {"as_int": 2**29}]

    made = edited(data, grow, tmp_path, "data/weights/model_weights_config.json")
    with pytest.raises(BadModel, match="any amount of memory"):
        open_program(rewritten(made, {"data/weights/weight_1": b""}))


def test_compressed_archives_are_refused_before_unpacking(data: bytes) -> None:
    made = rewritten(data, {"extra/zeros": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(BadModel, match="uncompressed"):
        cleaned(made)


def test_json_nested_without_end_is_refused(data: bytes) -> None:
    made = rewritten(data, {"models/model.json": b"[" * 100_000})
    with pytest.raises(BadModel, match="is not JSON"):
        cleaned(made)


def test_a_key_twice_is_refused(data: bytes) -> None:
    twice = files_of(data)["models/model.json"].replace(b"{", b'{"guards_code": [], "guards_code": [], ', 1)
    with pytest.raises(BadModel, match="a key twice"):
        cleaned(rewritten(data, {"models/model.json": twice}))


def test_a_file_twice_is_refused(data: bytes) -> None:
    with pytest.raises(BadModel, match="two files of one name"):
        cleaned(rewritten(data, {"models/MODEL.json": b"{}"}))


def test_checked_archives_pass_unchanged(data: bytes) -> None:
    assert files_of(cleaned(cleaned(data))) == files_of(cleaned(data))


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=200)
def test_damage_is_a_bad_model_or_harmless(draws: st.DataObject) -> None:
    damaged = bytearray(_WHOLE)
    for _ in range(draws.draw(st.integers(1, 4))):
        damaged[draws.draw(st.integers(0, len(damaged) - 1))] = draws.draw(st.integers(0, 255))
    try:
        cleaned(bytes(damaged[: draws.draw(st.integers(0, len(damaged)))]))
    except BadModel:
        return


_WHOLE = archive()
