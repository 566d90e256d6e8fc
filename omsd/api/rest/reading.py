"""JSON and query strings into Structs; what does not fit is refused by field. No text here repeats a value of the caller's."""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from omsd.domain.errors import RequestError

S = TypeVar("S", bound=msgspec.Struct)

NOT_JSON = "OMS.1006"
MISSING = "OMS.1004"
WRONG_TYPE = "OMS.1010"
MAX_QUERY_FIELDS = 100

_WHERE = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_REQUIRED = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}


def read_body(decoder: msgspec.json.Decoder[S], data: bytes) -> S:
    """The body. Raises RequestError naming the field that is wrong."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), whole="the body") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(NOT_JSON, "the body is not JSON in UTF-8") from error


def read_query(kind: type[S], text: str) -> S:
    """The query parameters; those that are not known are left out, of repeated ones the first is taken. Raises RequestError."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except (ValueError, UnicodeDecodeError) as error:
        raise RequestError(
            "OMS.0002", f"the query must be UTF-8, URL-encoded, of at most {MAX_QUERY_FIELDS} parameters"
        ) from error
    known = kind.__struct_fields__
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in known:
            values.setdefault(name, value)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), whole="the query") from error


def _refusal(text: str, *, whole: str) -> RequestError:
    found = _WHERE.fullmatch(text)
    what, path = (found["what"], (found["path"] or "").lstrip(".")) if found else (text, "")
    if required := _REQUIRED.match(what):
        field = f"{path}.{required['name']}" if path else required["name"]
        return RequestError.of_field(MISSING, field, "is mandatory")
    if expected := _EXPECTED.match(what):
        wanted = [word for word in expected["wanted"].split(" | ") if word != "null"]
        right = f"must be {' or '.join(map(_word, wanted))}, not {_word(expected['got'])}"
        if not path:
            return RequestError(NOT_JSON, f"{whole} {right}")
        return RequestError.of_field(WRONG_TYPE, path, right)
    return RequestError.of_field(WRONG_TYPE, path or whole, "has a wrong type")


def _word(name: str) -> str:
    return _WORDS.get(name, name)
