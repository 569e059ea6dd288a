"""What the adapter for requests is made of.

- `wire`: the request as a backend gets it, and its answer as the caller gets it,
- `bodies`: response bodies that give their backend back, request bodies that tell
  whether they were touched,
- `routes`: how each backend is called, and the connections to it,
- `pools`: those connections, and how long each is used,
- `preferring`: a challenge's answer goes to the backend that asked,
- `view`: a request as rules for keys see it,
- `delivery`: one caller's request on its way,
- `connector`: the hooks of requests' own adapter, which sends it,
- `passthrough`: where requests go that belong to no service.

Not here: the adapter itself (`lbtransport.requests`), which alone says what to do when
requests is not installed.
"""
