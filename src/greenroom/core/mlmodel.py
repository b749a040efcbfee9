"""What the files of a version say about it: environment, flavours, signature, input example. Pure.

MLflow's clients write these files into every model (`MLmodel`, `requirements.txt`, `conda.yaml`, `python_env.yaml`).
They are pinned with the version, so what is read here never changes. Nothing is believed further than it is shown: no
model is loaded, no requirement resolved. What cannot be read is said in `notes`, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.plain_yaml import MOST_CHARACTERS, read_yaml

DESCRIPTION = "MLmodel"
REQUIREMENTS = "requirements.txt"
CONDA = "conda.yaml"
PYTHON_ENV = "python_env.yaml"
FILES = (DESCRIPTION, REQUIREMENTS, CONDA, PYTHON_ENV)
MOST_BYTES = 1 << 20
"""A file that is larger is not read."""
_MOST_ITEMS = 2_000  # columns of a signature, requirements
_MOST_DEEP = 8  # of a column's type; beyond it is `…`
_LONGEST = 500  # characters of a text that is shown
_CUT = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Column:
    """One input, output or parameter. `type` is short: `double`, `float32 (-1, 4)`, `[string]`, `{a: long, b?: x}`."""

    name: str | None
    type: str
    optional: bool = False
    default: str | None = None


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives; an empty side was not recorded."""

    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    params: tuple[Column, ...] = ()


@dataclass(frozen=True)
class InputExample:
    """An input to try the model with. `size_bytes` None: the file that it names is not among the version's files."""

    path: str
    kind: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True)
class Packaging:
    """What a version's own files say of it. None and empty mean: nobody recorded it.

    `flavors` are the ways to load it, each with the version of its library or the module that loads it. `environment`
    names the files that describe the environment. `run_id` and `logged_model` are what `MLmodel` says it came of.
    """

    flavors: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    mlflow: str | None = None
    requirements: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    signature: Signature | None = None
    input_example: InputExample | None = None
    run_id: str | None = None
    logged_model: str | None = None
    notes: tuple[str, ...] = ()


def read_packaging(texts: Mapping[str, str], sizes: Mapping[str, int], notes: Sequence[str] = ()) -> Packaging:
    """Return what the files say. `texts` are those of FILES that are there and could be read; `notes` says why others
    could not.

    `sizes` says how large other files of the version are, by path: the input example, above all (`example_of`).
    """
    told = list(notes)
    model = _mapping(texts, DESCRIPTION, told)
    conda, env = _mapping(texts, CONDA, told), _mapping(texts, PYTHON_ENV, told)
    flavors = _inner(model, "flavors")
    generic = _inner(flavors, "python_function")
    listed, python = _conda(conda)
    return Packaging(
        flavors={_cut(name): _flavor(name, each) for name, each in list(flavors.items())[:_MOST_ITEMS]},
        python=_text(generic.get("python_version")) or _text(env.get("python")) or python,
        mlflow=_text(model.get("mlflow_version")),
        requirements=tuple(_requirements(texts[REQUIREMENTS])) if REQUIREMENTS in texts else listed,
        environment=tuple(name for name in FILES[1:] if name in sizes),
        signature=_signature(model.get("signature"), told),
        input_example=_example(model, sizes),
        run_id=_text(model.get("run_id")),
        logged_model=_text(model.get("model_id")),
        notes=tuple(told),
    )


def example_of(texts: Mapping[str, str]) -> str | None:
    """Return the path of the input example that `MLmodel` names, or None."""
    found = _example(_mapping(texts, DESCRIPTION, []), {})
    return found.path if found else None


def _mapping(texts: Mapping[str, str], name: str, notes: list[str]) -> dict[str, Any]:
    if name not in texts:
        return {}
    try:
        found = read_yaml(texts[name])
    except InvalidInput as exc:
        notes.append(f"{name} could not be read: {exc.message}")
        return {}
    if found is not None and not isinstance(found, dict):
        notes.append(f"{name} holds no keys")
    return found if isinstance(found, dict) else {}


