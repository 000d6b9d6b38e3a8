"""What every section of the settings is made of."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

PPM: Final = 1_000_000
CBPS_MAX: Final = 1_000_000

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,62}$")]
AssetCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,31}$")]
Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9._\-]{1,32}/[A-Za-z0-9._\-]{1,32}$")]
DecimalText = Annotated[str, Field(pattern=r"^[0-9]{1,38}(\.[0-9]{1,18})?$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
WsUrl = Annotated[str, Field(pattern=r"^wss?://[^\s]+$")]
Cbps = Annotated[int, Field(ge=0, le=CBPS_MAX)]
Ppm = Annotated[int, Field(ge=0, le=PPM)]


class Section(BaseModel):
    """Strict and immutable: an unknown key is refused, a text is not a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class AmountSettings(Section):
    """A decimal amount of an asset."""

    asset: AssetCode
    amount: DecimalText
