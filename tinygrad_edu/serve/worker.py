"""A gunicorn worker that gives a thread to a request only when all of the request has arrived.

gunicorn's own threaded worker lends a thread to whoever connects and lets it wait for the client's bytes: a few clients
that send a byte a second hold all threads. Here connections wait in one epoll of the kernel's, which costs a file
descriptor each and nothing else, and their bytes are collected as they come. Any thread that is free asks epoll for the
next socket with news, reads what there is without waiting, and only where that completes a request runs the
application, in the same thread: no queue and no hand-over stand in between.

How long a client may take, for a request and between two, is watched by the main thread once a second. A body that
announces more than the limit is refused after its head, unread.

Sources: gunicorn's `workers/base.py`, which this extends as its documentation describes, and epoll(7), EPOLLONESHOT: a
socket is reported once, to one thread, and not again before it is armed anew.
"""

from __future__ import annotations

import io
import os
import re
import resource
import select
import socket
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import http
from gunicorn.http import errors, wsgi
from gunicorn.workers import base

from tinygrad_edu.serve.log import log
from tinygrad_edu.serve.problems import PROBLEM, Problem

ARMED = select.EPOLLIN | select.EPOLLONESHOT
HEAD_LIMIT = 1 << 16  # bytes of a request's line and headers; gunicorn's parser has the finer limits
READ = 1 << 18  # bytes read at a time, at most
DRAIN = 1 << 22  # bytes that are read and dropped after a refusal, for as many seconds as
DRAIN_SECONDS = 2.0
LINGER_SECONDS = 1.0  # that a worker which is told to stop waits for what its clients may be sending already
ANNOUNCED = re.compile(rb"\r\n(?:content-length:[ \t]*(\d{1,18})|(transfer-encoding:)|(expect:))[^\r\n]*", re.I)
STATUS = {  # what gunicorn's parser may find wrong with a request
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}


class Connection:
    """A client's socket, the bytes of its next request so far, and by when it has to be complete."""

    def __init__(self, sock: socket.socket, client: Any, server: Any, deadline: float) -> None:
        self.sock, self.client, self.server, self.deadline = sock, client, server, deadline
        self.data = bytearray()
        self.needs = 0  # bytes until the request is complete; 0: not known before its head is there
        self.chunked = False
        self.last = False  # there is no telling where the request ends: nothing can follow it
        self.dropped: int | None = None  # bytes, once the last answer is given

    def complete(self, limit: int) -> bool:
        """Whether a whole request is there, or enough of one to refuse it: `limit` is the body's, in bytes."""
        if not self.needs:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return len(self.data) > HEAD_LIMIT
            lengths, expects = set(), False
            for announced in ANNOUNCED.finditer(self.data, 0, end):
                lengths |= {int(announced[1])} if announced[1] else set()
                self.chunked |= bool(announced[2])
                expects |= bool(announced[3])
            length = max(lengths, default=0)
            if length > limit or len(lengths) + self.chunked > 1:  # too much, or two ends: refused as it is
                self.last = True
                return True
            self.needs = end + 4 + length
            if expects and len(self.data) < self.needs:
                self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.chunked:  # its end, or more than is read; gunicorn's parser looks closely
            ends = self.data.endswith(b"\r\n\r\n") and b"\r\n0\r\n" in self.data
            return ends or len(self.data) > self.needs + limit + HEAD_LIMIT
        return len(self.data) >= self.needs

    def next_request(self, left: bytes, deadline: float) -> None:
        """Forget the request, but for the bytes behind it, which belong to the next one."""
        self.data, self.needs, self.chunked, self.deadline = bytearray(left), 0, False, deadline

    def end(self) -> None:
        """Send no more, and drop what still comes: a socket closed with bytes unread takes the last answer with it."""
        self.dropped, self.deadline = 0, time.monotonic() + DRAIN_SECONDS
        self.sock.shutdown(socket.SHUT_WR)


class Out:
    """What gunicorn's response takes for a socket: sends, and waits no longer than told."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.sock, self.seconds = sock, seconds
        self.head: bytes | None = b""  # kept until the first part of the body comes: one packet in place of two

    def send(self, data: bytes) -> None:
        """gunicorn's own "100 Continue", which was sent when the head was there."""

    def sendall(self, data: bytes) -> None:
        """Send, or keep what comes first until the next part comes."""
        if self.head == b"":
            self.head = data
        else:
            self.flush(data)

    def flush(self, data: bytes = b"") -> None:
        """Send all that there is. TimeoutError when the client takes nothing for so many seconds."""
        data, self.head = (self.head or b"") + data, None
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.sock, select.POLLOUT)
                if not poll.poll(1000 * self.seconds):
                    raise TimeoutError("the client takes no answer") from None


