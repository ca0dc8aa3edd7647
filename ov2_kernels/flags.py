"""Fields of settings as flags of a command line."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from typing import Any, get_args, get_type_hints

_hints = functools.cache(get_type_hints)  # which evaluates those of all fields each time


def flag_options(settings: type, field: dataclasses.Field[Any]) -> dict[str, Any]:
    """What ``add_argument`` takes for a field whose metadata hold ``help`` and ``choices``; unset ones leave none."""
    hint = _hints(settings)[field.name]
    kind = next(t for t in get_args(hint) or (hint,) if t is not type(None))
    text = field.metadata["help"] + ("" if field.default is None else f" (default: {value_text(field.default)})")
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
    if kind is bool:
        return {**options, "action": argparse.BooleanOptionalAction}
    options.update(type=kind, choices=field.metadata["choices"])
    if not field.metadata["choices"]:
        options["metavar"] = "N" if kind is int else "X"
    return options


def value_text(value: Any) -> str:
    """A setting's value as a command's help writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
