"""What is sent again: the whole of it, as one table.

Two backends, of which the first is asked first and does what the first column says; the
second answers everything with a 200.
Each line holds for four requests (GET, PUT, POST, and POST with an Idempotency-Key),
each with three bodies (bytes, a file, and a generator, which can be sent only once).

it read     how often the first server reads the request to its end
stood       how far the first attempt had got, as `Attempt.stage` says
repeated    which of the twelve the second server gets:
            any         all of them: not a byte of the body was touched
            replayable  those whose body can be sent again, whatever the method
            idempotent  the same, but for POST without a key
            never       none
it is       what the first backend's health says: blamed, or not
requests    what the caller gets if it is not repeated: an error of this class, or a
httpx       response; "-" where the line is not about this client
"""

from __future__ import annotations

from dataclasses import dataclass

from lbtransport import Stage

TABLE = """
what the first server does       | it read | stood         | repeated   | it is  | requests              | httpx
---------------------------------|---------|---------------|------------|--------|-----------------------|---------------------
refuses connections              | 0       | not connected | any        | blamed | ConnectionError       | ConnectError
has a name that nobody knows     | 0       | not connected | any        | blamed | ConnectionError       | ConnectError
never accepts                    | 0       | not connected | any        | blamed | ConnectTimeout        | ConnectTimeout
is certified by nobody we know   | 0       | not connected | any        | blamed | SSLError              | ConnectError
is certified for another name    | 0       | not connected | any        | blamed | SSLError              | ConnectError
closes in the handshake          | 0       | not connected | any        | blamed | SSLError              | ConnectError
hangs in the handshake           | 0       | not connected | any        | blamed | ConnectTimeout        | ConnectTimeout
speaks TLS, and we do not        | 0       | sent          | idempotent | blamed | ConnectionError       | ReadError, RemoteProtocolError
closes before it reads           | 0       | sent          | idempotent | blamed | ConnectionError       | ReadError, RemoteProtocolError
closes before it reads it all    | 0       | sent          | idempotent | blamed | ConnectionError       | ReadError, RemoteProtocolError
resets before it reads it all    | 1       | sent          | idempotent | blamed | ConnectionError       | ReadError, RemoteProtocolError
never reads it all               | 0       | sent          | idempotent | blamed | ConnectionError       | WriteTimeout
reads and closes                 | 1       | sent          | idempotent | blamed | ConnectionError       | RemoteProtocolError
reads and resets                 | 1       | sent          | idempotent | blamed | ConnectionError       | ReadError
reads and never answers          | 1       | sent          | idempotent | blamed | ReadTimeout           | ReadTimeout
closed a connection that we kept | 1       | answered      | never      | fine   | 200 first             | 200 first
closes one just as we use it     | 1       | stale         | idempotent | fine   | ConnectionError       | RemoteProtocolError
resets one just as we use it     | 1       | stale         | idempotent | fine   | ConnectionError       | ReadError
answers with garbage             | 1       | sent          | idempotent | blamed | ConnectionError       | RemoteProtocolError
closes in its headers            | 1       | sent          | idempotent | blamed | -                     | RemoteProtocolError
closes in its headers            | 1       | answered      | never      | fine   | 200                   | -
closes in its body               | 1       | answered      | never      | blamed | ChunkedEncodingError  | RemoteProtocolError
closes in a chunk                | 1       | answered      | never      | blamed | ChunkedEncodingError  | RemoteProtocolError
resets in its body               | 1       | answered      | never      | blamed | ChunkedEncodingError  | ReadError
stalls in its body               | 1       | answered      | never      | blamed | ConnectionError       | ReadTimeout
sends what cannot be decoded     | 1       | answered      | never      | fine   | ContentDecodingError  | DecodingError
answers 413 before it reads all  | 1       | answered      | never      | fine   | 413 first             | 413 first
answers 404                      | 1       | answered      | never      | fine   | 404 first             | 404 first
answers 429                      | 1       | answered      | never      | fine   | 429 first             | 429 first
answers 429 with Retry-After     | 1       | answered      | replayable | fine   | 429 first             | 429 first
answers 500                      | 1       | answered      | never      | blamed | 500 first             | 500 first
answers 501                      | 1       | answered      | never      | fine   | 501 first             | 501 first
answers 502                      | 1       | answered      | idempotent | blamed | 502 first             | 502 first
answers 503                      | 1       | answered      | idempotent | blamed | 503 first             | 503 first
answers 503 with Retry-After     | 1       | answered      | replayable | fine   | 503 first             | 503 first
answers 504                      | 1       | answered      | idempotent | blamed | 504 first             | 504 first
"""  # noqa: E501 - a table

# That it answered so is its own word that it did not act on the request.
REFUSALS = frozenset({"answers 429 with Retry-After", "answers 503 with Retry-After"})


@dataclass(frozen=True)
class Request:
    """One of the twelve.

    Attributes:
        method: Its HTTP method.
        has_key: Whether it bears an Idempotency-Key.
        body: ``"bytes"``, ``"file"`` or ``"generator"``.
    """

    method: str
    has_key: bool
    body: str

    def __str__(self) -> str:
        return f"{self.method}{'+key' if self.has_key else ''}-{self.body}"

    @property
    def is_idempotent(self) -> bool:
        return self.method != "POST" or self.has_key

    @property
    def is_replayable(self) -> bool:
        return self.body != "generator"


REQUESTS = [
    Request(method, has_key, body)
    for method, has_key in [
        ("GET", False),
        ("PUT", False),
        ("POST", False),
        ("POST", True),
    ]
    for body in ("bytes", "file", "generator")
]


@dataclass(frozen=True)
class Line:
    """One line of the table, for one family of clients.

    Attributes:
        what: What the first server does.
        read: How often it reads the request.
        stage: How far the first attempt had got.
        repeated: One of the four words.
        is_blamed: Whether its backend is.
        unrepeated: What the caller gets if the request is not repeated, one of these.
    """

    what: str
    read: int
    stage: Stage
    repeated: str
    is_blamed: bool
    unrepeated: frozenset[str]

    def __str__(self) -> str:
        return self.what

    def is_repeated(self, request: Request) -> bool:
        """Tell whether the second server gets a request."""
        return {
            "any": True,
            "replayable": request.is_replayable,
            "idempotent": request.is_replayable and request.is_idempotent,
            "never": False,
        }[self.repeated]

    def is_a_race(self, request: Request) -> bool:
        """Tell whether a connection may have ended before the body was begun.

        Then a generator was not touched, and is as good as bytes.
        """
        is_touched_late = self.read == 0 and self.repeated == "idempotent"
        return is_touched_late and request.is_idempotent and not request.is_replayable


def lines(family: str) -> list[Line]:
    """Return the lines for "requests" or "httpx"."""
    header, _, *rows = [
        [cell.strip() for cell in row.split("|")] for row in TABLE.strip().splitlines()
    ]
    column = header.index(family)
    return [
        Line(
            what=row[0],
            read=int(row[1]),
            stage=Stage(row[2]),
            repeated=row[3],
            is_blamed=row[4] == "blamed",
            unrepeated=frozenset(row[column].split(", ")),
        )
        for row in rows
        if row[column] != "-"
    ]
