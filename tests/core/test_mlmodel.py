"""What a version's own files say, read without believing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.mlmodel import Column, InputExample, Packaging, Signature, example_of, read_packaging

MODELS = Path(__file__).parent / "models"
FLOWERS = tuple(Column(f"{leaf} {way} (cm)", "double") for leaf in ("sepal", "petal") for way in ("length", "width"))


def read(model: str, **more: str) -> Packaging:
    texts = {
        "MLmodel": model,
        **{name.replace("_yaml", ".yaml").replace("_txt", ".txt"): t for name, t in more.items()},
    }
    return read_packaging(texts, {name: len(text) for name, text in texts.items()})


def signature(**sides: Any) -> str:
    """Return an MLmodel with that signature; JSON within quotes within YAML, as MLflow writes it."""
    return "signature:\n" + "".join(f"  {name}: {json.dumps(json.dumps(side))}\n" for name, side in sides.items())


@pytest.mark.parametrize("client", ["mlflow2", "mlflow3"])
def test_what_real_clients_write(client: str):
    texts = {
        "MLmodel": (MODELS / f"{client}-frame-MLmodel.yaml").read_text("utf-8"),
        "conda.yaml": (MODELS / "conda.yaml").read_text("utf-8"),
        "python_env.yaml": (MODELS / "python_env.yaml").read_text("utf-8"),
        "requirements.txt": "# made by hand\nscikit-learn==1.9.1\n\nnumpy \\\n  >=1\n",
    }
    assert example_of(texts) == "input_example.json"
    sizes = {name: len(text) for name, text in texts.items()} | {"input_example.json": 149}
    found = read_packaging(texts, sizes)
    assert found.flavors == {"python_function": "mlflow.sklearn", "sklearn": "1.9.1"}
    assert (found.python, found.mlflow) == ("3.11.7", {"mlflow2": "2.22.4", "mlflow3": "3.17.2"}[client])
    assert found.requirements == ("scikit-learn==1.9.1", "numpy >=1")
    assert found.environment == ("requirements.txt", "conda.yaml", "python_env.yaml")
    assert found.signature == Signature(FLOWERS, (Column(None, "int64 (-1)"),))
    assert found.input_example == InputExample("input_example.json", "dataframe", 149)
    assert found.notes == ()
    without = {name: text for name, text in texts.items() if name != "requirements.txt"}
    assert read_packaging(without, sizes).requirements == ("pip<=26.3", "mlflow==2.22.4", "pandas")


def test_types_are_told_shortly():
    found = read((MODELS / "mlflow2-py-MLmodel.yaml").read_text("utf-8")).signature
    assert found == Signature(
        (
            Column("a ü: b", "string"),
            Column("xs", "[double]", optional=True),
            Column("o", "{q: long, r?: string}"),
            Column("mp", "{string: string}"),
        ),
        (Column("t", "float32 (-1, 3, 2)"),),
        (Column("k", "long", default="3"), Column("ks", "double (-1)", default="[1.0, 2.0]")),
    )


def test_nothing_recorded_is_nothing():
    assert read_packaging({}, {}) == Packaging()
    assert read("") == Packaging()


DEEP: Any = "long"
for _ in range(20):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("a: &x 1\n", ("MLmodel could not be read: line 1: an anchor is not read here.",)),
        ("- a\n", ("MLmodel holds no keys",)),
        ("signature:\n  inputs: '[{'\n", ("MLmodel: the inputs of the signature could not be read",)),
        ("signature:\n  inputs: '" + "[" * 5000 + "'\n", ("MLmodel: the inputs of the signature could not be read",)),
        (signature(inputs=[{"type": "long"}] * 2001), ("MLmodel: 2001 inputs; the first 2000 are told",)),
        ("flavors: 3\nsignature: [x]\nsaved_input_example_info: x\nmlflow_version: [1]\n", ()),
        ("flavors:\n  sklearn: x\n  python_function:\n    python_version: {a: b}\n", ()),
        (signature(inputs=3, outputs="x", params=[1, None]), ()),
        ('saved_input_example_info:\n  artifact_path: "a\\0b"\n', ()),
    ],
)
def test_what_cannot_be_read_is_said(model: str, told: tuple[str, ...]):
    assert read(model).notes == told


def test_what_a_hostile_signature_says_stays_short():
    odd = [{"type": DEEP["type"], "items": DEEP["items"], "name": "\ud800" + "n" * 5000},
           {"type": "tensor", "tensor-spec": {"dtype": ["x"], "shape": "y"}}, {"type": 3}]  # fmt: skip
    found = read(signature(inputs=odd)).signature
    assert found is not None
    first, second, third = found.inputs
    assert first.type == "[[[[[[[[[…]]]]]]]]]"
    assert first.name is not None
    assert (len(first.name), first.name[:2]) == (500, "?n")
    assert (second.type, third.type) == ("? (?)", "3")


def test_an_example_that_is_not_among_the_files_is_told_as_missing():
    found = read("saved_input_example_info:\n  artifact_path: gone.json\n  type: ndarray\n")
    assert found.input_example == InputExample("gone.json", "ndarray", None)
