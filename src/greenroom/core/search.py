"""The search language: `comparison AND comparison ...`, and the order of the answer.

A filter becomes a tree of values that a store turns into bound parameters; no text of the caller reaches SQL. One
parser serves four dialects, which are tables: what MLflow's wire allows for models and versions, and what our own
API allows (a superset). Field keys in the tree are our words, whatever the caller's dialect calls them.

Sources: mlflow-compat section 5; security vectors DO-10, DO-11, IN-01, IN-02."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from greenroom.core import names
from greenroom.core.dates import utc_milliseconds
from greenroom.core.errors import InvalidInput
from greenroom.core.search_tokens import CLAUSE, Token, invalid, refused, tokens_of, unquoted

PROMPT_TAG = "mlflow.prompt.is_prompt"


class Op(StrEnum):
    """How a field is compared. LIKE counts case, ILIKE does not; `%` and `_` are wildcards, nothing escapes them."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


class Entity(StrEnum):
    """What a field belongs to."""

    ATTRIBUTE = "attribute"
    TAG = "tag"
    METRIC = "metric"
    PARAM = "param"
    DATASET = "dataset"


class Prompts(StrEnum):
    """Which of models and MLflow prompts (models tagged so) an answer holds."""

    HIDDEN = "hidden"
    ONLY = "only"
    ANY = "any"


class Kind(StrEnum):
    """The type of a field's values: TEXT str, INTEGER int, NUMBER finite int or float, TIME int (UTC milliseconds)."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True)
class Field:
    """A searchable field; `key` is the attribute in our words (`name` = the model's), or the tag's, metric's... key."""

    entity: Entity
    key: str


Value = str | int | float | tuple[str | int, ...] | None


@dataclass(frozen=True)
class Comparison:
    """One condition. `value` is a tuple for IN and NOT IN, None for IS (NOT) NULL, which asks who has the field at all.

    All others match only those who have the tag, metric, parameter or data set.
    """

    field: Field
    op: Op
    value: Value


@dataclass(frozen=True)
class Filter:
    """All conditions must hold; none means everything. The "is (not) a prompt" clause is in `prompts` alone."""

    comparisons: tuple[Comparison, ...] = ()
    prompts: Prompts = Prompts.HIDDEN


@dataclass(frozen=True)
class Order:
    """One key of an order; `key` is an attribute in our words, or the key of a metric, parameter or tag.

    `dataset` is the name and the digest (None: any) of the data set on which a metric is to be measured.
    """

    key: str
    descending: bool = False
    entity: Entity = Entity.ATTRIBUTE
    dataset: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True)
class Spec:
    """What a dialect allows for one field: our word for it ("" for keyed entities), its type, its operators."""

    key: str
    kind: Kind
    ops: frozenset[Op]


@dataclass(frozen=True)
class Dialect:
    """What may be asked: attributes by the caller's word, keyed entities, order keys, default order, tie-breaks.

    `keyed_orders` are the entities that an order may name by key; `words` are more words for entities; a key that comes
    again in an order is passed over where `repeats` is true, and refused elsewhere.
    """

    attributes: Mapping[str, Spec]
    keyed: Mapping[Entity, Spec]
    orders: Mapping[str, str]
    default_order: tuple[Order, ...]
    tie_breaks: tuple[Order, ...]
    keyed_orders: frozenset[Entity] = frozenset()
    words: Mapping[str, Entity] = field(default_factory=dict)
    repeats: bool = False


