"""The request of ``POST /v1/chat/completions``, as OpenAI defines it, and what is not supported of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from homeostat.conversation import ToolSpec

__all__ = ["Budget", "ChatRequest"]

_MOST_CHOICES, _MOST_STOPS = 16, 16
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class _Given(BaseModel):
    """Fields that are unknown are ignored, because clients send many that change nothing here, such as ``user``."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Function(_Given):
    """A function that the model may call.

    Attributes:
        name: Its name.
        description: What it does.
        parameters: The JSON schema of its arguments.
    """

    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None

    @field_validator("parameters")
    @classmethod
    def _is_schema(cls, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if parameters is None else _checked_schema(parameters)


class GivenTool(_Given):
    """A tool of a request.

    Attributes:
        type: Its kind; there is one only.
        function: The function.
    """

    type: Literal["function"]
    function: Function


class StreamOptions(_Given):
    """What a stream holds besides the answer.

    Attributes:
        include_usage: Whether the last event tells the number of tokens.
    """

    include_usage: bool = False


class JSONSchema(_Given):
    """A schema for the answer.

    Attributes:
        json_schema: The schema itself, under its name in the request, ``schema``.
    """

    json_schema: dict[str, Any] = Field(alias="schema")

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        return _checked_schema(schema)


class ResponseFormat(_Given):
    """The form of the answer.

    Attributes:
        type: Free text, any JSON object, or JSON under a schema.
        json_schema: The schema, for the last of these.
    """

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JSONSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("type 'json_schema' needs the field json_schema with a schema")
        return self

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The schema that the answer is held to; None for free text."""
        if self.json_schema is not None and self.type == "json_schema":
            return self.json_schema.json_schema
        return {"type": "object"} if self.type == "json_object" else None


class Budget(_Given):
    """A request's own budget, where it is smaller than the server's. Clients send it as the extra field ``homeostat``.

    Attributes:
        attempts: The most answers that the model writes for one step.
        tokens: The most tokens that it writes in all.
        seconds: The most seconds of the request, waiting included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    attempts: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)


class ChatRequest(_Given):
    """A request for a chat completion.

    Attributes:
        model: The served model's name.
        messages: The chat.
        stream: Whether the answer comes as server-sent events.
        stream_options: What the stream holds besides.
        tools: The tools that the model may call.
        tool_choice: ``"auto"``, ``"none"``, ``"required"``, or the name of the one function to call.
        parallel_tool_calls: Whether one answer may call several tools; otherwise only the first call is returned.
        n: The number of choices.
        stop: Texts that end the answer.
        seed: The seed of sampling.
        temperature: The sampling temperature; None takes the server's.
        top_p: Only the likeliest tokens whose probabilities add up to this are sampled.
        max_tokens: The most tokens of an answer; None takes the server's, or what the context leaves.
        max_completion_tokens: The same under its newer name, which wins.
        logprobs: Whether the tokens' log-probabilities are returned.
        top_logprobs: The number of further likely tokens; not supported, so 0.
        response_format: The form of the answer.
        frequency_penalty: Not supported, so 0.
        presence_penalty: Not supported, so 0.
        logit_bias: Not supported, so empty.
        functions: The form of tools before 2024; not supported.
        homeostat: The request's own budget.
    """

    model: str = Field(min_length=1, max_length=1000)
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    tools: list[GivenTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool = True
    n: int = Field(default=1, ge=1, le=_MOST_CHOICES)
    stop: tuple[str, ...] = ()
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, lt=2**31)
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=2**31)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=0)
    response_format: ResponseFormat | None = None
    frequency_penalty: float = Field(default=0, ge=0, le=0)
    presence_penalty: float = Field(default=0, ge=0, le=0)
    logit_bias: dict[str, float] = Field(default={}, max_length=0)
    functions: None = None
    homeostat: Budget = Budget()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        """A field that is null is one that was not given."""
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, stop: Any) -> Any:
        return (stop,) if isinstance(stop, str) else stop

    @field_validator("stop")
    @classmethod
    def _usable_stops(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if len(stop) > _MOST_STOPS or not all(stop):
            raise ValueError(f"give at most {_MOST_STOPS} texts, none of them empty")
        return stop

    @model_validator(mode="after")
    def _fits_together(self) -> ChatRequest:
        names = [tool.function.name for tool in self.tools or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two tools are named {twice[0]!r}; give each a name of its own")
        forced = self.forced_tool
        if forced is not None and forced not in names:
            raise ValueError(
                f"tool_choice names {forced!r}, which is not among the tools ({', '.join(names) or 'none'})"
            )
        if self.tool_choice == "required" and not names:
            raise ValueError("tool_choice 'required' needs tools")
        if self.must_call and self.schema_of_answer is not None:
            raise ValueError("response_format and a forced tool_choice contradict each other; leave one of them out")
        return self

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools that the model is told of; none where ``tool_choice`` is ``"none"``."""
        if self.tool_choice == "none":
            return ()
        found = []
        for tool in self.tools or ():
            function = tool.function
            schema = function.parameters or {"type": "object", "properties": {}}
            found.append(ToolSpec(name=function.name, description=function.description or "", parameters=schema))
        return tuple(found)

    @property
    def forced_tool(self) -> str | None:
        """The name of the one tool that has to be called; None where the model may choose."""
        if not isinstance(self.tool_choice, dict):
            return None
        function = self.tool_choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        return name if isinstance(name, str) else ""

    @property
    def must_call(self) -> bool:
        """Whether the answer has to be a tool call."""
        return self.tool_choice == "required" or self.forced_tool is not None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The schema of ``response_format``; None for free text."""
        return self.response_format.schema_of_answer if self.response_format is not None else None

    @property
    def most_tokens(self) -> int | None:
        """The most tokens of an answer, where the request says it."""
        return self.max_completion_tokens or self.max_tokens


def _checked_schema(schema: dict[str, Any]) -> dict[str, Any]:
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON schema: {error.message[:200]}") from None
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return schema
