"""Reads YAML and JSON files of any origin: each fault is one short line, and no file exhausts time or memory.

A YAML file may repeat a node through aliases. A few hundred bytes can then stand for gigabytes ("billion laughs"), so a
file is refused before its objects are built where its expanded size exceeds a limit.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible

_R = TypeVar("_R", bound=BaseModel)

__all__ = [
    "FORMAT",
    "DataError",
    "StrPath",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_record",
    "read_text",
    "read_yaml",
]

StrPath = str | os.PathLike[str]
"""A file or a folder, as a text or as a path."""
FORMAT = 1
"""The version of the form of shared records. A file may state it under ``format``; a newer one is refused by name."""
_YAML_CHARACTERS = 200_000  # about a third of a second for the parser
_JSON_BYTES = 256 * 2**20
_NODES = 10_000
_DEPTH = 60
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times quicker


class DataError(ValueError):
    """A file that can't be read, or that holds no data. The message is a short reason without the file's name."""


def read_text(path: Path, limit: int = _YAML_CHARACTERS) -> str:
    """Reads a text file.

    Args:
        path: The file.
        limit: The most bytes that it may hold.

    Returns:
        Its text.

    Raises:
        DataError: It can't be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise DataError(getattr(error, "strerror", None) or str(error)) from None
    if len(data) > limit:
        raise DataError(f"more than {limit:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("not UTF-8 text") from None


def read_yaml(path: Path) -> Any:
    """Reads a YAML file.

    Args:
        path: The file.

    Returns:
        Its data.

    Raises:
        DataError: It can't be read, or is no YAML that :func:`parse_yaml` accepts.
    """
    return parse_yaml(read_text(path))


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.

    Returns:
        Its data.

    Raises:
        DataError: It can't be read, or is no JSON.
    """
    return parse_json(read_text(path, _JSON_BYTES))


def read_record(kind: type[_R], path: Path, what: str, remedy: str) -> _R:
    """Reads a JSON file that holds one record.

    Args:
        kind: The record's class.
        path: The file.
        what: What the file is, for the error message.
        remedy: What to do about a bad file, for the error message.

    Returns:
        The record.

    Raises:
        ConfigError: The file can't be read, is of a newer version, or holds something else; the message names the file
            and the fault.
    """
    try:
        data = read_json(path)
        if isinstance(data, dict) and "format" in data and "format" not in kind.model_fields:
            version = data.pop("format")
            if version != FORMAT:
                raise ConfigError(
                    f"{what} {str(path)!r} has the format {quoted(version)}, and this version of homeostat reads "
                    f"{FORMAT}; upgrade homeostat"
                )
        if not isinstance(data, dict):
            raise ConfigError(f"not a {what}: {str(path)!r} holds a {type(data).__name__}; {remedy}")
        if not _is_finite(data):
            raise DataError("it holds a number that is not finite")
        return kind.model_validate(data)
    except DataError as error:
        raise ConfigError(f"{what} {str(path)!r} can't be read: {error}; {remedy}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = clipped(visible(".".join(map(str, first["loc"]))), 80) or "the file"
        raise ConfigError(f"not a {what}: {str(path)!r}: {where}: {first['msg']}; {remedy}") from None


def _is_finite(data: Any) -> bool:
    """Whether no number is NaN or infinite. A threshold that is NaN would never alarm."""
    stack = [data]
    while stack:
        value = stack.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if isinstance(value, dict | list):
            stack.extend(value.values() if isinstance(value, dict) else value)
    return True


def parse_json(text: str | bytes) -> Any:
    """Parses JSON text.

    Args:
        text: The text.

    Returns:
        Its data.

    Raises:
        DataError: It is no JSON, is nested too deeply, or holds a number of more digits than Python converts.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError("nested too deeply") from None
    except ValueError as error:
        raise DataError(f"not JSON: {_reason(error)}") from None


def parse_yaml(text: str) -> Any:
    """Parses YAML text with the types of JSON, dates and binary data; tags that build other objects are refused.

    Args:
        text: The text.

    Returns:
        Its data.

    Raises:
        DataError: It is no YAML, too long, nested too deeply, or too large once its aliases are expanded.
    """
    if len(text) > _YAML_CHARACTERS:
        raise DataError(f"more than {_YAML_CHARACTERS:,} characters")
    try:
        _check_depth(text)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_size(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except DataError:
        raise
    except RecursionError:
        raise DataError("nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or _reason(error) or "not YAML"
        raise DataError(
            (f"line {mark.line + 1}: " if mark is not None else "") + clipped(visible(problem), 120)
        ) from None
    except Exception as error:  # the constructors raise many kinds: a date like 2001-99-99, a number of 5,000 digits
        raise DataError(f"not YAML: {type(error).__name__}: {_reason(error)}") from None


def _check_depth(text: str) -> None:
    """Raises DataError for text that is nested too deeply or has too many values, before anything recurses into it."""
    depth = count = 0
    for event in yaml.parse(text, Loader=_LOADER):
        count += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise DataError(f"nested deeper than {_DEPTH} levels")
        if count > _NODES:
            raise DataError(f"more than {_NODES:,} values")


def _check_size(root: yaml.Node) -> None:
    """Raises DataError where the expanded tree is too large, too deep or endless."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        children = _children(node)
        if done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
            if sizes[id(node)] > _NODES:
                raise DataError(f"more than {_NODES:,} values once its aliases are expanded")
            continue
        if id(node) in open_nodes:
            raise DataError("a value contains itself")
        if id(node) in sizes:
            continue
        open_nodes.add(id(node))
        if len(open_nodes) > _DEPTH:
            raise DataError(f"nested deeper than {_DEPTH} levels")
        stack.append((node, True))
        stack.extend((child, False) for child in children)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return []


def _reason(error: BaseException) -> str:
    return clipped(visible(" ".join(str(error).split())), 120)
