"""Which lifecycle applies to a model: the first binding that matches its name or one of its tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from greenroom.core.errors import InvalidInput
from greenroom.core.model import Binding
from greenroom.core.names import check_tag_key, check_tag_value, hidden_character, shown

EVERY_MODEL = "*"  # the pattern of the last binding: the default
_LONGEST = 512


def check_pattern(pattern: str) -> str:
    """Return the pattern of model names. Raises InvalidInput for one that is too long or that no name can match."""
    if not 0 < len(pattern) <= _LONGEST:
        raise InvalidInput(f"a pattern has 1 to {_LONGEST} characters, not {len(pattern)}.", field="pattern")
    hidden = hidden_character(pattern)
    if hidden:
        raise InvalidInput(f"no model name matches the pattern '{shown(pattern)}'. {hidden}", field="pattern")
    return pattern


def check_tag_rule(tag: str) -> str:
    """Return the tag `key=value` that binds models. Raises InvalidInput for what no model can be tagged with."""
    key, mark, value = tag.partition("=")
    if not mark:
        raise InvalidInput(f"the tag {shown(tag)!r} has no value.", hint="Write KEY=VALUE.", field="tag")
    if len(tag) > _LONGEST:
        raise InvalidInput(f"a tag has 1 to {_LONGEST} characters here, not {len(tag)}.", field="tag")
    check_tag_key(key)
    check_tag_value(value)
    return tag


def lifecycle_for(name: str, tags: Mapping[str, str], bindings: Sequence[Binding]) -> str:
    """Return the name of the lifecycle that applies. ValueError (our bug) when the default binding is not there."""
    for binding in bindings:
        if binding.pattern is not None and fnmatchcase(name, binding.pattern):
            return binding.lifecycle
        if binding.tag is not None:
            key, _, value = binding.tag.partition("=")
            if tags.get(key) == value:
                return binding.lifecycle
    raise ValueError("no default lifecycle is bound")


def with_binding(bindings: Sequence[Binding], new: Binding) -> list[Binding]:
    """Return the bindings with `new` among them: in its rule's old place, else last before the default."""
    changed = [new if (each.pattern, each.tag) == (new.pattern, new.tag) else each for each in bindings]
    if new not in changed:
        is_default = new.pattern == EVERY_MODEL
        changed.insert(len(changed) if is_default else max(len(changed) - 1, 0), new)
    return changed


def with_document(
    bindings: Sequence[Binding], lifecycle: str, stated: Sequence[Binding], before: Sequence[Binding]
) -> list[Binding]:
    """Return the bindings after a document was applied: the rules that it states replace those that it stated `before`.

    The default stays as it is, and so does what somebody bound to the lifecycle without the document: a new revision
    must not set a model free of its gates unasked.
    """
    gone = {(each.pattern, each.tag) for each in before if each.pattern != EVERY_MODEL}
    taken = {(each.pattern, each.tag) for each in stated}
    kept = [
        each
        for each in bindings
        if (each.pattern, each.tag) not in taken
        and not (each.lifecycle == lifecycle and (each.pattern, each.tag) in gone)
    ]
    return [*kept[:-1], *stated, *kept[-1:]]
