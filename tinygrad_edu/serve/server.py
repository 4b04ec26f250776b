"""`tinygrad-edu serve`: gunicorn's master loads the models and forks the workers, which share what it has loaded.

    SIGTERM    finish what is begun, then end          SIGHUP    load the model files again
    a worker that dies is replaced, by a fork of the master: with the models that the others serve, whatever lies in
    the files by then. New files come in at a reload alone, all of them or none: loaded and tried before the first of
    the old workers is told to end. If that fails the log says why, and the old models go on.

Weights of our own models are mapped from their files and so are in memory once; the rest is shared by the fork.

Source: https://docs.gunicorn.org, "Custom Application" and "Signal Handling".
"""

from __future__ import annotations

import errno
import gc
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gunicorn.app.base import BaseApplication

from tinygrad_edu.errors import MissingExtra
from tinygrad_edu.serve.app import Settings, check_names, create_app
from tinygrad_edu.serve.log import Logger, log
from tinygrad_edu.serve.saving import load
from tinygrad_edu.serve.served import Served
from tinygrad_edu.serve.trial import try_out
from tinygrad_edu.serve.worker import Worker

RELOAD_ERRORS = (ValueError, TypeError, OSError, MissingExtra)


@dataclass(frozen=True)
class Process:
    """How the service runs: where it listens, and with how many processes and threads."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 2
    threads: int = 4  # of each worker; with more, answers come no faster, and the last of them later
    connections: int = 10_000  # of each worker
    graceful_seconds: int = 30


@dataclass(frozen=True)
class Source:
    """A model's file, the name to serve it by, and what of it is trusted: `load`'s arguments."""

    path: str
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def load_all(sources: Sequence[Source], max_batch: int) -> list[Served]:
    """The models, tried. ValueError if one is not fit to serve."""
    models = [load(source.path, source.name, **source.options) for source in sources]
    check_names(models)
    try_out(models, max_batch)
    for model in models:
        log("model", name=model.name, version=model.version, file_format=model.format, together=model.together)
    return models


class Server(BaseApplication):
    """gunicorn's application: it makes ours, from models that it loads now and at each reload."""

    def __init__(self, sources: Sequence[Source], settings: Settings, process: Process) -> None:
        self.sources, self.settings, self.process = sources, settings, process
        self.listener = listen(process.host, process.port)  # gunicorn makes a socket of its own of the descriptor
        self.address = self.listener.getsockname()[:2]
        try:
            super().__init__()
            self.callable = self.load()
        except BaseException:
            self.listener.close()
            raise

    def load(self) -> Any:
        """Our application. Raises what is wrong with a model."""
        app = create_app(load_all(self.sources, self.settings.max_batch), self.settings)
        # what is there now stays: the workers' collector leaves it alone, and so their copies of its pages shared
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return app

    def load_config(self) -> None:
        """gunicorn's settings."""
        process = self.process
        settings: dict[str, Any] = {
            "bind": f"fd://{self.listener.fileno()}",
            "workers": process.workers,
            "threads": process.threads,
            "worker_class": Worker,
            "worker_connections": process.connections,
            "keepalive": 60,  # seconds that an idle connection is kept
            "timeout": 30,  # seconds without a sign of life, after which a worker is killed
            "graceful_timeout": process.graceful_seconds,
            "preload_app": True,
            "logger_class": Logger,
            "control_socket_disable": True,
            "child_exit": _count_no_more,
            "post_worker_init": self._warm_up,
            "when_ready": self._ready,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def reload(self) -> None:
        """Called by gunicorn at SIGHUP, before it replaces the workers."""
        try:
            self.callable = self.load()
            log("reloaded")
        except RELOAD_ERRORS as error:
            log("reload failed; the old models go on", level="error", error=str(error))

    def _warm_up(self, worker: Worker) -> None:
        worker.seconds, worker.body_limit = self.settings.patience, self.settings.max_body
        self.callable.extensions["tinygrad_edu"].warm_up()

    def _ready(self, arbiter: Any) -> None:
        host, port = self.address
        log("ready", address=f"http://{f'[{host}]' if ':' in host else host}:{port}")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, port 0 being any that is free. OSError says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by the connections
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"--port {port} of {host} is in use; stop what listens there, or give another") from error
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    sock.listen(2048)
    return sock


def _count_no_more(arbiter: Any, worker: Any) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
