"""What a Responses request says of its answer's text: the format, and how many words to make."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Tag

from phiserve.constraints.constraint import Constraint
from phiserve.protocol.formats import FORMAT_TYPES, JsonObjectFormat, JsonSchema, TextFormat
from phiserve.protocol.wire_model import RequestPart, choose_by


class FlatJsonSchemaFormat(JsonSchema):
    """JSON that follows a schema, written flat: the name and the schema stand beside the type."""

    param: ClassVar[str] = "text.format.schema"

    type: Literal["json_schema"]


Format = Annotated[
    Annotated[TextFormat, Tag(":text")]
    | Annotated[JsonObjectFormat, Tag(":json_object")]
    | Annotated[FlatJsonSchemaFormat, Tag(":json_schema")],
    choose_by("type", FORMAT_TYPES, "format_type", f"type must be one of {', '.join(FORMAT_TYPES)}"),
]


class TextConfig(RequestPart):
    """`text`. The model has no control of verbosity, which is accepted without effect."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must look like."""
        constraint = None if self.format is None else self.format.constraint
        if constraint is not None and isinstance(self.format, JsonObjectFormat):
            return replace(constraint, param="text.format")
        return constraint

    @property
    def format_as_given(self) -> dict[str, object]:
        """The format as a response repeats it."""
        if self.format is None:
            return {"type": "text"}
        return self.format.model_dump(by_alias=True, exclude_none=True)
