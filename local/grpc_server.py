"""A gRPC server made of plain coroutines, for the stand-ins that Google's own clients talk to.

A service is a table from method name to `Method`; a coroutine refuses a call by raising `RefusedError`.

Not here: TLS, authentication, streaming calls, request routing by header. It listens on the loopback only.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

LOOPBACK = "127.0.0.1"


class RefusedError(Exception):
    """The call is answered with this status code and message instead of a result."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Method:
    """One unary method: how its messages are read and written, and what answers it."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    answer: Callable[[Any], Awaitable[Any]]


def service(name: str, methods: Mapping[str, Method]) -> grpc.GenericRpcHandler:
    """Make the handler of the service with this full name, e.g. `google.longrunning.Operations`."""
    return grpc.method_handlers_generic_handler(name, {method: _unary(entry) for method, entry in methods.items()})


async def serve(services: Sequence[grpc.GenericRpcHandler], port: int) -> tuple[grpc.aio.Server, int]:
    """Start a server on the loopback; port 0 takes a free one.

    Returns:
        The running server and the port it got.

    Raises:
        RuntimeError: the port is taken.
    """
    # Without so_reuseport=0 a second stand-in on the same port would silently take half of the calls.
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers(tuple(services))
    bound = server.add_insecure_port(f"{LOOPBACK}:{port}")
    await server.start()
    return server, bound


def _unary(method: Method) -> grpc.RpcMethodHandler:
    async def behave(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await method.answer(request)
        except RefusedError as refusal:
            await context.abort(refusal.code, str(refusal))

    return grpc.unary_unary_rpc_method_handler(
        behave, request_deserializer=method.decode, response_serializer=method.encode
    )
