"""
Jinja2, in one place. Undefined names are errors, and a failed template names its file and line.

Templates run sandboxed: the operator's are rendered by root, and must not become root's code.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
import jinja2.sandbox

from lbctl.errors import Problem, RenderError
from lbctl.render.bounds import MEMORY_BYTES, TooLongError, bounded

Filter = Callable[[str], str]

#: Errors that say all themselves.
_IN_WORDS = jinja2.TemplateError | OSError | MemoryError | TooLongError
#: Where templates seem to be that come as texts.
_TEXTS = "/templates-as-texts/"


def render_file(
    path: Path, context: Mapping[str, object], *, filters: Mapping[str, Filter] | None = None
) -> str:
    """
    The text that the template *path* gives; it may include others from its own directory.

    Raises:
        RenderError: it cannot be read, is malformed, or failed; ``haproxy.cfg.j2:LINE`` says where.
    """
    return _render(
        jinja2.FileSystemLoader(path.parent), f"{path.parent}/", path.name, context, filters
    )


def render_text(
    name: str,
    texts: Mapping[str, str],
    context: Mapping[str, object],
    *,
    filters: Mapping[str, Filter] | None = None,
) -> str:
    """
    The same for the template *name* of *texts*, which may include the others.

    Raises:
        RenderError: see :func:`render_file`.
    """

    def load(one: str) -> tuple[str, str, None] | None:
        # The name makes it known in tracebacks.
        return (texts[one], f"{_TEXTS}{one}", None) if one in texts else None

    with bounded():
        return _render(jinja2.FunctionLoader(load), _TEXTS, name, context, filters)


def _render(
    loader: jinja2.BaseLoader,
    home: str,
    name: str,
    context: Mapping[str, object],
    filters: Mapping[str, Filter] | None,
) -> str:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters or {})
    try:
        return environment.get_template(name).render(context)
    except jinja2.TemplateSyntaxError as error:
        where = f"{error.name or name}:{error.lineno}"
        raise _failed(where, error.message or "malformed template", error) from error
    except jinja2.TemplateNotFound as error:
        if error.name == name:
            raise _failed(name, f"{name} cannot be read", error) from error
        what = f"template {error.name} is not in the same directory"
        raise _failed(_place(error, name, home), what, error) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _failed(name, f"cannot be read: {error}", error) from error
    except TooLongError as error:
        raise _failed(_place(error, name, home), str(error), error) from error
    except MemoryError as error:
        what = f"takes more than {MEMORY_BYTES >> 20} MB of memory"
        raise _failed(_place(error, name, home), what, error) from error
    except Exception as error:
        # A template is a program: any exception of Python may come out of it.
        what = str(error) or type(error).__name__
        raise _failed(_place(error, name, home), what, error) from error


def _failed(where: str, what: str, cause: Exception) -> RenderError:
    kind = "" if isinstance(cause, _IN_WORDS) else f"{type(cause).__name__}: "
    return RenderError([Problem(where, f"{kind}{what}: nothing was written")])


def _place(error: Exception, name: str, home: str) -> str:
    """Jinja2 rewrites tracebacks, so that the innermost template is a frame with its own line."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(home) and frame.lineno is not None:
            return f"{Path(frame.filename).name}:{frame.lineno}"
    return name
