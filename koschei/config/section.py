"""What all tables of the configuration are made of: closed sections, and kinds of values that are checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict


def web_address(value: str) -> str:
    """The value, if it is an address of the web. Raises ValueError."""
    if not re.match(r"https?://[^/\s]", value):
        raise ValueError("expected an address that begins with http:// or https://")
    return value


PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
WebAddress = Annotated[str, AfterValidator(web_address)]
# TOML has neither paths nor tuples: these two are made from text and lists.
FilePath = Annotated[Path, Strict(False)]
Texts = Annotated[tuple[str, ...], Strict(False)]


class Section(BaseModel):
    """A table of the configuration: closed (unknown keys are errors), immutable, strict about types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)
