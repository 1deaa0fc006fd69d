"""Serving and calling the services of the generated descriptors.

What protoc's gRPC plug-in would generate follows from the descriptors, so it is done here once: methods are looked up
by their names, and messages are encoded and decoded by their classes. Both ends know no types beyond the messages'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from aeterna.durable.wire.generated import admin_pb2, client_pb2, worker_pb2

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""A larger message is refused by whoever receives it."""

KEEPALIVE_MS = 10_000
"""So often each side sees whether the other one still answers. It is gone if it does not for half as long; newer gRPC
has that time from the timeout of pings, which is a minute otherwise."""

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
"""Of every client of a server."""

SERVER_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)
"""Of every server; a port that somebody has is refused instead of shared."""

SERVICES: Mapping[str, ServiceDescriptor] = {
    name: file.DESCRIPTOR.services_by_name[name]
    for name, file in (("ClientService", client_pb2), ("WorkerService", worker_pb2), ("AdminService", admin_pb2))
}
"""All services, by their short names."""

ERROR_KEY = "aeterna-error"
"""The key of the trailing metadata that names the class of an error."""


def add_service(server: grpc.aio.Server, name: str, servicer: object) -> None:
    """Serve a service by the methods of ``servicer``, each named as the service's; what it lacks is UNIMPLEMENTED."""
    service = SERVICES[name]
    handlers = {
        method.name: _handler(method, behaviour)
        for method in service.methods
        if (behaviour := getattr(servicer, method.name, None)) is not None
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def _handler(method: MethodDescriptor, behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler[Any, Any]:
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    request: Any = GetMessageClass(method.input_type)
    handler: grpc.RpcMethodHandler[Any, Any] = make(behaviour, request.FromString, _encode)
    return handler


def _encode(message: Message) -> bytes:
    return message.SerializeToString()


class Caller:
    """Calls methods over one channel: ``caller("ClientService", "StartWorkflow")`` is a multicallable of it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, name: str) -> Any:
        made = self._made.get((service, name))
        if made is None:
            made = self._made[service, name] = self._make(SERVICES[service].methods_by_name[name], service)
        return made

    def _make(self, method: MethodDescriptor, service: str) -> Any:
        make: Any = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, False): self._channel.stream_unary,
            (True, True): self._channel.stream_stream,
        }[method.client_streaming, method.server_streaming]
        reply: Any = GetMessageClass(method.output_type)
        path = f"/{SERVICES[service].full_name}/{method.name}"
        return make(path, request_serializer=_encode, response_deserializer=reply.FromString)
