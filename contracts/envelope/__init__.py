"""Between wire bytes and events: CloudEvents 1.0 on the Pub/Sub and the HTTP protocol binding.

`messages` writes what is published. `reading` is the one way in: it finds out which shape a request has and asks
`push` (the body Pub/Sub sends), `cloud_events` (an event's attributes and data), `google_events` (what Google says in
its own words) and `dead_letters` (what was given up). `checking` turns whatever breaks the contract into named faults.

Parsing happens once, here, at the edge; inside there are only types.
"""