class Worker(base.Worker):
    """Threads that share an epoll; `cfg.threads`, `cfg.worker_connections`, `cfg.keepalive` are gunicorn's settings."""

    seconds = 10.0  # for all of a request to arrive, from its first byte, and for a client to take an answer
    body_limit = 1 << 23  # bytes

    def run(self) -> None:
        """Serve until told to stop, then finish what is begun."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.limit = min(self.cfg.worker_connections, most - 64)  # the rest for files and libraries
        self.epoll = select.epoll()
        self.waiting: dict[int, Connection] = {}  # for bytes; whoever takes one out has it for themselves
        self.lock, self.open, self.busy = threading.Lock(), 0, 0
        self.listeners = {listener.fileno(): listener for listener in self.sockets}
        self.resting: set[int] = set()  # listeners, while there are too many connections
        for fd, listener in self.listeners.items():
            listener.setblocking(False)
            self.epoll.register(fd, ARMED)
        for _ in range(self.cfg.threads):
            threading.Thread(target=self._serve, daemon=True).start()
        signals = select.poll()
        signals.register(self.PIPE[0], select.POLLIN)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self._watch(time.monotonic())
            if signals.poll(1000):
                os.read(self.PIPE[0], 64)
        self._finish()

    def _finish(self) -> None:
        self.alive = False
        for fd in self.listeners:
            self.epoll.unregister(fd)
        began = time.monotonic()
        while (waited := time.monotonic() - began) < self.cfg.graceful_timeout:
            if not self.open or (waited > LINGER_SECONDS and not self.busy):
                break
            self.notify()
            time.sleep(0.02)

    def _watch(self, now: float) -> None:
        """Close what is too late, and listen again where there is room."""
        for fd, connection in list(self.waiting.items()):
            if connection.deadline < now and self.waiting.pop(fd, None) is not None:  # else a thread has just taken it
                if connection.data and connection.dropped is None:
                    self._refuse(connection, HTTPStatus.REQUEST_TIMEOUT, f"it was not complete in {self.seconds:g} s")
                self._close(connection)
        while self.resting and self.open < self.limit:
            self.epoll.modify(self.resting.pop(), ARMED)

    def _serve(self) -> None:
        """One thread: whatever socket has news next."""
        while True:
            for fd, _ in self.epoll.poll(-1, 1):
                if fd in self.listeners:
                    self._accept(fd)
                elif (connection := self.waiting.pop(fd, None)) is not None:
                    self._count(busy=1)
                    keep = self._news(connection)
                    self._count(busy=-1)
                    if keep:
                        self.waiting[fd] = connection
                        self.epoll.modify(fd, ARMED)
                    else:
                        self._close(connection)

    def _count(self, *, busy: int = 0, open: int = 0) -> None:
        with self.lock:
            self.busy += busy
            self.open += open

    def _accept(self, fd: int) -> None:
        try:
            sock, client = self.listeners[fd].accept()
        except OSError:  # another worker was faster, or the client is gone
            pass
        else:
            sock.setblocking(False)
            self._count(open=1)
            connection = Connection(sock, client, sock.getsockname(), time.monotonic() + self.cfg.keepalive)
            self.waiting[sock.fileno()] = connection
            self.epoll.register(sock.fileno(), ARMED)
        if self.cfg.workers > 1:  # the more it has the later it takes the next: else one takes all that come at once
            time.sleep(min(1e-3, 2e-5 * self.open))
        if self.open >= self.limit:
            self.resting.add(fd)
        elif self.alive:
            self.epoll.modify(fd, ARMED)

    def _close(self, connection: Connection) -> None:
        connection.sock.close()
        self._count(open=-1)

    def _news(self, connection: Connection) -> bool:
        """Take in what has come, answer what is complete; whether the connection goes on."""
        try:
            data = connection.sock.recv(READ)
            if not data:
                return False
            if connection.dropped is not None:
                connection.dropped += len(data)
                return connection.dropped < DRAIN
            if not connection.data:
                connection.deadline = time.monotonic() + self.seconds
            connection.data += data
            while connection.complete(self.body_limit):
                if not self._answer(connection):
                    connection.end()
                    break
            return True
        except BlockingIOError:
            return True
        except OSError:  # the client is gone, or takes no answer
            return False

    def _answer(self, connection: Connection) -> bool:
        """Run the application on a request that is complete; whether another may follow."""
        out = Out(connection.sock, self.seconds)
        parser = http.get_parser(self.cfg, iter([bytes(connection.data)]), connection.client)
        try:
            request = next(parser)
            response, environ = wsgi.create(request, out, connection.client, connection.server, self.cfg)
            environ["wsgi.multithread"], environ["tinygrad_edu.stopping"] = True, not self.alive
            if connection.chunked:  # whether the chunks are well made is seen only now
                environ["wsgi.input"] = io.BytesIO(request.body.read(self.body_limit + 1))
            if connection.last or not self.alive:
                response.force_close()
            parts = self.wsgi(environ, response.start_response)
            try:
                for part in parts:
                    response.write(part)
                response.close()
            finally:
                if hasattr(parts, "close"):
                    parts.close()
            out.flush()
            if response.should_close() or not parser.finish_body():
                return False
        except (errors.ParseException, errors.NoMoreData, StopIteration) as error:
            status = STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
            # the class alone: what it says repeats what the client sent
            self._refuse(connection, status, f"it is no valid HTTP: {type(error).__name__}")
            return False
        except OSError:
            raise
        except Exception as error:  # of an answer that was begun already, or of gunicorn's
            log("answer failed", level="error", error=f"{type(error).__name__}: {error}")
            return False
        connection.next_request(parser.unreader.take_buffered(), time.monotonic() + self.cfg.keepalive)
        return True

    def _refuse(self, connection: Connection, status: HTTPStatus, detail: str) -> None:
        """Answer a request that never reaches the application."""
        log("refused", status=status.value, detail=detail)
        body = Problem(status, f"the request was refused: {detail}").body()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {PROBLEM}\r\nConnection: close\r\n"
        with suppress(OSError):  # it is gone, or takes nothing
            connection.sock.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
