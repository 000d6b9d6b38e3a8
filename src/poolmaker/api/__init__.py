"""User API and admin API: deny by default, problem+json errors, idempotency keys, server-sent events.

Invariants
1. A route that declares no access lets nobody in; a test walks every route with every role, scope and owner.
2. Every POST has an Idempotency-Key: the same key and body is answered the same, another body is a conflict, and
   of requests that come at once one works while the others wait for its answer.
3. An amount comes in and goes out as an exact decimal text; a JSON number is refused.
4. A token is stored only as its hash and is shown once; it has scopes, an expiry, and is let in no more from the
   moment it is revoked.
5. An error says what happened, what it means for the money and what to do, with a correlation id.
6. What a path names is checked for its owner before the route runs; for another user it does not exist.
7. No parameter reaches a room without the bounded form that ``api.params`` gives it.
8. What a client may use (connections, requests at once and per second, streams, time) is bounded before anything is
   read for it, and it uses connections of the database that engines and sagas never wait for.
9. A list says where it goes on; nothing is left out of it silently.
"""
