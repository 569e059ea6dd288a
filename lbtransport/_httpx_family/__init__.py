"""What httpx and httpx2 share: the transports, written against a module handed in.

The two clients have the same interfaces and unrelated classes, and a process may hold
both, so nothing here imports either: a `Flavour` carries the module.

- `flavour`: the module, and what is made from it,
- `bodies`: response bodies that give their backend back, request bodies that tell
  whether they were touched,
- `pools`: one inner transport for each backend and TLS name, and when it is closed,
- `routes`: how a backend is called for a logical URL,
- `view`: a request as rules for keys see it,
- `delivery`: one caller's request on its way,
- `transports`: the sync and the async transport.
"""
