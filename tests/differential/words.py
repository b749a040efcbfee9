"""What random requests are made of: small pools of names, so that requests meet, values of all sorts, wrong ones too,
and a grammar of filters and orders.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Rand = random.Random

KEYS = ("a", "b", "loss", "a b", "x.y", "a/b", "A", "ünï")
HOT_KEYS, HOT_TEXTS = ("a", "b", "ünï"), ("v", "V", "ä", "Ä")  # most of the time, so that what is asked for is there
BAD_KEYS = ("", " ", "..", "a/../b", "/a", "a//b", "./a", "a/", "a*b", "a$", "k" * 251, "a\nb", "a\x00b", "😀", "a'b")
TEXTS = ("", "v", "V", "w x", "10", "0.5", "it's", 'a"b', "a%b", "ä", "Ä", "日本", "true", "None", "a\nb", "y" * 300)
NUMBERS: tuple[Any, ...] = (0, 1, -1, 0.5, -2.25, 1e300, 1e-300, 123456789, "NaN", "Infinity", "-Infinity", "2.5", "7")
STEPS: tuple[Any, ...] = (0, 1, 2, 3, -1, 10**6, "4")
STATUSES: tuple[Any, ...] = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED", 1, 3)
VIEWS: tuple[Any, ...] = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, 2, 3)
STAGES = ("None", "Staging", "Production", "Archived", "production", "STAGING")
ALIASES = ("champion", "challenger", "A-1", "Champion")
RESERVED = ("latest", "v1", "V2", "LATEST")
PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}
WRONG: tuple[Any, ...] = (
    None, "", 0, -1, 5, 1.5, True, False, [], {}, [1], ["a"], [None], [[]], {"a": 1}, "x", " ", "abc", "1", "-1", "1e3",
    "0x10", "٣", "x" * 600, 2**31, 2**63 - 1, 2**63, 2**70, -(2**63), 1e308, "null", "NaN",
    "😀", "a\tb", "../x", "%2e%2e", [{"key": "a", "value": "b"}], [{"key": 1, "value": "b"}], [{}], [{"key": "a"}],
)  # fmt: skip


@dataclass
class Pool:
    """What a sequence has made so far, by label, and the chance that decides how it goes on."""

    rand: Rand
    exps: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    exp_of: dict[str, str] = field(default_factory=dict)
    count: int = 0
    calm: bool = False
    """Nothing is wrong on purpose: such sequences go deep, because the servers do not part."""
    quotes: float = 0.2
    """How often a key or a value of a filter is in double quotes."""
    _faults: set[str] = field(default_factory=set)

    def label(self) -> str:
        """Return a new label."""
        self.count += 1
        return f"c{self.count}"

    def exp(self) -> str:
        """Return the id of an experiment, mostly one that is there."""
        return f"«exp:{self._of(self.exps)}»"

    def run(self) -> str:
        """Return the id of a run, mostly one that is there."""
        return f"«run:{self._of(self.runs)}»"

    def model(self) -> str:
        """Return the id of a logged model, mostly one that is there."""
        return f"«model:{self._of(self.models)}»"

    def _of(self, labels: Sequence[str]) -> str:
        return self.rand.choice(labels) if labels and self.rand.random() < 0.97 else "none"

    def exp_name(self) -> str:
        """Return the name of an experiment, one of a few."""
        return f"«p»{self.rand.choice(('e1', 'e2', 'E1', 'e 3', 'ö', 'Ö'))}"

    def model_name(self) -> str:
        """Return the name of a registered model, one of a few."""
        return f"«p»{self.rand.choice(('m1', 'm1', 'm1', 'm2', 'm 3', 'n.4'))}"  # one that has several versions

    def time(self) -> int:
        """Return a time that no other request of this sequence gives: an order by it says one thing."""
        self.count += 1
        return 1_700_000_000_000 + 1000 * self.count + self.rand.randrange(999)

    def maybe(self, chance: float) -> bool:
        """Say yes, that often."""
        return self.rand.random() < chance

    def wrong(self, fault: str, chance: float) -> bool:
        """Say yes, that often and never in a calm sequence, and note that the request has this fault."""
        yes = not self.calm and self.maybe(chance)
        if yes:
            self._faults.add(fault)
        return yes

    def faults(self) -> frozenset[str]:
        """Return what was made wrong since this was last asked."""
        found = frozenset(self._faults)
        self._faults.clear()
        return found

    def key(self) -> str:
        """Return a key, rarely a bad one."""
        if self.wrong("key", 0.03):
            return self.rand.choice(BAD_KEYS)
        return self.rand.choice(HOT_KEYS if self.maybe(0.6) else KEYS)

    def text(self) -> str:
        """Return a value of a tag or parameter."""
        if self.wrong("text", 0.01):
            return self.rand.choice(("x", "ä")) * self.rand.choice((5999, 6000, 6001, 8000, 8001))
        return self.rand.choice(HOT_TEXTS if self.maybe(0.6) else TEXTS)

    def pairs(self, most: int = 4) -> list[dict[str, Any]]:
        """Return tags or parameters, rarely with the same key twice."""
        count = self.rand.randrange(most)
        if count > 1 and self.wrong("twice", 0.1):
            key = self.key()
            return [{"key": key, "value": self.text()} for _ in range(count)]
        keys = dict.fromkeys(self.key() for _ in range(count))
        return [{"key": key, "value": self.text()} for key in keys]


# --- filters ---


def quoted(pool: Pool, text: str) -> str:
    """Return a text in quotes that it does not hold itself."""
    if "'" in text and not pool.quotes:
        text = text.replace("'", "")
    return f'"{text}"' if "'" in text or (pool.maybe(pool.quotes) and '"' not in text) else f"'{text}'"


def key_of(pool: Pool, prefix: str, keys: Sequence[str] = KEYS) -> str:
    """Return `tags.key` and its like, quoted where it must be, and sometimes where it need not."""
    key = pool.rand.choice(HOT_KEYS if keys is KEYS and pool.maybe(0.6) else keys)
    if pool.maybe(0.3) or not key.replace("_", "").isalnum() or not key.isascii():
        mark = '"' if pool.maybe(1.5 * pool.quotes) else "`"
        return f"{prefix}.{mark}{key}{mark}"
    return f"{prefix}.{key}"


_TEXT_OPS = ("=", "!=", "LIKE", "ILIKE", "like", "ilike")
_NUMBER_OPS = ("=", "!=", "<", "<=", ">", ">=")
_PATTERNS = ("%", "v%", "V%", "%x", "_", "%a%", "v", "%'%", "_%_")


def text_clause(pool: Pool, name: str, values: Sequence[str], *, member: bool, null: bool) -> str:
    """Return one comparison of a text."""
    roll = pool.rand.random()
    if member and roll < 0.2:
        listed = ", ".join(quoted(pool, v) for v in pool.rand.sample(list(values), min(2, len(values))))
        return f"{name} {pool.rand.choice(('IN', 'NOT IN', 'in'))} ({listed})"
    if null and roll < 0.35:
        return f"{name} {pool.rand.choice(('IS NULL', 'IS NOT NULL', 'is null'))}"
    op = pool.rand.choice(_TEXT_OPS)
    hot = HOT_TEXTS if values is _FILTER_VALUES and pool.maybe(0.6) else values
    value = pool.rand.choice(_PATTERNS if "like" in op.lower() and pool.maybe(0.4) else tuple(hot))
    return f"{name} {op} {quoted(pool, value)}"


def number_clause(pool: Pool, name: str, values: Sequence[Any]) -> str:
    """Return one comparison of a number."""
    return f"{name} {pool.rand.choice(_NUMBER_OPS)} {pool.rand.choice(tuple(values))}"


_FILTER_VALUES = tuple(text for text in TEXTS if "\n" not in text and '"' not in text and len(text) < 100)
BAD_CLAUSES = (
    "name", "name =", "= 'a'", "name = a", "name == 'a'", "foo = 'a'", "tags = 'a'", "metrics.a = 'x'",
    "metrics.a = '1'", "params.a = 1", "params.a > '1'", "name > 'a'", "tags.a IN ('v')", "name LIKE 1",
    "tags.a = 'v' OR tags.a = 'w'", "(tags.a = 'v')", "tags.a = 'v' AND", "AND tags.a = 'v'",
    "tags.a = 'v' tags.b = 'w'", "tags.`a = 'v'",
    "name = 'a",
    "attribute.foo = 'x'", "start_time = 'x'", "metrics.a IS NULL", "name IN ()", "name IN 'a'", "name IN (a)",
    "name IN ('a',)", "NOT name = 'a'", "1 = 1", "name = 'a'; DROP TABLE runs", "tags.a != NULL", "name IS NULL",
    "run_id IN (1)", "version_number = 'x'", "version_number = 1.5", "metrics.a BETWEEN 1 AND 2", "a.b.c = 'd'",
    "attribute.name = 'a'", "`name` = 'a'", "status = FINISHED", "start_time > 1e3", "metrics.a = NaN",
    "metrics.a > -inf", "dataset.name = 'a'", "datasets.foo = 'a'", "experiment_id = 1", "experiment_id = 'x'",
    "",  " ",
)  # fmt: skip


def filter_of(pool: Pool, clauses: Sequence[Callable[[Pool], str]], always: str = "") -> str:
    """Return a filter of some clauses; `always` is one that must be in it."""
    found = [pool.rand.choice(clauses)(pool) for _ in range(pool.rand.choice((0, 1, 1, 1, 2, 3)))]
    if pool.wrong("filter", 0.1):
        found.append(pool.rand.choice(BAD_CLAUSES))
    if always:
        found.append(always)
    pool.rand.shuffle(found)
    return pool.rand.choice((" AND ", " AND ", " and ")).join(found)


def _keyed(prefix: Sequence[str], *, member: bool, null: bool) -> Callable[[Pool], str]:
    return lambda pool: text_clause(
        pool, key_of(pool, pool.rand.choice(prefix)), _FILTER_VALUES, member=member, null=null
    )


def _numeric(name: str, values: Sequence[Any]) -> Callable[[Pool], str]:
    return lambda pool: number_clause(pool, name, values)


def _named(name: str, values: Sequence[str], *, member: bool = False) -> Callable[[Pool], str]:
    return lambda pool: text_clause(pool, name, values, member=member, null=False)


_FLOATS = (0, 1, -1, 0.5, -2.25, 1e3, "1e300", ".5", "-0", "1.")
_TIMES = (0, 1_700_000_000_000, 1_700_000_020_000, 1_900_000_000_000)
RUN_CLAUSES: tuple[Callable[[Pool], str], ...] = (
    lambda pool: number_clause(pool, key_of(pool, pool.rand.choice(("metrics", "metric"))), _FLOATS),
    _keyed(("params", "param", "parameter"), member=False, null=True),
    _keyed(("tags", "tag"), member=False, null=True),
    _named("run_name", ("r1", "r2", "R1", "Ärger", "ärger", "Ä%")),
    _named("attributes.status", ("RUNNING", "FINISHED", "finished")),
    _named("status", ("RUNNING", "FINISHED")),
    _named("user_id", ("ana", "ben")),
    _numeric("attr.start_time", _TIMES),
    _numeric("end_time", _TIMES),
    lambda pool: f"run_id = '{pool.run()}'",
    lambda pool: f"run_id {pool.rand.choice(('IN', 'NOT IN'))} ('{pool.run()}', '{pool.run()}')",
    _named("datasets.name", ("d1", "d2"), member=True),
    _named("dataset.digest", ("g1", "g2"), member=True),
    _named("datasets.context", ("train", "test"), member=True),
)
EXP_CLAUSES: tuple[Callable[[Pool], str], ...] = (
    _named("name", ("«p»e1", "«p»e2", "«p»%", "«p»E%", "«p»Ö", "«p»ö")),
    _keyed(("tags", "tag"), member=False, null=True),
    _numeric("creation_time", _TIMES),
    _numeric("attribute.last_update_time", _TIMES),
    lambda pool: f"experiment_id {pool.rand.choice(('=', '!='))} '{pool.exp()}'",
    lambda pool: f"experiment_id {pool.rand.choice(('IN', 'NOT IN'))} ('{pool.exp()}', '{pool.exp()}')",
)
MODEL_CLAUSES: tuple[Callable[[Pool], str], ...] = (
    _named("name", ("«p»m1", "«p»m2", "«p»m%", "«p»M%"), member=True),
    _keyed(("tags", "tag"), member=False, null=False),
)
VERSION_CLAUSES: tuple[Callable[[Pool], str], ...] = (
    _named("name", ("«p»m1", "«p»m2", "«p»m%"), member=True),
    _named("run_id", ("", "x", "«run:c1»"), member=True),
    _named("source_path", ("s3://b/x", "s3://%", "S3://B/X")),
    _numeric("version_number", (0, 1, 2, "'1'", 3)),
    _keyed(("tags", "tag"), member=False, null=False),
)
LOGGED_CLAUSES: tuple[Callable[[Pool], str], ...] = (
    _named("name", ("l1", "l2", "l%"), member=True),
    _keyed(("tags",), member=True, null=False),
    _keyed(("params",), member=True, null=False),
    lambda pool: number_clause(pool, key_of(pool, "metrics"), _FLOATS),
    _numeric("creation_timestamp", _TIMES),
    _named("model_type", ("kind", "agent", ""), member=True),
    lambda pool: f"source_run_id = '{pool.run()}'",
    lambda pool: f"model_id {pool.rand.choice(('=', '!='))} '{pool.model()}'",
)

_DIRECTIONS = ("", " ASC", " DESC", " asc", " desc")
BAD_ORDERS = (
    "foo", "creation_timestamp", "name FOO", "name ASC DESC", "metrics", "name, name", "", "tags.a ASC, name",
    "metrics.`a", "1",
)  # fmt: skip


def orders_of(pool: Pool, keys: Sequence[Callable[[Pool], str]]) -> list[str]:
    """Return a list of orders."""
    found = [
        key + pool.rand.choice(_DIRECTIONS)
        for key in dict.fromkeys(pool.rand.choice(keys)(pool) for _ in range(pool.rand.choice((0, 0, 1, 2))))
    ]
    if found and pool.wrong("order", 0.03):
        found.append(found[0].partition(" ")[0])
    return [*found, pool.rand.choice(BAD_ORDERS)] if pool.wrong("order", 0.05) else found


def _word(word: str) -> Callable[[Pool], str]:
    return lambda pool: word


RUN_ORDERS = (
    _word("start_time"), _word("attributes.start_time"), _word("end_time"), _word("run_name"), _word("status"),
    lambda pool: key_of(pool, "metrics"), lambda pool: key_of(pool, "params"), lambda pool: key_of(pool, "tags"),
)  # fmt: skip
EXP_ORDERS = (_word("name"), _word("experiment_id"), _word("creation_time"), _word("last_update_time"))
MODEL_ORDERS = (_word("name"), _word("timestamp"), _word("last_updated_timestamp"))
VERSION_ORDERS = (
    _word("name"), _word("version_number"), _word("creation_timestamp"), _word("last_updated_timestamp"),
)  # fmt: skip