_ENTITY_WORDS = {"attr": Entity.ATTRIBUTE} | {e.value: e for e in Entity} | {f"{e.value}s": e for e in Entity}
_KEY_CHECKS: Mapping[Entity, Callable[[str], str]] = {
    Entity.TAG: names.check_tag_key,
    Entity.METRIC: names.check_metric_key,
    Entity.PARAM: names.check_param_key,
    Entity.DATASET: lambda key: _known("dataset", key, {each: each for each in ("name", "digest", "context")}),
}
_ORDER = re.compile(
    r"\s*(?:(?P<prefix>\w+)\.)?(?P<key>`[^`]+`|\"[^\"]+\"|[^\s`\"]+)(?:\s+(?P<direction>ASC|DESC))?\s*", re.IGNORECASE
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")  # what fits in 64 bits, whatever the digits are
_SIZES = frozenset({Op.LT, Op.LE, Op.GT, Op.GE})
_TEXTS = {entity: f"{entity.capitalize()}s are" for entity in Entity} | {
    Entity.PARAM: "Parameters are",
    Entity.ATTRIBUTE: "This attribute is",
}
_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "IS", "NULL"})


def parse_filter(text: object, dialect: Dialect, *, prompts: Prompts = Prompts.HIDDEN) -> Filter:
    """Return the conditions in `text`; None, "" and white space mean none. Raises InvalidInput for anything else.

    The clause "tag `mlflow.prompt.is_prompt` != 'true'" hides prompts, "= 'true'" asks for them alone; without
    either, `prompts` holds. Strings take single or double quotes, doubled inside. Errors have `details["column"]`.
    """
    if text is None or (isinstance(text, str) and not text.strip()):
        return Filter(prompts=prompts)
    source = names.require_text(text, "filter")
    names.require_length(source, "filter", "filter")
    names.require_storable(source, "filter")
    parser = _Parser(source, dialect)
    try:
        return _with_prompts(parser.parse(), prompts)
    except InvalidInput as exc:
        exc.details["column"] = parser.column(exc)
        raise


def parse_order_by(
    items: Sequence[object] | None, dialect: Dialect, datasets: Sequence[tuple[str | None, str | None]] = ()
) -> tuple[Order, ...]:
    """Return a total order from items `key [ASC|DESC]`, tie-breaks appended; none means the dialect's default order.

    `datasets` are those of the items' metrics, if they name any. Raises InvalidInput for unknown keys and directions,
    for more than 8 items, and for a key that comes twice under whatever name.
    """
    if not items:
        return dialect.default_order
    if isinstance(items, str) or len(items) > names.LIMITS["order_by"].value:
        hint = f"Give at most {names.LIMITS['order_by'].value} keys, each on its own."
        raise InvalidInput("Invalid order_by: not a list of a few keys.", hint=hint)
    orders: list[Order] = []
    for at, item in enumerate(items):
        order = _order(item, dialect)
        if datasets and order.entity is Entity.METRIC:
            order = replace(order, dataset=datasets[at])
        if any(replace(order, descending=other.descending) == other for other in orders):
            if dialect.repeats:
                continue
            raise InvalidInput(f"Invalid order_by: '{names.shown(item)}' repeats a key.", hint="Give each key once.")
        orders.append(order)
    given = {(order.entity, order.key) for order in orders}
    missing = [last for last in dialect.tie_breaks if (last.entity, last.key) not in given]
    return (*orders, *missing)


def _order(item: object, dialect: Dialect) -> Order:
    text = names.require_text(item, "order_by")
    names.require_length(text, "order_by", "order_by_item")
    found = _ORDER.fullmatch(text)
    if found is None:
        raise InvalidInput(f"Invalid order_by clause '{names.shown(text)}'.", hint="Write KEY, KEY ASC or KEY DESC.")
    descending = (found["direction"] or "ASC").upper() == "DESC"
    entity = _entity(found["prefix"], dialect) if found["prefix"] else Entity.ATTRIBUTE
    key = found["key"]
    key = key[1:-1] if key[0] in '`"' else key
    if entity in dialect.keyed_orders and entity is not None:
        return Order(_KEY_CHECKS[entity](key), descending, entity)
    if entity is not Entity.ATTRIBUTE:
        key = f"{found['prefix']}.{key}"
    return Order(_known("order_by", key, dialect.orders), descending)


def _entity(word: str, dialect: Dialect) -> Entity | None:
    return dialect.words.get(word) or _ENTITY_WORDS.get(word)


