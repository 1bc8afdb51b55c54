"""The options of a task as the API takes them, generated from the table in ``pipeline.options``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from lipsync.pipeline.option import MAX_TEXT, Door, Kind, Option
from lipsync.pipeline.options import OPTIONS, options_of

TYPES = {
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.RATE: "number",
    Kind.TEXT: "string",
    Kind.INTEGERS: "integer",
    Kind.NAMES: "string",
}
LISTS = (Kind.INTEGERS, Kind.NAMES)


def schema_of(option: Option) -> dict[str, Any]:
    """The JSON Schema of an option's value."""
    bounds = {"minimum": option.minimum, "maximum": option.maximum, "enum": list(option.choices) or None}
    schema: dict[str, Any] = {"type": TYPES[option.kind]}
    schema |= {name: value for name, value in bounds.items() if value is not None}
    if option.kind is Kind.TEXT and not option.choices:
        schema |= {"minLength": 1, "maxLength": MAX_TEXT}
    if option.nonzero:
        schema["not"] = {"const": 0}
    if option.kind in LISTS:
        shortest, longest = option.length
        schema = {"type": "array", "items": schema, "minItems": shortest, "maxItems": longest}
    if option.kind is Kind.NAMES:
        schema["uniqueItems"] = True
    return schema if option.default is not None else {"anyOf": [schema, {"type": "null"}]}


def field_type(option: Option) -> Any:
    """The type of an option's field: JSON values, as they were sent, that the table accepts.

    The check raises OptionInvalid, not a validation error, so that all doors refuse a value in the same words.
    """
    return Annotated[Any, BeforeValidator(partial(_check, option)), WithJsonSchema(schema_of(option))]


def _check(option: Option, value: Any) -> Any:
    if isinstance(value, str):
        value.encode()  # a ValueError for half a surrogate pair, which JSON can carry and UTF-8 cannot
    option.checked(value)
    return value


def default_engines() -> list[str]:
    """The engines of a task that names none."""
    return list(OPTIONS["engine"].default)


def field_of(option: Option) -> Any:
    """The field's default and documentation."""
    text = f"{option.full_help[0].upper()}{option.full_help[1:]}."
    examples = None if option.example is None else [option.example]
    return Field(default=option.json_default, description=text, examples=examples)


if TYPE_CHECKING:
    Options = BaseModel
    Engines = list[str]
else:
    Engines = Annotated[
        list[str], AfterValidator(partial(_check, OPTIONS["engine"])), WithJsonSchema(schema_of(OPTIONS["engine"]))
    ]
    Options = create_model(
        "Options",
        __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False),
        __doc__="How the task is done. Every option has a default.",
        **{name: (field_type(option), field_of(option)) for name, option in options_of(Door.API).items()},
    )
