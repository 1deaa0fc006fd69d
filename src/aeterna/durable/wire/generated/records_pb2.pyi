from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_PENDING: _ClassVar[State]
    STATE_RUNNING: _ClassVar[State]
    STATE_COMPLETED: _ClassVar[State]
    STATE_FAILED: _ClassVar[State]
    STATE_CANCELLED: _ClassVar[State]

class MessageKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_KIND_UNSPECIFIED: _ClassVar[MessageKind]
    MESSAGE_KIND_SIGNAL: _ClassVar[MessageKind]
    MESSAGE_KIND_CANCEL: _ClassVar[MessageKind]
    MESSAGE_KIND_PAUSE: _ClassVar[MessageKind]
    MESSAGE_KIND_RESUME: _ClassVar[MessageKind]

class NoticeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_KIND_UNSPECIFIED: _ClassVar[NoticeKind]
    NOTICE_KIND_RUNS: _ClassVar[NoticeKind]
    NOTICE_KIND_INBOX: _ClassVar[NoticeKind]
    NOTICE_KIND_ENDED: _ClassVar[NoticeKind]
    NOTICE_KIND_LOST: _ClassVar[NoticeKind]
    NOTICE_KIND_SCHEDULES: _ClassVar[NoticeKind]
    NOTICE_KIND_YIELD: _ClassVar[NoticeKind]
STATE_UNSPECIFIED: State
STATE_PENDING: State
STATE_RUNNING: State
STATE_COMPLETED: State
STATE_FAILED: State
STATE_CANCELLED: State
MESSAGE_KIND_UNSPECIFIED: MessageKind
MESSAGE_KIND_SIGNAL: MessageKind
MESSAGE_KIND_CANCEL: MessageKind
MESSAGE_KIND_PAUSE: MessageKind
MESSAGE_KIND_RESUME: MessageKind
NOTICE_KIND_UNSPECIFIED: NoticeKind
NOTICE_KIND_RUNS: NoticeKind
NOTICE_KIND_INBOX: NoticeKind
NOTICE_KIND_ENDED: NoticeKind
NOTICE_KIND_LOST: NoticeKind
NOTICE_KIND_SCHEDULES: NoticeKind
NOTICE_KIND_YIELD: NoticeKind

class ErrorInfo(_message.Message):
    __slots__ = ("type", "message", "traceback", "arguments")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    traceback: str
    arguments: bytes
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class WorkflowInfo(_message.Message):
    __slots__ = ("key", "id", "workflow", "version", "state", "detail", "created_us", "updated_us", "length", "epoch", "owner", "wake_us", "finished_us", "parent", "note", "queue", "priority", "share", "requires", "crashes")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CREATED_US_FIELD_NUMBER: _ClassVar[int]
    UPDATED_US_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    WAKE_US_FIELD_NUMBER: _ClassVar[int]
    FINISHED_US_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_FIELD_NUMBER: _ClassVar[int]
    CRASHES_FIELD_NUMBER: _ClassVar[int]
    key: int
    id: str
    workflow: str
    version: str
    state: State
    detail: str
    created_us: int
    updated_us: int
    length: int
    epoch: int
    owner: int
    wake_us: int
    finished_us: int
    parent: str
    note: str
    queue: str
    priority: int
    share: str
    requires: _containers.RepeatedScalarFieldContainer[str]
    crashes: int
    def __init__(self, key: _Optional[int] = ..., id: _Optional[str] = ..., workflow: _Optional[str] = ..., version: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., detail: _Optional[str] = ..., created_us: _Optional[int] = ..., updated_us: _Optional[int] = ..., length: _Optional[int] = ..., epoch: _Optional[int] = ..., owner: _Optional[int] = ..., wake_us: _Optional[int] = ..., finished_us: _Optional[int] = ..., parent: _Optional[str] = ..., note: _Optional[str] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., share: _Optional[str] = ..., requires: _Optional[_Iterable[str]] = ..., crashes: _Optional[int] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("count", "body")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    count: int
    body: bytes
    def __init__(self, count: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class InboxMessage(_message.Message):
    __slots__ = ("number", "id", "kind", "name", "payload", "at_us")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    number: int
    id: str
    kind: MessageKind
    name: str
    payload: bytes
    at_us: int
    def __init__(self, number: _Optional[int] = ..., id: _Optional[str] = ..., kind: _Optional[_Union[MessageKind, str]] = ..., name: _Optional[str] = ..., payload: _Optional[bytes] = ..., at_us: _Optional[int] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("kind", "subject")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    kind: NoticeKind
    subject: str
    def __init__(self, kind: _Optional[_Union[NoticeKind, str]] = ..., subject: _Optional[str] = ...) -> None: ...

class Choice(_message.Message):
    __slots__ = ("workflows", "all_workflows", "queues", "capabilities")
    class Workflow(_message.Message):
        __slots__ = ("name", "version")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        name: str
        version: str
        def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...
    class Queues(_message.Message):
        __slots__ = ("names",)
        NAMES_FIELD_NUMBER: _ClassVar[int]
        names: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...
    WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    ALL_WORKFLOWS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    workflows: _containers.RepeatedCompositeFieldContainer[Choice.Workflow]
    all_workflows: bool
    queues: Choice.Queues
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, workflows: _Optional[_Iterable[_Union[Choice.Workflow, _Mapping]]] = ..., all_workflows: _Optional[bool] = ..., queues: _Optional[_Union[Choice.Queues, _Mapping]] = ..., capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("session", "host", "pid", "opened_us", "closed_us", "expires_us", "name", "about", "runs")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    OPENED_US_FIELD_NUMBER: _ClassVar[int]
    CLOSED_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_US_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    session: int
    host: str
    pid: int
    opened_us: int
    closed_us: int
    expires_us: int
    name: str
    about: str
    runs: int
    def __init__(self, session: _Optional[int] = ..., host: _Optional[str] = ..., pid: _Optional[int] = ..., opened_us: _Optional[int] = ..., closed_us: _Optional[int] = ..., expires_us: _Optional[int] = ..., name: _Optional[str] = ..., about: _Optional[str] = ..., runs: _Optional[int] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("name", "concurrency", "concurrency_per_share", "rate", "rate_period_us", "burst", "is_paused")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_PER_SHARE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    RATE_PERIOD_US_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    IS_PAUSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    concurrency: int
    concurrency_per_share: int
    rate: int
    rate_period_us: int
    burst: int
    is_paused: bool
    def __init__(self, name: _Optional[str] = ..., concurrency: _Optional[int] = ..., concurrency_per_share: _Optional[int] = ..., rate: _Optional[int] = ..., rate_period_us: _Optional[int] = ..., burst: _Optional[int] = ..., is_paused: _Optional[bool] = ...) -> None: ...

class QueueInfo(_message.Message):
    __slots__ = ("queue", "pending", "running", "oldest_us", "tat_us")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_US_FIELD_NUMBER: _ClassVar[int]
    TAT_US_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    pending: int
    running: int
    oldest_us: int
    tat_us: int
    def __init__(self, queue: _Optional[_Union[Queue, _Mapping]] = ..., pending: _Optional[int] = ..., running: _Optional[int] = ..., oldest_us: _Optional[int] = ..., tat_us: _Optional[int] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("id", "spec", "next_us", "is_paused", "last_run")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    NEXT_US_FIELD_NUMBER: _ClassVar[int]
    IS_PAUSED_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: str
    next_us: int
    is_paused: bool
    last_run: str
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[str] = ..., next_us: _Optional[int] = ..., is_paused: _Optional[bool] = ..., last_run: _Optional[str] = ...) -> None: ...
