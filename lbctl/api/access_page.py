"""The pages of the guard itself: small, whole without scripts, and every word of others escaped."""

from __future__ import annotations

from html import escape
from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>lbctl: {title}</title>
<link rel="stylesheet" href="/page/style.css">{head}
</head>
<body class="plain">
<main class="narrow">
<h1>lbctl</h1>
{body}
</main>
</body>
</html>
"""

_FORM: Final = """<form class="login" method="post" action="/login">
{said}<p><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password"
 required autofocus></p>
<input type="hidden" name="next" value="{onward}">
<p><button type="submit">Log in</button></p>
<p class="hint">The one in <code>api.token_file</code>, or to look only the one in
<code>api.read_token_file</code>.</p>
</form>"""


def page(title: str, text: str) -> str:
    """A sentence, and the way back."""
    body = (
        f'<p class="error" role="alert">{escape(text)}</p>\n<p><a href="/">Back to the page</a></p>'
    )
    return _PAGE.format(title=escape(title), body=body, head="")


def login_page(onward: str, said: str = "") -> str:
    """
    Args:
        onward: the path to go on to.
        said: why the last try was none.
    """
    alert = f'<p class="error" role="alert">{escape(said)}</p>\n' if said else ""
    body = _FORM.format(said=alert, onward=escape(onward))
    return _PAGE.format(title="log in", body=body, head="")


def again_page(onward: str) -> str:
    """
    Asks once more, from a page of this API: a link elsewhere was followed, and a browser keeps the
    cookie (``SameSite=Strict``) from what comes of that.
    """
    path = escape(onward)
    head = f'\n<meta http-equiv="refresh" content="0; url={path}">'
    body = f'<p><a href="{path}">Go on</a></p>'
    return _PAGE.format(title="one moment", body=body, head=head)
