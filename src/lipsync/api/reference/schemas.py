"""JSON Schema as HTML: types, constraints, tables of fields, and example values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from lipsync.api.reference.markup import code, inline, link, table

Schema: TypeAlias = Mapping[str, Any]
REFERENCE = "#/components/schemas/"
PLACEHOLDERS = {"string": "…", "integer": 0, "number": 0, "boolean": False}


def name_of(schema: Schema) -> str | None:
    """Return the name of a referenced schema, or None."""
    reference = schema.get("$ref")
    return None if reference is None else str(reference).removeprefix(REFERENCE)


def without_null(schema: Schema) -> Schema:
    """Return the schema of the value if it is not null."""
    variants = [variant for variant in schema.get("anyOf", ()) if variant.get("type") != "null"]
    return variants[0] if len(variants) == 1 else schema


def type_of(schema: Schema) -> str:
    """Return the type of a value as HTML, with links to named schemas."""
    name = name_of(schema)
    if name is not None:
        return link(f"#schema-{name}", code(name))
    if "anyOf" in schema:
        return " or ".join(type_of(variant) for variant in schema["anyOf"])
    if "const" in schema:
        return code(schema["const"] if isinstance(schema["const"], str) else str(schema["const"]).lower())
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"array of {type_of(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, Mapping):
        return f"object of {type_of(values)}"
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def constraints(schema: Schema) -> Iterator[str]:
    """Yield the constraints and the default of a value as HTML."""
    value = without_null(schema)
    for bounds, unit in ((value, ""), (value.get("items", {}), " each")):
        if "enum" in bounds:
            yield f"{unit} one of ".lstrip() + ", ".join(code(choice) for choice in bounds["enum"])
        yield from _range(bounds, ("minimum", "maximum"), unit)
    yield from _range(value, ("minLength", "maxLength"), " characters")
    yield from _range(value, ("minItems", "maxItems"), " items")
    if "exclusiveMinimum" in value:
        yield f"greater than {value['exclusiveMinimum']:g}"
    if value.get("uniqueItems"):
        yield "no duplicates"
    if schema.get("default") is not None and "const" not in schema:
        yield f"default {code(_json(schema['default']))}"


def _range(schema: Schema, names: tuple[str, str], unit: str) -> Iterator[str]:
    minimum, maximum = (schema.get(name) for name in names)
    if minimum and maximum is not None and minimum == maximum:
        yield f"{minimum:g}{unit}"
    elif minimum is not None and maximum is not None and (minimum or unit in ("", " each")):
        yield f"{minimum:g} to {maximum:g}{unit}" if abs(maximum) < 1e6 else f"at least {minimum:g}{unit}"
    elif maximum is not None:
        yield f"at most {maximum:g}{unit}"
    elif minimum:
        yield f"at least {minimum:g}{unit}"


def _json(value: object) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def description(schema: Schema) -> str:
    """Return the description of a value and its constraints as HTML."""
    text = schema.get("description", "")
    notes = "" if "default:" in text else "; ".join(constraints(schema))  # some texts state their range and default
    return inline(text) + (f' <span class="note">{notes[0].upper()}{notes[1:]}.</span>' if notes else "")


def fields_table(name: str, schema: Schema) -> str:
    """Build the table of an object's fields."""
    required = set(schema.get("required", ()))
    rows = [
        (
            code(field) + ("" if field in required or "const" in part else ' <span class="note">optional</span>'),
            type_of(part),
            description(part),
        )
        for field, part in schema["properties"].items()
    ]
    return table(f"Fields of {name}", ("Field", "Type", "Description"), rows)


def values_list(schema: Schema) -> str:
    """List the values of an enumeration."""
    return "<p>One of " + ", ".join(code(value) for value in schema.get("enum", ())) + ".</p>"


def example(schema: Schema, schemas: Mapping[str, Schema]) -> Any:
    """Return an example value: the schema's own, or one built from the examples of its required fields."""
    if schema.get("examples"):
        return _in_order(schema["examples"][0], schema.get("properties", {}))
    name = name_of(schema)
    if name is not None:
        return example(schemas[name], schemas)
    if schema.get("default") is not None:
        return schema["default"]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], schemas)
    if "properties" in schema:
        return {field: example(schema["properties"][field], schemas) for field in schema.get("required", ())}
    return _first(schema.get("enum", ())) or PLACEHOLDERS.get(str(schema.get("type")))


def _in_order(value: Any, fields: Mapping[str, Schema]) -> Any:
    """Sort an object's fields as in its schema; pydantic sorts those of examples by name."""
    return {field: value[field] for field in fields if field in value} if isinstance(value, dict) else value


def _first(values: Sequence[Any]) -> Any:
    return values[0] if values else None
