"""The building blocks of settings: one field of a `SettingsSection` declares one setting.

A field names its environment variable, default, meaning and valid values. The loader, error texts,
`parley config show`, `parley.example.toml` and the reference are all made from these declarations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo


def setting(
    variable: str,
    default: Any,
    description: str,
    *,
    example: Any = None,
    group: str = "",
    may_contain_secret: bool = False,
    **constraints: Any,
) -> Any:
    """Declare one setting: its environment variable, default and meaning.

    `example` is a valid value where the default is not one. `group` is the heading in the reference
    (default: the section's title). A value that `may_contain_secret` can come from a file of its own, as secrets do.
    `constraints` go to pydantic's `Field` (`ge`, `le`, `max_length`).
    """
    return Field(
        default,
        description=description,
        examples=[default if example is None else example],
        json_schema_extra={"variable": variable, "group": group, "may_contain_secret": may_contain_secret},
        **constraints,
    )


@dataclass(frozen=True, slots=True)
class SettingDefinition:
    """One setting, as the loader, the error texts and the reference see it."""

    section: "type[SettingsSection]"
    field_name: str
    field: FieldInfo
    key: str
    """Its key in `parley.toml`."""
    variable: str
    """Its environment variable."""
    group: str
    may_contain_secret: bool

    @property
    def file_variable(self) -> str | None:
        """The environment variable that names a file with the value."""
        return f"{self.variable}_FILE" if self.is_secret or self.may_contain_secret else None

    @property
    def is_secret(self) -> bool:
        """Secrets come from the environment or from the file named by `<VARIABLE>_FILE`, never from `parley.toml`."""
        return self.field.annotation in (SecretStr, SecretStr | None)

    @property
    def description(self) -> str:
        return self.field.description or ""

    @property
    def default(self) -> Any:
        return self.field.default

    @property
    def example(self) -> Any:
        return (self.field.examples or [None])[0]


class SettingsSection(BaseModel):
    """Settings that belong together: the core's, or those of one adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: ClassVar[str]
    key_prefix: ClassVar[str] = ""
    """Prefix of the section's keys in `parley.toml`."""

    @classmethod
    def definitions(cls) -> Iterator[SettingDefinition]:
        for name, field in cls.model_fields.items():
            extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            yield SettingDefinition(
                section=cls,
                field_name=name,
                field=field,
                key=cls.key_prefix + name,
                variable=extra["variable"],
                group=extra["group"] or cls.title,
                may_contain_secret=extra["may_contain_secret"],
            )

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool_as_number(cls, value: object, info: ValidationInfo) -> object:
        field_type = cls.model_fields[str(info.field_name)].annotation
        if field_type in (int, float) and isinstance(value, bool):
            raise ValueError("must be a number")
        return value
