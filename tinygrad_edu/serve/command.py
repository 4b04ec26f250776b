"""`tinygrad-edu serve MODEL [NAME=MODEL ...]`: the flags, and what must be set before the server is imported."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from tinygrad_edu.errors import require

KEY = "TINYGRAD_EDU_API_KEY"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Define the command's flags."""
    flag = parser.add_argument
    flag("models", metavar="MODEL", nargs="+", help="a .safetensors or .skops file, or NAME=FILE")
    flag("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine alone)")
    flag("--port", type=_number(0, 65535), default=8000, help="0: any that is free; the log's line `ready` has it")
    flag("--workers", type=_number(1, 256), default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    flag("--threads", type=_number(1, 1024), default=4, help="of each worker (default: %(default)s)")
    flag("--max-batch", type=_number(1, 1024), default=32, help="most rows computed together, 1: none (%(default)s)")
    flag("--max-wait-ms", type=_number(0, 1000), default=0, help="how long the first of a group waits (%(default)s)")
    flag("--max-body-mb", type=_number(1, 1024), default=8, help="largest request (default: %(default)s)")
    flag("--timeout", type=_number(1, 600), default=10, help="seconds for a request to arrive, and to wait its turn")
    flag("--api-key-file", metavar="FILE", help=f"ask for the key in this file; or set {KEY}")
    flag("--backend", metavar="NAME", help="for neural models; `tinygrad-edu backends` shows those there are")
    flag("--trust-type", metavar="TYPE", action="append", default=[], help="a type in a .skops file that is fine")
    flag("--trust-pickle", action="store_true", help="load pickles, which can run anything: your own files only")
    flag("--quiet", action="store_true", help="do not log each request")


def serve(args: argparse.Namespace) -> int:
    """Serve until told to stop. ValueError and OSError for what is wrong before that."""
    counts = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="tinygrad-edu-")  # read at its import
    master = os.getpid()
    try:
        for package in ("flask", "gunicorn", "pydantic", "prometheus_client"):
            require(package, "serve")
        _serve(args)
    finally:
        if os.getpid() == master:  # a worker that ends comes by here, too
            shutil.rmtree(counts, ignore_errors=True)
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
    return 0


def _serve(args: argparse.Namespace) -> None:
    key = _key(args.api_key_file)
    # the workers are what runs at the same time: each of them gets its share of the processors
    threads = max(1, (os.cpu_count() or 1) // args.workers)
    os.environ.setdefault("TINYGRAD_EDU_THREADS", str(threads))
    require("threadpoolctl", "serve").threadpool_limits(threads)
    from tinygrad_edu.serve import server

    options = {"trust_types": args.trust_type, "trust_pickle": args.trust_pickle, "backend": args.backend}
    sources = [server.Source(*_named(model), options) for model in args.models]
    settings = server.Settings(
        max_batch=args.max_batch,
        max_wait=args.max_wait_ms / 1000,
        max_body=args.max_body_mb << 20,
        patience=args.timeout,
        key=key,
        log_requests=not args.quiet,
    )
    process = server.Process(host=args.host, port=args.port, workers=args.workers, threads=args.threads)
    server.Server(sources, settings, process).run()


def _number(low: int, high: int) -> type:
    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {value}")
        return value

    return number  # type: ignore[return-value]


def _named(model: str) -> tuple[str, str | None]:
    """FILE or NAME=FILE -> file, name."""
    name, equals, path = model.partition("=")
    return (path, name) if equals and not Path(model).exists() else (model, None)


def _key(path: str | None) -> str | None:
    """The key, from the file or the environment; never from the command line, which everybody can see."""
    if path is None:
        return os.environ.get(KEY) or None
    key = Path(path).read_text(encoding="utf-8").strip()
    if not key:
        raise ValueError(f"--api-key-file: {path} is empty; put the key into it, or leave the flag out")
    return key
