"""What a server answers to the SDKs: just enough of each API to be believed.

Not here: the server itself, nor what goes wrong with one (both `tests.servers`).
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Sequence

from tests.servers import Answer, Fate, Handler, Reply, Request

WORDS = ["Hello", "to", "you"]
"""Of what a language model says; in a stream each comes by itself."""
FILE = b'{"model_type": "small"}'
"""What is to be downloaded."""

_JSON = ("Content-Type", "application/json")

Gate = threading.Event | Fate
_Pieces = Iterable[bytes | Gate]
_Arrange = Callable[[Sequence[bytes]], _Pieces]


def answer(request: Request) -> Answer:
    """Answer at once; a stream too."""
    return _answer(request, lambda frames: frames)


def answer_word_by_word(gates: Sequence[Gate]) -> Handler:
    """Answer with a stream that waits, after each word, for the word's gate.

    Args:
        gates: For each word what is to be awaited, or what ends the connection.
    """

    def hold(frames: Sequence[bytes]) -> _Pieces:
        pairs = itertools.zip_longest(frames, gates)
        return [piece for pair in pairs for piece in pair if piece is not None]

    return lambda request: _answer(request, hold)


def _answer(request: Request, arrange: _Arrange) -> Reply:
    path = request.target.partition("?")[0]
    if "/resolve/" in path:
        return _file()
    ending = next((known for known in _ANSWERS if path.endswith(known)), "")
    if ending in _STREAMS and _wants_a_stream(request, ending):
        kind, frames = _STREAMS[ending]
        return Reply(200, [("Content-Type", kind)], arrange(frames))
    body = json.dumps(_ANSWERS.get(ending, {"items": []})).encode()
    return Reply(200, [_JSON, ("X-Elastic-Product", "Elasticsearch")], body)


def _wants_a_stream(request: Request, ending: str) -> bool:
    # ollama is alone in that it streams unless it is told not to.
    wanted: bool = json.loads(request.body).get("stream", ending == "/api/chat")
    return wanted


def _file() -> Reply:
    headers = [("ETag", '"1"'), ("X-Repo-Commit", "0" * 40)]
    return Reply(200, headers, FILE)


def _events(*events: object) -> list[bytes]:
    """Frame them as server-sent events."""
    return [b"data: %b\n\n" % json.dumps(event).encode() for event in events]


def _named_events(*events: dict[str, object]) -> list[bytes]:
    """Frame them as server-sent events that bear their type's name."""
    frames = zip(events, _events(*events), strict=True)
    return [b"event: %b\n%b" % (str(e["type"]).encode(), frame) for e, frame in frames]


# The protocol of openai, which groq, mistral and huggingface speak as well.


def _completion(kind: str, **choice: object) -> dict[str, object]:
    return {
        "id": "1",
        "object": kind,
        "created": 0,
        "model": "small",
        "choices": [{"index": 0, "finish_reason": None, **choice}],
    }


_USAGE = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
_COMPLETION = {
    **_completion(
        "chat.completion",
        finish_reason="stop",
        message={"role": "assistant", "content": " ".join(WORDS)},
    ),
    "usage": _USAGE,
}
_CHUNKS = [
    *_events(
        *(
            _completion("chat.completion.chunk", delta={"content": word})
            for word in WORDS
        )
    ),
    b"data: [DONE]\n\n",
]

# The protocol of anthropic.

_MESSAGE: dict[str, object] = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "small",
    "content": [{"type": "text", "text": " ".join(WORDS)}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 3},
}
_START = _named_events(
    {"type": "message_start", "message": {**_MESSAGE, "content": []}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    },
)
_DELTAS = _named_events(
    *(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": word},
        }
        for word in WORDS
    )
)
_STOP = _named_events(
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
)
# One frame for each word, so the first one brings what must precede it.
_MESSAGE_FRAMES = [b"".join(_START) + _DELTAS[0], *_DELTAS[1:], b"".join(_STOP)]

# The protocol of ollama: a line of JSON for each word.


def _chat(content: str, *, done: bool) -> dict[str, object]:
    message = {"role": "assistant", "content": content}
    return {"model": "small", "message": message, "done": done}


_LINES = [json.dumps(_chat(word, done=False)).encode() + b"\n" for word in WORDS] + [
    json.dumps(_chat("", done=True)).encode() + b"\n"
]

_STREAMS: dict[str, tuple[str, Sequence[bytes]]] = {
    "/chat/completions": ("text/event-stream", _CHUNKS),
    "/v1/messages": ("text/event-stream", _MESSAGE_FRAMES),
    "/api/chat": ("application/x-ndjson", _LINES),
}
_ANSWERS: dict[str, object] = {
    "/chat/completions": _COMPLETION,
    "/v1/messages": _MESSAGE,
    "/api/chat": _chat(" ".join(WORDS), done=True),
    "/api/models/org/small": {"id": "org/small", "modelId": "org/small", "tags": []},
    "/points/count": {"result": {"count": 3}, "status": "ok", "time": 0.0},
    "/v1/customers": {"id": "cus_1", "object": "customer"},
    "/token": {"access_token": "fresh", "expires_in": 3600},
    "/_doc": {
        "_index": "items",
        "_id": "1",
        "_version": 1,
        "result": "created",
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": 0,
        "_primary_term": 1,
    },
}