def _inner(facts: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = facts.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return _cut(value) if isinstance(value, str) and value else None


def _cut(text: str) -> str:
    """Return a text fit to be shown: not too long, without halves of surrogate pairs, which JSON can spell."""
    text = text[: _LONGEST + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + _CUT


def _flavor(name: str, facts: Any) -> str:
    """Return the version of a flavour's library, else the module that loads it, else nothing."""
    if not isinstance(facts, dict):
        return ""
    own = [f"{name}_version", f"{name.removeprefix('python_')}_version", "version"]
    others = sorted(
        key for key in facts if key.endswith("_version") and key not in ("python_version", "cloudpickle_version")
    )
    for key in (*own, *([] if name == "python_function" else others), "loader_module"):
        if _text(facts.get(key)):
            return _cut(facts[key])
    return ""


def _requirements(text: str) -> Iterator[str]:
    count = 0
    for line in text.replace("\\\n", " ").splitlines():
        bare = " ".join(line.split())
        if bare and not bare.startswith("#") and count < _MOST_ITEMS:
            count += 1
            yield _cut(bare)


def _conda(conda: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """Return what conda is told to install, pip's part last, and the version of Python among it."""
    given = conda.get("dependencies")
    packages: list[str] = []
    for each in given if isinstance(given, list) else ():
        inner = each.get("pip") if isinstance(each, dict) else [each]
        packages += [_cut(text) for text in inner or () if isinstance(text, str)]
    python = next((text.partition("=")[2].lstrip("=") for text in packages if text.startswith("python=")), None)
    return tuple(text for text in packages if not text.startswith("python="))[:_MOST_ITEMS], python


def _example(model: Mapping[str, Any], sizes: Mapping[str, int]) -> InputExample | None:
    facts = model.get("saved_input_example_info")
    path = _text(facts.get("artifact_path")) if isinstance(facts, dict) else None
    if path is None or "\x00" in path or not isinstance(facts, dict):
        return None
    return InputExample(path, _text(facts.get("type")), sizes.get(path))


# --- signatures ---


def _signature(given: Any, notes: list[str]) -> Signature | None:
    if not isinstance(given, dict):
        return None
    sides = {name: _columns(name, given.get(name), notes) for name in ("inputs", "outputs", "params")}
    return Signature(**sides) if any(sides.values()) else None


def _columns(side: str, text: Any, notes: list[str]) -> tuple[Column, ...]:
    """Return the columns of one side, which is written as JSON within the YAML."""
    if not isinstance(text, str) or not text or len(text) > MOST_CHARACTERS:
        return ()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        notes.append(f"{DESCRIPTION}: the {side} of the signature could not be read")
        return ()
    items = given if isinstance(given, list) else [given]
    if len(items) > _MOST_ITEMS:
        notes.append(f"{DESCRIPTION}: {len(items)} {side}; the first {_MOST_ITEMS} are told")
    return tuple(_column(each) for each in items[:_MOST_ITEMS] if isinstance(each, dict))


def _column(given: Mapping[str, Any]) -> Column:
    default = given.get("default")
    return Column(
        _text(given.get("name")),
        _cut(_type(given, 0)),
        given.get("required") is False,
        None if "default" not in given else _cut(json.dumps(default, ensure_ascii=False)),
    )


def _type(given: Any, depth: int) -> str:
    """Return a type as people write it."""
    if not isinstance(given, dict) or depth > _MOST_DEEP:
        return _CUT
    kind = given.get("type")
    if kind == "tensor":
        spec = given.get("tensor-spec")
        spec = spec if isinstance(spec, dict) else {}
        return f"{_word(spec.get('dtype'))} {_shape(spec.get('shape'))}"
    if kind == "array":
        return f"[{_type(given.get('items'), depth + 1)}]"
    if kind == "map":
        return f"{{string: {_type(given.get('values'), depth + 1)}}}"
    if kind == "object":
        return f"{{{_properties(given.get('properties'), depth)}}}"
    shape = f" {_shape(given['shape'])}" if given.get("shape") else ""
    return _word(kind) + shape


def _properties(given: Any, depth: int) -> str:
    named = list(given.items())[:_MOST_ITEMS] if isinstance(given, dict) else []
    parts = []
    for name, each in named:
        optional = "?" if isinstance(each, dict) and each.get("required") is False else ""
        parts.append(f"{name}{optional}: {_type(each, depth + 1)}")
    return ", ".join(parts)


def _shape(given: Any) -> str:
    return f"({', '.join(map(_word, given[:_MOST_ITEMS]))})" if isinstance(given, list) else "(?)"


def _word(given: Any) -> str:
    """Return a name or a number of a type; anything else is not said."""
    return str(given) if isinstance(given, str | int) else "?"
