"""The server: its life, its threads, and what a test can read of it.

Not here: bytes. `wire` has the framing.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from tests.servers.answers import reply
from tests.servers.messages import Fate, Handler, Request
from tests.servers.ports import bind, cut, hold_refused_port
from tests.servers.wire import Over, Wire, says_close

PATIENCE = 5.0  # seconds after which a wait that should be long over fails its test


class LoopbackServer:
    """Serve `handler` on loopback, one thread for each connection.

    A context manager: it starts on entering; on leaving it is killed, and raises what
    went wrong in its threads.
    `handler`, `on_accept` and `on_headers` may be replaced at any time.
    What a test reads of it (`requests`, `connections`, ...) survives `kill`.
    Any thread may read, kill and restart it, a handler of its own too.
    """

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        on_accept: Callable[[int], Fate | None] | None = None,
        on_headers: Handler | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """Take a port, which refuses connections until `start`.

        Args:
            handler: Answers a request; by default with an empty 200.
            ssl_context: Makes it a TLS server; not to be shared with another one,
                since the server listens in on its `sni_callback`.
            on_accept: Given a connection's number, may decide its fate before a byte
                is read, a TLS handshake included.
            on_headers: Answers a request whose body is still unread; after a `Reply`
                the rest of the body is read, and in any case the connection closes.
            host: The address to bind; "::1" for IPv6.
        """
        self.handler = handler or reply()
        self.on_accept = on_accept
        self.on_headers = on_headers
        self.host = host
        self._ssl_context = ssl_context
        if ssl_context is not None:
            self._listen_in(ssl_context)
        # Of the thread that shakes hands: the callback has no other way to know it.
        self._handshake = threading.local()

        self._changed = threading.Condition()
        self._requests: list[Request] = []  # guarded by _changed
        self._request_count = 0  # guarded by _changed
        self._connection_count = 0  # guarded by _changed
        self._open: dict[socket.socket, None] = {}  # guarded by _changed
        self._threads: list[threading.Thread] = []  # guarded by _changed
        self._server_names: list[str | None] = []  # guarded by _changed
        self._handshake_errors: list[OSError] = []  # guarded by _changed
        self._errors: list[Exception] = []  # guarded by _changed

        self._life = threading.Lock()
        self._killed = threading.Event()  # guarded by _life, as is all below
        self._acceptor: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._waker: socket.socket | None = None
        # Holds the port while nobody listens, so that it refuses connections and
        # nobody else is given it.
        self._placeholder: socket.socket | None = hold_refused_port(host)
        self.port: int = self._placeholder.getsockname()[1]

    # What a test reads

    @property
    def authority(self) -> str:
        """Return its address and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return its base URL, without a slash at the end."""
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://{self.authority}"

    @property
    def requests(self) -> list[Request]:
        """Return the requests received in full, or that `on_headers` answered."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """Return how many connections were accepted so far."""
        with self._changed:
            return self._connection_count

    @property
    def open_connections(self) -> int:
        """Return how many connections are open now."""
        with self._changed:
            return len(self._open)

    @property
    def server_names(self) -> list[str | None]:
        """Return what clients asked for in TLS handshakes (SNI), failed ones too."""
        with self._changed:
            return list(self._server_names)

    @property
    def handshake_errors(self) -> list[OSError]:
        """Return why TLS handshakes failed, seen from here."""
        with self._changed:
            return list(self._handshake_errors)

    @property
    def is_running(self) -> bool:
        """Tell whether it accepts connections."""
        return self._listener is not None

    def wait_until(self, condition: Callable[[LoopbackServer], bool]) -> None:
        """Wait until `condition` holds of this server.

        Looks whenever a request came, or a connection was opened or closed.

        Raises:
            TimeoutError: If it does not hold in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout=PATIENCE):
                msg = f"waited {PATIENCE} s in vain: {self!r} has {self._requests!r}"
                raise TimeoutError(msg)

    def __repr__(self) -> str:
        state = "running" if self.is_running else "killed"
        return f"<LoopbackServer {self.url} {state}>"

    # Its life

    def start(self) -> Self:
        """Start to accept connections."""
        with self._life:
            if self._listener is not None:
                msg = f"{self!r} is running already: kill it first"
                raise RuntimeError(msg)
            self._release_port()
            listener = self._listener = bind(self.host, self.port)
            listener.listen(128)
            listener.setblocking(False)
            self._killed = threading.Event()
            wakened, self._waker = socket.socketpair()
            self._acceptor = self._start_thread(
                self._accept, listener, wakened, self._killed
            )
        return self

    def kill(self) -> None:
        """Refuse connections from now on, and cut all that are open.

        Returns when all its threads have ended, but for the caller's own.
        """
        with self._life:
            self._stop_accepting()
        with self._changed:
            # Under the lock, for whoever closes one forgets it first: another socket
            # may have its number by then, perhaps a client's.
            for connection in self._open:
                cut(connection)
            threads = list(self._threads)
        # Not under _life: one of them may be about to kill the server itself.
        self._join(threads)

    def _stop_accepting(self) -> None:
        if self._listener is None or self._waker is None or self._acceptor is None:
            return
        self._killed.set()
        self._waker.close()
        self._join([self._acceptor])
        self._listener.close()
        self._listener = None
        self._placeholder = hold_refused_port(self.host, self.port)

    def restart(self) -> None:
        """Start again on the same port, killed before if it was running."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kill it, give its port back, and raise what went wrong in its threads.

        Raises:
            ExceptionGroup: Of what handlers raised, and of the kit's own mistakes.
        """
        self.kill()
        with self._life:
            self._release_port()
        with self._changed:
            errors, self._errors = self._errors, []
        if errors:
            msg = f"{self!r} failed in its threads"
            raise ExceptionGroup(msg, errors)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _release_port(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _start_thread(
        self, target: Callable[..., None], *args: object
    ) -> threading.Thread:
        # A daemon, so that a mistake in a test cannot keep the process alive.
        name = f"loopback-{self.port}"
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        with self._changed:
            self._threads = [known for known in self._threads if known.is_alive()]
            self._threads.append(thread)
            # Under the lock: a thread that was not started yet cannot be joined.
            thread.start()
        return thread

    def _join(self, threads: Iterable[threading.Thread]) -> None:
        for thread in threads:
            if thread is threading.current_thread():
                continue  # a handler that kills its own server
            thread.join(PATIENCE)
            if thread.is_alive():
                self._note_error(TimeoutError(f"{thread.name} did not end: {self!r}"))

    def _note_error(self, error: Exception) -> None:
        with self._changed:
            self._errors.append(error)

    # Its threads

    def _accept(
        self, listener: socket.socket, wakened: socket.socket, killed: threading.Event
    ) -> None:
        with wakened, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wakened, selectors.EVENT_READ)
            while not killed.is_set():
                selector.select()
                # The client may have gone again before it could be accepted.
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    while not killed.is_set():
                        self._take(listener.accept()[0], killed)

    def _take(self, connection: socket.socket, killed: threading.Event) -> None:
        connection.setblocking(True)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            self._connection_count += 1
            number = self._connection_count
            self._open[connection] = None
            self._changed.notify_all()
        self._start_thread(self._serve, connection, number, killed)

    def _serve(
        self, connection: socket.socket, number: int, killed: threading.Event
    ) -> None:
        wire = Wire(connection, killed)
        try:
            self._converse(wire, number)
        except Over as over:
            wire.part(over.fate)
        except Exception as error:  # noqa: BLE001 - close() raises it in the test
            self._note_error(error)
        finally:
            with self._changed:
                del self._open[wire.connection]
                self._changed.notify_all()
            wire.connection.close()

    def _converse(self, wire: Wire, number: int) -> None:
        if self.on_accept is not None and (fate := self.on_accept(number)):
            wire.meet(fate)
        server_name = None
        if self._ssl_context is not None:
            server_name = self._shake_hands(wire, self._ssl_context)
        self._speak(wire, number, server_name)

    def _speak(self, wire: Wire, number: int, server_name: str | None) -> None:
        """Answer requests until the connection is over."""
        while True:
            self._answer_next(wire, number, server_name)

    def _answer_next(self, wire: Wire, number: int, server_name: str | None) -> None:
        line, headers = wire.read_head()
        method, target, version = line.split(" ")
        count = self._count_request()
        request = Request(method, target, headers, b"", count, number, server_name)
        if self.on_headers is not None:
            self._note_request(request)
            wire.send_answer(self.on_headers(request), method)
            # Closing on unread bytes sends a RST, which may overtake the answer.
            wire.read_body(headers)
            raise Over(Fate.CLOSE)
        body = wire.read_body(headers)
        request = Request(method, target, headers, body, count, number, server_name)
        self._note_request(request)
        wire.send_answer(self.handler(request), method)
        if version != "HTTP/1.1" or says_close(headers):
            raise Over(Fate.CLOSE)

    def _count_request(self) -> int:
        with self._changed:
            self._request_count += 1
            return self._request_count

    def _note_request(self, request: Request) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def _shake_hands(self, wire: Wire, context: ssl.SSLContext) -> str | None:
        plain = wire.connection
        try:
            secure = context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
        except OSError as error:  # the client has gone
            raise Over(Fate.CLOSE) from error
        # Wrapping took the descriptor from the plain socket.
        with self._changed:
            del self._open[plain]
            self._open[secure] = None
        wire.connection = secure
        if wire.killed.is_set():  # kill() may have seen only the plain one
            raise Over(Fate.RESET)
        try:
            secure.do_handshake()
        except OSError as error:
            with self._changed:
                self._handshake_errors.append(error)
                self._changed.notify_all()
            raise Over(Fate.CLOSE) from error
        server_name: str | None = self._handshake.server_name
        return server_name

    def _listen_in(self, context: ssl.SSLContext) -> None:
        choose_certificate = context.sni_callback

        # Called in the middle of each handshake, on its thread; without a name too.
        def note_server_name(
            connection: ssl.SSLObject, server_name: str, context: ssl.SSLContext
        ) -> int | None:
            self._handshake.server_name = server_name
            with self._changed:
                self._server_names.append(server_name)
                self._changed.notify_all()
            if choose_certificate is None:
                return None
            return choose_certificate(connection, server_name, context)

        context.sni_callback = note_server_name
