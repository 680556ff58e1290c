"""`portico`: reads the command line, runs one command, ends with its exit code.

Called by the console script and by `python -m portico_cli`. Promises: exit code 0, 1 when
manifests have problems (or a port is taken), 2 for wrong usage; Ctrl-C ends quietly; no
traceback is ever shown, unless PORTICO_DEBUG asks for it. Commands are imported when they
run, so that `portico version` does not wait for a data plane.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence

from portico_cli import keys_arguments, release, usage_arguments
from portico_cli.crash import DEBUG, internal_error
from portico_cli.files import STDIN, missing
from portico_dataplane.limit_arguments import add_limits, limits_of
from portico_dataplane.settings import Settings

OK, PROBLEMS, USAGE, INTERRUPTED = 0, 1, 2, 130

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,200}}\Z){_LABEL}(\.{_LABEL})*")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the value is the process's exit code."""
    _ready_streams()
    options = _parser().parse_args(arguments)
    _quiet_logging()
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`portico validate | head`). Nothing may be written now,
        # not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEMS
    except Exception as error:  # the one place that may: a bug must not end in a traceback
        print(internal_error(error), file=sys.stderr)
        return PROBLEMS


def _ready_streams() -> None:
    """Somewhere to write to, and no text that cannot be written."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the process's life
        elif hasattr(stream, "reconfigure"):
            # File names need not be UTF-8, terminals need not be able to show a name.
            stream.reconfigure(errors="backslashreplace")


class _Message(logging.Formatter):
    """Log records as lines of the command line; exceptions only with PORTICO_DEBUG."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {internal_error(record.exc_info[1])}"
        return text


def _quiet_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Message())
    logging.basicConfig(
        level=logging.DEBUG if os.environ.get(DEBUG) else logging.WARNING, handlers=[handler]
    )
    logging.raiseExceptions = False


# --- the command line ---------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="portico",
        description="Amazon API Gateway for your own Kubernetes cluster.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_dev(_command(commands, "dev", _dev, "serve manifests here, and reload as they change"))
    _add_compile(_command(commands, "compile", _compile, "write the snapshot a data plane serves"))
    _add_validate(_command(commands, "validate", _validate, "say what is wrong with manifests"))
    _add_explain(_command(commands, "explain", _explain, "say where a request goes, and why"))
    _add_deploy(_command(commands, "deploy", _deploy, "write the state of an API as a deployment"))
    _add_digest(_command(commands, "digest", _digest, "print the digest a deployment would have"))
    keys_arguments.add_keys(
        _command(commands, "keys", _keys, "make, list and switch API keys"), _name
    )
    usage_arguments.add_usage(
        _command(commands, "usage", _usage, "say who used how much of a plan"), _name
    )
    _command(commands, "version", _version, "print the version")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(run=run, usage_error=command.error)
    return command


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-f",
        "--filename",
        dest="paths",
        metavar="PATH",
        nargs="+",
        action="extend",
        required=True,
        help="file, folder (searched to its bottom) or - for standard input",
    )


def _add_paths(command: argparse.ArgumentParser) -> None:
    _add_files(command)
    command.add_argument(
        "--base-domain",
        metavar="DOMAIN",
        type=_domain,
        default="localhost",
        help="an API answers at <api>.<namespace>.DOMAIN (default: localhost)",
    )
    command.add_argument(
        "--backends",
        metavar="FILE",
        help="where Services are (default: portico.dev.yaml beside the manifests)",
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="default: text"
    )


def _add_dev(command: argparse.ArgumentParser) -> None:
    _add_paths(command)
    command.add_argument(
        "--host", default="localhost", help="address to listen on (default: localhost)"
    )
    command.add_argument("--port", type=_port, default=8080, help="default: 8080; 0: a free one")
    command.add_argument(
        "--admin-port", type=_port, default=9901, help="default: 9901; 0: a free one"
    )
    command.add_argument(
        "--tls-port",
        type=_port,
        help="serve https here too; 0: a free one (default: no https)",
    )
    command.add_argument(
        "--self-signed",
        action="store_true",
        help="https also for hosts without a certificate, by one that nobody signed "
        "(--tls-port defaults to 8443 then)",
    )
    command.add_argument("--workers", type=_workers, default=1, metavar="N", help="default: 1")
    add_limits(command, Settings())


def _add_compile(command: argparse.ArgumentParser) -> None:
    _add_paths(command)
    command.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="where to write; - for stdout"
    )
    command.add_argument(
        "--with-secrets",
        action="store_true",
        help="write what is derived from Secrets too (keys that verify signatures)",
    )


