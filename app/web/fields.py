"""What may come in: nothing that a database column could not hold."""

from typing import Annotated

from fastapi import Path

WITHOUT_ZERO_BYTE = r"^[^\x00]*$"
LARGEST = 2**31 - 1

RowNumber = Annotated[int, Path(ge=1, le=LARGEST)]
