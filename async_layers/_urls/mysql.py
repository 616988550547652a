"""Say in the keys of PyMySQL and asyncmy what a MySQL URL asks, of TLS above all.

The two are siblings, and one URL means two things to them: a key of TLS may be
dropped, weaken another, or be a ``TypeError``.  So the keys are read as one
``ssl_mode`` of MySQL, and written in the keys that both honour; what a driver
cannot do is refused.
https://dev.mysql.com/doc/refman/8.4/en/connection-options.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import URL

# Arguments of PyMySQL that asyncmy lacks; it would raise TypeError.
_PYMYSQL_ONLY = ("bind_address", "collation", "write_timeout")

_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_SWITCHES = ("ssl", "ssl_disabled", "ssl_verify_cert", "ssl_verify_identity")


def to_mysql(url: URL, driver: str) -> URL:
    """Return the URL whose keys the driver honours.

    ``driver`` is ``pymysql``, ``asyncmy`` or ``aiomysql``.  Raises
    ``ArgumentError`` for what that driver cannot do.
    """
    _refuse_keys(driver, url.query)
    # SQLAlchemy gathers ssl_ca, ssl_check_hostname and the names of files
    # into a dictionary that PyMySQL and asyncmy read alike.  The other keys
    # go astray: PyMySQL replaces that dictionary, CA included, when
    # ssl_verify_cert stands beside it, and asyncmy raises TypeError.  They
    # are said in the keys that arrive, which a copy of engine.url keeps.
    asked = {k: str(v) for k, v in url.query.items() if _is_tls(k)}
    if not asked:
        return url
    mode = _mode(asked)
    files = {k: v for k, v in asked.items() if k not in ("ssl_mode", *_SWITCHES)}
    _refuse_mode(driver, mode, files)
    if mode == "DISABLED" and driver == "pymysql":
        # asyncmy encrypts nothing unless told to; PyMySQL does if it can.
        files["ssl_disabled"] = "true"
    elif mode == "VERIFY_IDENTITY":
        files["ssl_check_hostname"] = "true"
    elif mode == "VERIFY_CA" or (mode == "REQUIRED" and not _has_ca(files)):
        # Any key at all makes TLS required; without a CA this one has no
        # other effect.
        files["ssl_check_hostname"] = "false"
    return url.difference_update_query(asked).update_query_dict(files)


def _mode(asked: Mapping[str, str]) -> str:
    modes = {asked["ssl_mode"].upper()} if "ssl_mode" in asked else set[str]()
    on = {k: _switch(k, asked[k]) for k in _SWITCHES if k in asked}
    if "ssl" in on:
        modes.add("REQUIRED" if on["ssl"] else "DISABLED")
    if on.get("ssl_disabled"):
        modes.add("DISABLED")
    if "ssl_verify_cert" in on:
        # A CA alone checks the name too; asking for more does not take that.
        named = _switch("ssl_check_hostname", asked.get("ssl_check_hostname", "true"))
        modes.add("VERIFY_IDENTITY" if named else "VERIFY_CA")
    if "ssl_verify_identity" in on:
        modes.add("VERIFY_IDENTITY")
    if not modes <= {*_MODES} or ("DISABLED" in modes and len(modes) > 1):
        raise ArgumentError(
            f"The URL asks for TLS as {' and '.join(sorted(modes))}, which is not "
            f"one mode; write one ssl_mode of {', '.join(_MODES)}."
        )
    return max(modes, key=_MODES.index, default="")


def _switch(key: str, value: str) -> bool:
    if value.lower() in ("true", "1", "yes", "on"):
        return True
    if value.lower() in ("false", "0", "no", "off") and "verify" not in key:
        return False
    raise ArgumentError(
        f"{key}={value!r} is not a switch that can be translated; "
        f"write {key}=true, or ssl_mode=REQUIRED or VERIFY_CA for less."
    )


def _has_ca(files: Mapping[str, str]) -> bool:
    return "ssl_ca" in files or "ssl_capath" in files


def _is_tls(key: str) -> bool:
    return key == "ssl" or key.startswith("ssl_")


def _refuse_keys(driver: str, query: Mapping[str, object]) -> None:
    tls = sorted(filter(_is_tls, query))
    if tls and driver == "aiomysql":
        raise ArgumentError(
            f"aiomysql does not honour {tls[0]!r}: it talks in plain text to "
            "a server that offers no TLS; write '+asyncmy' for the driver."
        )
    if "ssl_key_password" in query:
        raise ArgumentError(
            f"SQLAlchemy does not hand 'ssl_key_password' to {driver}; load the "
            "key into an ssl.SSLContext and pass connect_args={'ssl': context}."
        )
    lacking = [key for key in _PYMYSQL_ONLY if key in query]
    if lacking and driver != "pymysql":
        raise ArgumentError(
            f"{driver} has no equivalent of PyMySQL's {lacking[0]!r}; "
            "remove it from the URL, or set it on the server."
        )


def _refuse_mode(driver: str, mode: str, files: Mapping[str, str]) -> None:
    if mode == "DISABLED" and files:
        raise ArgumentError(
            f"The URL switches TLS off and gives {min(files)!r}; remove one."
        )
    if mode == "PREFERRED" and driver == "asyncmy":
        raise ArgumentError(
            "asyncmy cannot fall back from TLS to plain text, which "
            "ssl_mode=PREFERRED asks; write ssl_mode=REQUIRED or DISABLED."
        )
    if mode.startswith("VERIFY") and not _has_ca(files):
        raise ArgumentError(
            f"{driver} does not check a certificate without a CA; "
            "add ssl_ca=/path/to/ca.pem, or write ssl_mode=REQUIRED."
        )
