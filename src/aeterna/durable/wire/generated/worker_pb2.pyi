from aeterna.durable.wire.generated import records_pb2 as _records_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StepStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STEP_STATUS_UNSPECIFIED: _ClassVar[StepStatus]
    STEP_STATUS_STARTED: _ClassVar[StepStatus]
    STEP_STATUS_COMPLETED: _ClassVar[StepStatus]
    STEP_STATUS_FAILED: _ClassVar[StepStatus]
STEP_STATUS_UNSPECIFIED: StepStatus
STEP_STATUS_STARTED: StepStatus
STEP_STATUS_COMPLETED: StepStatus
STEP_STATUS_FAILED: StepStatus

class WorkerFrame(_message.Message):
    __slots__ = ("hello", "batches", "credits", "calls", "answers")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    credits: Credits
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    answers: _containers.RepeatedCompositeFieldContainer[QueryAnswer]
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ..., credits: _Optional[_Union[Credits, _Mapping]] = ..., calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ..., answers: _Optional[_Iterable[_Union[QueryAnswer, _Mapping]]] = ...) -> None: ...

class ServerFrame(_message.Message):
    __slots__ = ("welcome", "results", "deliveries", "notices", "replies", "queries")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    results: _containers.RepeatedCompositeFieldContainer[BatchResult]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    notices: _containers.RepeatedCompositeFieldContainer[_records_pb2.Notice]
    replies: _containers.RepeatedCompositeFieldContainer[Reply]
    queries: _containers.RepeatedCompositeFieldContainer[Query]
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., results: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ..., deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., notices: _Optional[_Iterable[_Union[_records_pb2.Notice, _Mapping]]] = ..., replies: _Optional[_Iterable[_Union[Reply, _Mapping]]] = ..., queries: _Optional[_Iterable[_Union[Query, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("namespace", "host", "pid", "name", "about", "lease_us", "resume", "held", "choice")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    LEASE_US_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    host: str
    pid: int
    name: str
    about: str
    lease_us: int
    resume: int
    held: _containers.RepeatedCompositeFieldContainer[Held]
    choice: _records_pb2.Choice
    def __init__(self, namespace: _Optional[str] = ..., host: _Optional[str] = ..., pid: _Optional[int] = ..., name: _Optional[str] = ..., about: _Optional[str] = ..., lease_us: _Optional[int] = ..., resume: _Optional[int] = ..., held: _Optional[_Iterable[_Union[Held, _Mapping]]] = ..., choice: _Optional[_Union[_records_pb2.Choice, _Mapping]] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ("key", "id", "parent")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    key: int
    id: str
    parent: str
    def __init__(self, key: _Optional[int] = ..., id: _Optional[str] = ..., parent: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session", "description", "lease_us")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LEASE_US_FIELD_NUMBER: _ClassVar[int]
    session: int
    description: str
    lease_us: int
    def __init__(self, session: _Optional[int] = ..., description: _Optional[str] = ..., lease_us: _Optional[int] = ...) -> None: ...

class Credits(_message.Message):
    __slots__ = ("room", "received", "choice")
    ROOM_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    room: int
    received: int
    choice: _records_pb2.Choice
    def __init__(self, room: _Optional[int] = ..., received: _Optional[int] = ..., choice: _Optional[_Union[_records_pb2.Choice, _Mapping]] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("number", "writes")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    number: int
    writes: _containers.RepeatedCompositeFieldContainer[Write]
    def __init__(self, number: _Optional[int] = ..., writes: _Optional[_Iterable[_Union[Write, _Mapping]]] = ...) -> None: ...

class Write(_message.Message):
    __slots__ = ("append", "create", "post", "fire")
    APPEND_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    POST_FIELD_NUMBER: _ClassVar[int]
    FIRE_FIELD_NUMBER: _ClassVar[int]
    append: Append
    create: Creation
    post: Posting
    fire: Firing
    def __init__(self, append: _Optional[_Union[Append, _Mapping]] = ..., create: _Optional[_Union[Creation, _Mapping]] = ..., post: _Optional[_Union[Posting, _Mapping]] = ..., fire: _Optional[_Union[Firing, _Mapping]] = ...) -> None: ...

class Append(_message.Message):
    __slots__ = ("key", "epoch", "first", "events", "at_us", "head", "consumed", "is_repeat")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    IS_REPEAT_FIELD_NUMBER: _ClassVar[int]
    key: int
    epoch: int
    first: int
    events: _records_pb2.Segment
    at_us: int
    head: Head
    consumed: _containers.RepeatedScalarFieldContainer[int]
    is_repeat: bool
    def __init__(self, key: _Optional[int] = ..., epoch: _Optional[int] = ..., first: _Optional[int] = ..., events: _Optional[_Union[_records_pb2.Segment, _Mapping]] = ..., at_us: _Optional[int] = ..., head: _Optional[_Union[Head, _Mapping]] = ..., consumed: _Optional[_Iterable[int]] = ..., is_repeat: _Optional[bool] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("state", "detail", "wake_us", "release", "note")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    WAKE_US_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    state: _records_pb2.State
    detail: str
    wake_us: int
    release: bool
    note: str
    def __init__(self, state: _Optional[_Union[_records_pb2.State, str]] = ..., detail: _Optional[str] = ..., wake_us: _Optional[int] = ..., release: _Optional[bool] = ..., note: _Optional[str] = ...) -> None: ...

class Creation(_message.Message):
    __slots__ = ("id", "workflow", "version", "state", "detail", "is_owned", "events", "parent", "queue", "priority", "share", "requires", "wake_us", "singleton", "debounce")
    ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    IS_OWNED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_FIELD_NUMBER: _ClassVar[int]
    WAKE_US_FIELD_NUMBER: _ClassVar[int]
    SINGLETON_FIELD_NUMBER: _ClassVar[int]
    DEBOUNCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    workflow: str
    version: str
    state: _records_pb2.State
    detail: str
    is_owned: bool
    events: _records_pb2.Segment
    parent: str
    queue: str
    priority: int
    share: str
    requires: _containers.RepeatedScalarFieldContainer[str]
    wake_us: int
    singleton: str
    debounce: bool
    def __init__(self, id: _Optional[str] = ..., workflow: _Optional[str] = ..., version: _Optional[str] = ..., state: _Optional[_Union[_records_pb2.State, str]] = ..., detail: _Optional[str] = ..., is_owned: _Optional[bool] = ..., events: _Optional[_Union[_records_pb2.Segment, _Mapping]] = ..., parent: _Optional[str] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., share: _Optional[str] = ..., requires: _Optional[_Iterable[str]] = ..., wake_us: _Optional[int] = ..., singleton: _Optional[str] = ..., debounce: _Optional[bool] = ...) -> None: ...

class Posting(_message.Message):
    __slots__ = ("run_id", "id", "kind", "name", "payload", "at_us")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    id: str
    kind: _records_pb2.MessageKind
    name: str
    payload: bytes
    at_us: int
    def __init__(self, run_id: _Optional[str] = ..., id: _Optional[str] = ..., kind: _Optional[_Union[_records_pb2.MessageKind, str]] = ..., name: _Optional[str] = ..., payload: _Optional[bytes] = ..., at_us: _Optional[int] = ...) -> None: ...

class Firing(_message.Message):
    __slots__ = ("schedule", "due_us", "next_us", "run")
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    DUE_US_FIELD_NUMBER: _ClassVar[int]
    NEXT_US_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    schedule: str
    due_us: int
    next_us: int
    run: Creation
    def __init__(self, schedule: _Optional[str] = ..., due_us: _Optional[int] = ..., next_us: _Optional[int] = ..., run: _Optional[_Union[Creation, _Mapping]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("number", "outcomes", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("created", "exists", "appended", "fenced", "posted", "refused")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    APPENDED_FIELD_NUMBER: _ClassVar[int]
    FENCED_FIELD_NUMBER: _ClassVar[int]
    POSTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    created: Created
    exists: _records_pb2.WorkflowInfo
    appended: bool
    fenced: bool
    posted: Posted
    refused: Refused
    def __init__(self, created: _Optional[_Union[Created, _Mapping]] = ..., exists: _Optional[_Union[_records_pb2.WorkflowInfo, _Mapping]] = ..., appended: _Optional[bool] = ..., fenced: _Optional[bool] = ..., posted: _Optional[_Union[Posted, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ...) -> None: ...

class Created(_message.Message):
    __slots__ = ("key", "epoch")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    key: int
    epoch: int
    def __init__(self, key: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class Posted(_message.Message):
    __slots__ = ("number", "owner", "is_duplicate")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    IS_DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    number: int
    owner: int
    is_duplicate: bool
    def __init__(self, number: _Optional[int] = ..., owner: _Optional[int] = ..., is_duplicate: _Optional[bool] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("info",)
    INFO_FIELD_NUMBER: _ClassVar[int]
    info: _records_pb2.WorkflowInfo
    def __init__(self, info: _Optional[_Union[_records_pb2.WorkflowInfo, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("info", "history", "inbox")
    INFO_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    info: _records_pb2.WorkflowInfo
    history: _records_pb2.Segment
    inbox: _containers.RepeatedCompositeFieldContainer[_records_pb2.InboxMessage]
    def __init__(self, info: _Optional[_Union[_records_pb2.WorkflowInfo, _Mapping]] = ..., history: _Optional[_Union[_records_pb2.Segment, _Mapping]] = ..., inbox: _Optional[_Iterable[_Union[_records_pb2.InboxMessage, _Mapping]]] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("number", "renew_us", "get_run", "history", "claim_run", "inbox", "list_runs", "count_runs", "delete_runs", "close", "unread", "list_sessions", "list_queues", "put_queue", "delete_queue", "list_schedules", "put_schedule", "delete_schedule", "next_schedule", "announce")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RENEW_US_FIELD_NUMBER: _ClassVar[int]
    GET_RUN_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    CLAIM_RUN_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    LIST_RUNS_FIELD_NUMBER: _ClassVar[int]
    COUNT_RUNS_FIELD_NUMBER: _ClassVar[int]
    DELETE_RUNS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    LIST_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    LIST_QUEUES_FIELD_NUMBER: _ClassVar[int]
    PUT_QUEUE_FIELD_NUMBER: _ClassVar[int]
    DELETE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIST_SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    PUT_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    DELETE_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    NEXT_SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCE_FIELD_NUMBER: _ClassVar[int]
    number: int
    renew_us: int
    get_run: str
    history: HistoryCall
    claim_run: str
    inbox: str
    list_runs: ListCall
    count_runs: bool
    delete_runs: DeleteCall
    close: bool
    unread: bool
    list_sessions: bool
    list_queues: bool
    put_queue: _records_pb2.Queue
    delete_queue: str
    list_schedules: bool
    put_schedule: _records_pb2.Schedule
    delete_schedule: str
    next_schedule: bool
    announce: _records_pb2.Notice
    def __init__(self, number: _Optional[int] = ..., renew_us: _Optional[int] = ..., get_run: _Optional[str] = ..., history: _Optional[_Union[HistoryCall, _Mapping]] = ..., claim_run: _Optional[str] = ..., inbox: _Optional[str] = ..., list_runs: _Optional[_Union[ListCall, _Mapping]] = ..., count_runs: _Optional[bool] = ..., delete_runs: _Optional[_Union[DeleteCall, _Mapping]] = ..., close: _Optional[bool] = ..., unread: _Optional[bool] = ..., list_sessions: _Optional[bool] = ..., list_queues: _Optional[bool] = ..., put_queue: _Optional[_Union[_records_pb2.Queue, _Mapping]] = ..., delete_queue: _Optional[str] = ..., list_schedules: _Optional[bool] = ..., put_schedule: _Optional[_Union[_records_pb2.Schedule, _Mapping]] = ..., delete_schedule: _Optional[str] = ..., next_schedule: _Optional[bool] = ..., announce: _Optional[_Union[_records_pb2.Notice, _Mapping]] = ...) -> None: ...

class HistoryCall(_message.Message):
    __slots__ = ("run_id", "start")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    start: int
    def __init__(self, run_id: _Optional[str] = ..., start: _Optional[int] = ...) -> None: ...

class ListCall(_message.Message):
    __slots__ = ("workflow", "states", "limit", "before")
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    workflow: str
    states: _containers.RepeatedScalarFieldContainer[_records_pb2.State]
    limit: int
    before: int
    def __init__(self, workflow: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_records_pb2.State, str]]] = ..., limit: _Optional[int] = ..., before: _Optional[int] = ...) -> None: ...

class DeleteCall(_message.Message):
    __slots__ = ("ids", "finished_before_us", "limit")
    IDS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_BEFORE_US_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    finished_before_us: int
    limit: int
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., finished_before_us: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("number", "failure", "rows", "history", "inbox", "names", "count", "counts", "has_more", "workers", "queues", "schedules")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    INBOX_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    number: int
    failure: Failure
    rows: _containers.RepeatedCompositeFieldContainer[_records_pb2.WorkflowInfo]
    history: _records_pb2.Segment
    inbox: _containers.RepeatedCompositeFieldContainer[_records_pb2.InboxMessage]
    names: _containers.RepeatedScalarFieldContainer[str]
    count: int
    counts: _containers.ScalarMap[str, int]
    has_more: bool
    workers: _containers.RepeatedCompositeFieldContainer[_records_pb2.WorkerInfo]
    queues: _containers.RepeatedCompositeFieldContainer[_records_pb2.QueueInfo]
    schedules: _containers.RepeatedCompositeFieldContainer[_records_pb2.Schedule]
    def __init__(self, number: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., rows: _Optional[_Iterable[_Union[_records_pb2.WorkflowInfo, _Mapping]]] = ..., history: _Optional[_Union[_records_pb2.Segment, _Mapping]] = ..., inbox: _Optional[_Iterable[_Union[_records_pb2.InboxMessage, _Mapping]]] = ..., names: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ..., counts: _Optional[_Mapping[str, int]] = ..., has_more: _Optional[bool] = ..., workers: _Optional[_Iterable[_Union[_records_pb2.WorkerInfo, _Mapping]]] = ..., queues: _Optional[_Iterable[_Union[_records_pb2.QueueInfo, _Mapping]]] = ..., schedules: _Optional[_Iterable[_Union[_records_pb2.Schedule, _Mapping]]] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("number", "run_id", "name", "arguments")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    run_id: str
    name: str
    arguments: bytes
    def __init__(self, number: _Optional[int] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class QueryAnswer(_message.Message):
    __slots__ = ("number", "answer", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    answer: bytes
    failure: Failure
    def __init__(self, number: _Optional[int] = ..., answer: _Optional[bytes] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class RegisterRequest(_message.Message):
    __slots__ = ("namespace", "worker_id", "service_name", "language", "choice", "lease_us")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    LEASE_US_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    worker_id: str
    service_name: str
    language: _containers.RepeatedScalarFieldContainer[str]
    choice: _records_pb2.Choice
    lease_us: int
    def __init__(self, namespace: _Optional[str] = ..., worker_id: _Optional[str] = ..., service_name: _Optional[str] = ..., language: _Optional[_Iterable[str]] = ..., choice: _Optional[_Union[_records_pb2.Choice, _Mapping]] = ..., lease_us: _Optional[int] = ...) -> None: ...

class RegisterResponse(_message.Message):
    __slots__ = ("session_token", "lease_us", "server_id")
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_US_FIELD_NUMBER: _ClassVar[int]
    SERVER_ID_FIELD_NUMBER: _ClassVar[int]
    session_token: str
    lease_us: int
    server_id: str
    def __init__(self, session_token: _Optional[str] = ..., lease_us: _Optional[int] = ..., server_id: _Optional[str] = ...) -> None: ...

class PollRequest(_message.Message):
    __slots__ = ("namespace", "session_token", "max_tasks")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MAX_TASKS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    session_token: str
    max_tasks: int
    def __init__(self, namespace: _Optional[str] = ..., session_token: _Optional[str] = ..., max_tasks: _Optional[int] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("task_token", "workflow_id", "workflow", "version", "arguments", "steps", "cancel_requested")
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    task_token: str
    workflow_id: str
    workflow: str
    version: str
    arguments: bytes
    steps: _containers.RepeatedCompositeFieldContainer[StepRecord]
    cancel_requested: bool
    def __init__(self, task_token: _Optional[str] = ..., workflow_id: _Optional[str] = ..., workflow: _Optional[str] = ..., version: _Optional[str] = ..., arguments: _Optional[bytes] = ..., steps: _Optional[_Iterable[_Union[StepRecord, _Mapping]]] = ..., cancel_requested: _Optional[bool] = ...) -> None: ...

class StepRecord(_message.Message):
    __slots__ = ("name", "occurrence", "result", "error", "attempt")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    name: str
    occurrence: int
    result: bytes
    error: _records_pb2.ErrorInfo
    attempt: int
    def __init__(self, name: _Optional[str] = ..., occurrence: _Optional[int] = ..., result: _Optional[bytes] = ..., error: _Optional[_Union[_records_pb2.ErrorInfo, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class ReportStepRequest(_message.Message):
    __slots__ = ("namespace", "task_token", "step_name", "occurrence", "status", "output", "error", "attempt", "duration_us")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STEP_NAME_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DURATION_US_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_token: str
    step_name: str
    occurrence: int
    status: StepStatus
    output: bytes
    error: _records_pb2.ErrorInfo
    attempt: int
    duration_us: int
    def __init__(self, namespace: _Optional[str] = ..., task_token: _Optional[str] = ..., step_name: _Optional[str] = ..., occurrence: _Optional[int] = ..., status: _Optional[_Union[StepStatus, str]] = ..., output: _Optional[bytes] = ..., error: _Optional[_Union[_records_pb2.ErrorInfo, _Mapping]] = ..., attempt: _Optional[int] = ..., duration_us: _Optional[int] = ...) -> None: ...

class ReportStepResponse(_message.Message):
    __slots__ = ("occurrence", "cancel_requested")
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    occurrence: int
    cancel_requested: bool
    def __init__(self, occurrence: _Optional[int] = ..., cancel_requested: _Optional[bool] = ...) -> None: ...

class CompleteStepRequest(_message.Message):
    __slots__ = ("namespace", "task_token", "result", "error", "cancelled")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TASK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    task_token: str
    result: bytes
    error: _records_pb2.ErrorInfo
    cancelled: str
    def __init__(self, namespace: _Optional[str] = ..., task_token: _Optional[str] = ..., result: _Optional[bytes] = ..., error: _Optional[_Union[_records_pb2.ErrorInfo, _Mapping]] = ..., cancelled: _Optional[str] = ...) -> None: ...

class CompleteStepResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("namespace", "session_token", "task_tokens", "is_goodbye")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TASK_TOKENS_FIELD_NUMBER: _ClassVar[int]
    IS_GOODBYE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    session_token: str
    task_tokens: _containers.RepeatedScalarFieldContainer[str]
    is_goodbye: bool
    def __init__(self, namespace: _Optional[str] = ..., session_token: _Optional[str] = ..., task_tokens: _Optional[_Iterable[str]] = ..., is_goodbye: _Optional[bool] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("ok", "cancel_requested", "lost")
    OK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    cancel_requested: _containers.RepeatedScalarFieldContainer[str]
    lost: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ok: _Optional[bool] = ..., cancel_requested: _Optional[_Iterable[str]] = ..., lost: _Optional[_Iterable[str]] = ...) -> None: ...