def _known(what: str, key: str, known: Mapping[str, str]) -> str:
    """Return our word for a key. Raises InvalidInput for one that is not known."""
    if key not in known:
        raise _unknown(what, key, known)
    return known[key]


def _unknown(what: str, key: str, known: Mapping[str, object]) -> InvalidInput:
    valid = ", ".join(f"'{name}'" for name in sorted(known))
    text = f"Invalid {what} key '{names.shown(key)}' specified. Valid keys are '{{{valid}}}'"
    return InvalidInput(text, hint="Choose one of them.", key=names.shown(key), valid=sorted(known))


def _with_prompts(comparisons: Sequence[Comparison], default: Prompts) -> Filter:
    """Take the prompt clause out of the conditions; both forms at once leave a condition that nothing meets."""
    field = Field(Entity.TAG, PROMPT_TAG)
    only, hide = Comparison(field, Op.EQ, "true"), Comparison(field, Op.NE, "true")
    if hide in comparisons:
        return Filter(tuple(c for c in comparisons if c != hide), Prompts.HIDDEN)
    if only in comparisons:
        return Filter(tuple(c for c in comparisons if c != only), Prompts.ONLY)
    return Filter(tuple(comparisons), default)


class _Parser:
    """Recursive descent without the recursion: the grammar has no parentheses but those of IN."""

    def __init__(self, source: str, dialect: Dialect) -> None:
        self._source, self._dialect = source, dialect
        self._tokens, self._next = tokens_of(source), 0

    def column(self, error: InvalidInput) -> int:
        """Return where, from 1, what is wrong begins: the token that was not expected, or the last that was taken."""
        return self._tokens[max(self._next - (not error.message.startswith(CLAUSE)), 0)].at + 1

    def parse(self) -> list[Comparison]:
        found = [self._comparison()]
        limit = names.LIMITS["filter_comparisons"]
        while (start := self._tokens[self._next]).kind != "end":
            if start.text == ";":
                raise refused(f"Search filter contained multiple expression '{names.shown(self._source)}'.")
            if self._accept("word", "AND") is None:
                raise invalid(self._source, start)
            found.append(self._comparison())
            if len(found) > limit.value:
                raise refused(f"The filter has more than {limit.value} {limit.unit}.", limit=limit.name)
        return found

    def _take(self, *kinds: str) -> Token | None:
        """Consume and return the next token if it is one of `kinds`."""
        token = self._tokens[self._next]
        if token.kind not in kinds:
            return None
        self._next += 1
        return token

    def _accept(self, kind: str, *texts: str) -> str | None:
        """Consume the next token and return its text in capitals if that is one of `texts`."""
        token = self._tokens[self._next]
        if token.kind != kind or token.text.upper() not in texts:
            return None
        self._next += 1
        return token.text.upper()

    def _comparison(self) -> Comparison:
        start = self._tokens[self._next]
        field, spec, shown = self._field(start)
        written = self._source[start.at : self._tokens[self._next - 1].end]
        op = self._op(start, spec)
        if op not in spec.ops:
            hint = self._way_out(names.shown(written), op, field.entity, spec)
            raise InvalidInput(f"Invalid comparator for {field.entity}: {op}", hint=hint, valid=sorted(spec.ops))
        if op in (Op.IS_NULL, Op.IS_NOT_NULL):
            return Comparison(field, op, None)
        if op in (Op.IN, Op.NOT_IN):
            return Comparison(field, op, self._list(start, spec.kind))
        token = self._take("text", "number", "word", "tick")
        if token is None:
            raise invalid(self._source, start)
        value = _value(token, spec.kind, field.entity, shown)
        if op in (Op.LIKE, Op.ILIKE):
            names.require_length(str(value), "LIKE pattern", "like_pattern")
            names.require_length(str(value), "LIKE pattern", "like_wildcards", str(value).count("%"))
        return Comparison(field, op, value)

    def _field(self, start: Token) -> tuple[Field, Spec, str]:
        """Return the field, what is allowed for it, and the caller's word for it."""
        token = self._take("word", "tick", "text")
        if token is None or token.text.upper() in _KEYWORDS or token.text.startswith("'"):
            raise invalid(self._source, start)
        prefix, dot, key = token.text.partition(".") if token.kind == "word" else ("", "", unquoted(token))
        if not dot:
            prefix, key = "attribute", key or prefix
        elif not key:
            quoted = self._tokens[self._next]
            if quoted.at != token.end or quoted.text[:1] not in ("`", '"') or not self._take("tick", "text"):
                raise invalid(self._source, start)
            key = unquoted(quoted)
        entity = _entity(prefix, self._dialect)
        if entity is Entity.ATTRIBUTE:
            if key not in self._dialect.attributes:
                raise _unknown("attribute", key, self._dialect.attributes)
            return Field(entity, self._dialect.attributes[key].key), self._dialect.attributes[key], key
        if entity is None or entity not in self._dialect.keyed:
            valid = ["attribute", *self._dialect.keyed]
            raise refused(f"Invalid entity type '{names.shown(prefix)}'. Valid values are {', '.join(valid)}.")
        return Field(entity, _KEY_CHECKS[entity](key)), self._dialect.keyed[entity], key

    def _op(self, start: Token, spec: Spec) -> Op:
        token = self._take("op")
        if token is not None:
            return Op(token.text)
        word = self._accept("word", "LIKE", "ILIKE", "IN", "NOT", "IS")
        if word == "IS":
            negated = self._accept("word", "NOT") is not None
            if Op.IS_NULL not in spec.ops or self._accept("word", "NULL") is None:
                raise invalid(self._source, start)
            return Op.IS_NOT_NULL if negated else Op.IS_NULL
        if word is None or (word == "NOT" and self._accept("word", "IN") is None):
            raise invalid(self._source, start)
        return Op.NOT_IN if word == "NOT" else Op(word)

    def _way_out(self, written: str, op: Op, entity: Entity, spec: Spec) -> str:
        """Return what to write of the field `written` in place of an operator that it does not have."""
        if spec.kind is not Kind.TEXT or op not in _SIZES:
            return f"{written} is compared by {', '.join(each for each in Op if each in spec.ops)}."
        token = self._tokens[self._next]
        value = unquoted(token) if token.kind in ("text", "tick") else token.text or "value"
        text = names.shown(value).replace("'", "''")
        return f"{_TEXTS[entity]} text, which has no order: write {written} = '{text}'."

    def _list(self, start: Token, kind: Kind) -> tuple[str | int, ...]:
        values: list[str | int] = []
        while self._accept("mark", "," if values else "("):
            token = self._take("text", "word", "number", "tick")
            if token is None:
                raise invalid(self._source, start)
            value = _value(token, kind, Entity.ATTRIBUTE, "IN")
            values.append(value if isinstance(value, int) else str(value))
        if not values or self._accept("mark", ")") is None:
            raise invalid(self._source, start)
        return tuple(values)


def _value(token: Token, kind: Kind, entity: Entity, shown: str) -> str | int | float:
    text = unquoted(token) if token.kind == "text" else token.text
    if kind is Kind.TEXT and token.kind == "text":
        return text
    if kind in (Kind.INTEGER, Kind.TIME) and token.kind in ("text", "number") and _INTEGER.fullmatch(text):
        return int(text)
    if kind is Kind.NUMBER and token.kind == "number" and math.isfinite(float(text)):
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    if kind is Kind.TIME and token.kind == "text" and (at := utc_milliseconds(text)) is not None:
        return at
    got = f"Got value {names.shown(token.text)}"
    if kind is Kind.TEXT:
        raise refused(f"Expected a quoted string value for {entity} (e.g. 'my-value'). {got}")
    wanted = {Kind.INTEGER: "an integer", Kind.NUMBER: "a finite number"}.get(kind, "milliseconds or a quoted date")
    raise refused(f"Expected {wanted} for '{names.shown(shown)}'. {got}")
