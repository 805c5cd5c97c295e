"""Forms: fields that say beside them what is wrong, lists of names, and the token that proves a form's origin."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask, request
from flask_wtf import CSRFProtect, FlaskForm
from wtforms import Field, StringField, TextAreaField
from wtforms.validators import ValidationError

from koschei.errors import InvalidInputError
from koschei.groups import NAME
from koschei.rules.names import LONGEST_NAME, listed

LARGEST_FORM = 2**20
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
SEPARATORS = re.compile(r"[\s,]+")

csrf = CSRFProtect()


class Form(FlaskForm):  # type: ignore[misc]
    """A form of ours. `form.validate_on_submit()` is true for a POST whose fields all make sense."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        """Fields show text without spaces around it."""

        def bind_field(self, form: Any, unbound: Any, options: dict[str, Any]) -> Field:
            """Put a filter on fields of text."""
            if issubclass(unbound.field_class, StringField):
                options["filters"] = [*unbound.kwargs.get("filters", ()), stripped]
            return unbound.bind(form=form, **options)


class NamesField(TextAreaField):  # type: ignore[misc]
    """Names with spaces, commas or line breaks between them; `field.names` has each once, in their order."""

    @property
    def names(self) -> list[str]:
        """What was written."""
        return list(dict.fromkeys(name for name in SEPARATORS.split(self.data or "") if name))


class Names:
    """Every name of a NamesField can be one. `what`: what they are names of; `required`: what to say when empty."""

    def __init__(self, what: str, required: str | None = None) -> None:
        self._what, self._required = what, required

    def __call__(self, _form: Form, field: Field) -> None:
        """Raises ValidationError."""
        wrong = [name for name in field.names if not NAME.fullmatch(name) or len(name) > LONGEST_NAME]
        if wrong:
            raise ValidationError(f"Invalid {self._what}: {listed(wrong)}")
        if self._required and not field.names:
            raise ValidationError(self._required)


def stripped(value: Any) -> Any:
    """Text without spaces around it."""
    return value.strip() if isinstance(value, str) else value


def faults(form: FlaskForm) -> str:
    """What is wrong with a form that has no page of its own to say it beside the fields."""
    return "; ".join(f"{form[name].label.text}: {' '.join(map(str, errors))}" for name, errors in form.errors.items())


def install(app: Flask) -> None:
    """Protect every form. A token lives as long as its session: pages stay open all day."""
    app.config.update(WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_SSL_STRICT=False, MAX_CONTENT_LENGTH=LARGEST_FORM)

    @app.before_request
    def no_nul() -> None:
        if request.mimetype in FORMS and any("\0" in value for _, value in request.form.items(multi=True)):
            raise InvalidInputError("The form has a NUL character in it: nothing was changed")

    csrf.init_app(app)
