"""The form in which a language writes its sentences: a text, or a choice of texts by one parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

__all__ = ["Choice", "Texts", "fields_of", "parameters_of"]


@dataclass(frozen=True)
class Choice:
    """One of several texts, by the value of one parameter.

    by: the parameter's name. cases: value -> text; the value ``""`` stands for a parameter that is left
    out, or of which nothing can be said. otherwise: the text for any other value.
    """

    by: str
    cases: Mapping[str, str]
    otherwise: str

    def text(self, value: str) -> str:
        """The text for a value of the parameter."""
        return self.cases.get(value, self.otherwise)


Texts = Mapping[str, str | Choice]
"""A language's sentences by phrase name; ``{field}`` in a text stands for a parameter as it is said."""


def fields_of(text: str) -> set[str]:
    """The parameters that a text says."""
    return {field for _, field, _, _ in Formatter().parse(text) if field}


def parameters_of(template: str | Choice) -> set[str]:
    """Every parameter that a phrase takes, said or chosen by."""
    if isinstance(template, str):
        return fields_of(template)
    texts = (*template.cases.values(), template.otherwise)
    return {template.by}.union(*(fields_of(text) for text in texts))
