"""An embedded Pendo: a real HTTP server on loopback, in its own process, with a handle.

Written from what is publicly known of Pendo's interfaces, and from nothing of this library's client, so that the
two can't share an error. The server's modules import only `errors` and `regions` of this library.
"""

from pendosync.sandbox.handle import SANDBOX_PACE, Sandbox, open_sandbox

__all__ = ["SANDBOX_PACE", "Sandbox", "open_sandbox"]