def _add_validate(command: argparse.ArgumentParser) -> None:
    _add_paths(command)
    _add_output(command)


def _add_explain(command: argparse.ArgumentParser) -> None:
    command.add_argument("method", metavar="METHOD", type=_method, help="such as GET")
    command.add_argument("url", metavar="URL", help="such as /pets/1 or http://host/pets/1")
    command.add_argument(
        "-H",
        "--header",
        dest="headers",
        metavar="'NAME: VALUE'",
        type=_header,
        action="append",
        default=[],
        help="a header of the request; may be repeated",
    )
    command.add_argument(
        "-d",
        "--data",
        metavar="TEXT",
        default="",
        help="body of the request; its signature may need it",
    )
    command.add_argument(
        "--ask",
        action="store_true",
        help="ask token issuers and authorizers, as the gateway would; no backend is called",
    )
    _add_paths(command)
    _add_output(command)


def _add_api(command: argparse.ArgumentParser) -> None:
    command.set_defaults(backends=None)
    command.add_argument(
        "--api",
        metavar="API",
        help="name, kind/name or namespace/kind/name; needed where there are several",
    )


def _add_deploy(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", type=_name, help="of the ApiDeployment")
    _add_files(command)
    _add_api(command)
    command.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where to write (default: stdout)"
    )


def _add_digest(command: argparse.ArgumentParser) -> None:
    _add_files(command)
    _add_api(command)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 512")
    return int(text)


def _name(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a name: lower-case letters, digits, '-' and '.'"
        )
    return text


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a domain name")
    return text.lower()


def _method(text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a method")
    return text


def _header(text: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 'Name: value'")
    return found[1], found[2].rstrip(" \t")


# --- commands -----------------------------------------------------------------------------


def _existing(options: argparse.Namespace) -> list[str]:
    paths: list[str] = options.paths
    for path in missing(paths):
        options.usage_error(f"{path}: no such file or folder")
    if options.backends is not None and not os.path.isfile(options.backends):
        options.usage_error(f"{options.backends}: no such file")
    return paths


def _dev(options: argparse.Namespace) -> int:
    if STDIN in options.paths:
        options.usage_error("dev reads files again as they change; standard input cannot")
    if options.port == options.admin_port != 0:
        options.usage_error("--admin-port must differ from --port")
    tls_port = options.tls_port
    if tls_port is None and options.self_signed:
        tls_port = 8443
    if tls_port and tls_port in (options.port, options.admin_port):
        options.usage_error(f"--tls-port must differ from the other ports, not {tls_port}")
    paths = tuple(_existing(options))

    from portico_cli import dev

    return dev.run(
        dev.Options(
            paths=paths,
            host=options.host,
            port=options.port,
            admin_port=options.admin_port,
            tls_port=tls_port,
            self_signed=options.self_signed,
            workers=options.workers,
            backends=options.backends,
            base_domain=options.base_domain,
            limits=limits_of(options),
        )
    )


def _compile(options: argparse.Namespace) -> int:
    from portico_cli import compile as compiling

    return compiling.run(
        _existing(options),
        options.backends,
        options.output,
        options.base_domain,
        secrets=options.with_secrets,
    )


def _validate(options: argparse.Namespace) -> int:
    from portico_cli import validate

    return validate.run(
        _existing(options),
        options.backends,
        options.base_domain,
        as_json=options.output == "json",
    )


def _explain(options: argparse.Namespace) -> int:
    from portico_cli import explain

    return explain.run(
        explain.Asked(
            options.method,
            options.url,
            tuple(options.headers),
            options.data.encode("utf-8", "surrogateescape"),
            options.ask,
        ),
        _existing(options),
        options.backends,
        options.base_domain,
        as_json=options.output == "json",
    )


def _deploy(options: argparse.Namespace) -> int:
    from portico_cli import deploy

    return deploy.run(options.name, _existing(options), options.api, options.output)


def _keys(options: argparse.Namespace) -> int:
    from portico_cli import keys

    return keys.run(options)


def _usage(options: argparse.Namespace) -> int:
    from portico_cli import usage

    return usage.run(options)


def _digest(options: argparse.Namespace) -> int:
    from portico_cli import digest

    return digest.run(_existing(options), options.api)


def _version(options: argparse.Namespace) -> int:
    print(f"portico {release.version()}")
    return OK
