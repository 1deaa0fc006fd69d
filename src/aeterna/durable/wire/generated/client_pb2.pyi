from aeterna.durable.wire.generated import records_pb2 as _records_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TalkFrame(_message.Message):
    __slots__ = ("namespace", "items", "forgotten")
    class Wait(_message.Message):
        __slots__ = ("id", "timeout_seconds")
        ID_FIELD_NUMBER: _ClassVar[int]
        TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
        id: str
        timeout_seconds: float
        def __init__(self, id: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...
    class Item(_message.Message):
        __slots__ = ("number", "start", "wait")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        START_FIELD_NUMBER: _ClassVar[int]
        WAIT_FIELD_NUMBER: _ClassVar[int]
        number: int
        start: StartWorkflowRequest
        wait: TalkFrame.Wait
        def __init__(self, number: _Optional[int] = ..., start: _Optional[_Union[StartWorkflowRequest, _Mapping]] = ..., wait: _Optional[_Union[TalkFrame.Wait, _Mapping]] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    items: _containers.RepeatedCompositeFieldContainer[TalkFrame.Item]
    forgotten: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., items: _Optional[_Iterable[_Union[TalkFrame.Item, _Mapping]]] = ..., forgotten: _Optional[_Iterable[int]] = ...) -> None: ...

class TalkAnswers(_message.Message):
    __slots__ = ("answers",)
    class Failure(_message.Message):
        __slots__ = ("kind", "message")
        KIND_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        kind: str
        message: str
        def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
    class Answer(_message.Message):
        __slots__ = ("number", "started", "ended", "failure")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        STARTED_FIELD_NUMBER: _ClassVar[int]
        ENDED_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        number: int
        started: StartWorkflowResponse
        ended: WorkflowResult
        failure: TalkAnswers.Failure
        def __init__(self, number: _Optional[int] = ..., started: _Optional[_Union[StartWorkflowResponse, _Mapping]] = ..., ended: _Optional[_Union[WorkflowResult, _Mapping]] = ..., failure: _Optional[_Union[TalkAnswers.Failure, _Mapping]] = ...) -> None: ...
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[TalkAnswers.Answer]
    def __init__(self, answers: _Optional[_Iterable[_Union[TalkAnswers.Answer, _Mapping]]] = ...) -> None: ...

class StartWorkflowRequest(_message.Message):
    __slots__ = ("namespace", "workflow", "version", "arguments", "id", "queue", "priority", "share", "delay_us", "singleton", "debounce", "requires", "affinity")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    DELAY_US_FIELD_NUMBER: _ClassVar[int]
    SINGLETON_FIELD_NUMBER: _ClassVar[int]
    DEBOUNCE_FIELD_NUMBER: _ClassVar[int]
    REQUIRES_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    workflow: str
    version: str
    arguments: bytes
    id: str
    queue: str
    priority: int
    share: str
    delay_us: int
    singleton: str
    debounce: bool
    requires: _containers.RepeatedScalarFieldContainer[str]
    affinity: str
    def __init__(self, namespace: _Optional[str] = ..., workflow: _Optional[str] = ..., version: _Optional[str] = ..., arguments: _Optional[bytes] = ..., id: _Optional[str] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., share: _Optional[str] = ..., delay_us: _Optional[int] = ..., singleton: _Optional[str] = ..., debounce: _Optional[bool] = ..., requires: _Optional[_Iterable[str]] = ..., affinity: _Optional[str] = ...) -> None: ...

class StartWorkflowResponse(_message.Message):
    __slots__ = ("id", "created", "state")
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    created: bool
    state: _records_pb2.State
    def __init__(self, id: _Optional[str] = ..., created: _Optional[bool] = ..., state: _Optional[_Union[_records_pb2.State, str]] = ...) -> None: ...

class SignalWithStartRequest(_message.Message):
    __slots__ = ("start", "signal_name", "payload", "signal_id")
    START_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    start: StartWorkflowRequest
    signal_name: str
    payload: bytes
    signal_id: str
    def __init__(self, start: _Optional[_Union[StartWorkflowRequest, _Mapping]] = ..., signal_name: _Optional[str] = ..., payload: _Optional[bytes] = ..., signal_id: _Optional[str] = ...) -> None: ...

class SignalWithStartResponse(_message.Message):
    __slots__ = ("id", "created", "is_duplicate")
    ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    IS_DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    created: bool
    is_duplicate: bool
    def __init__(self, id: _Optional[str] = ..., created: _Optional[bool] = ..., is_duplicate: _Optional[bool] = ...) -> None: ...

class BatchStartRequest(_message.Message):
    __slots__ = ("namespace", "starts")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    starts: _containers.RepeatedCompositeFieldContainer[StartWorkflowRequest]
    def __init__(self, namespace: _Optional[str] = ..., starts: _Optional[_Iterable[_Union[StartWorkflowRequest, _Mapping]]] = ...) -> None: ...

class BatchStartResponse(_message.Message):
    __slots__ = ("results",)
    class Result(_message.Message):
        __slots__ = ("started", "error")
        STARTED_FIELD_NUMBER: _ClassVar[int]
        ERROR_FIELD_NUMBER: _ClassVar[int]
        started: StartWorkflowResponse
        error: str
        def __init__(self, started: _Optional[_Union[StartWorkflowResponse, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchStartResponse.Result]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchStartResponse.Result, _Mapping]]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ("namespace", "id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class WorkflowStatus(_message.Message):
    __slots__ = ("id", "state", "current_step", "result", "error", "started_us", "completed_us", "info")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_STEP_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STARTED_US_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_US_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: _records_pb2.State
    current_step: str
    result: bytes
    error: _records_pb2.ErrorInfo
    started_us: int
    completed_us: int
    info: _records_pb2.WorkflowInfo
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[_records_pb2.State, str]] = ..., current_step: _Optional[str] = ..., result: _Optional[bytes] = ..., error: _Optional[_Union[_records_pb2.ErrorInfo, _Mapping]] = ..., started_us: _Optional[int] = ..., completed_us: _Optional[int] = ..., info: _Optional[_Union[_records_pb2.WorkflowInfo, _Mapping]] = ...) -> None: ...

class AwaitResultRequest(_message.Message):
    __slots__ = ("namespace", "id", "timeout_seconds")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    timeout_seconds: float
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class WorkflowResult(_message.Message):
    __slots__ = ("id", "state", "result", "error", "cancel_reason", "workflow", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: _records_pb2.State
    result: bytes
    error: _records_pb2.ErrorInfo
    cancel_reason: str
    workflow: str
    version: str
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[_records_pb2.State, str]] = ..., result: _Optional[bytes] = ..., error: _Optional[_Union[_records_pb2.ErrorInfo, _Mapping]] = ..., cancel_reason: _Optional[str] = ..., workflow: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("namespace", "id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("accepted",)
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    def __init__(self, accepted: _Optional[bool] = ...) -> None: ...

class SignalRequest(_message.Message):
    __slots__ = ("namespace", "id", "name", "payload", "signal_id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    name: str
    payload: bytes
    signal_id: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., payload: _Optional[bytes] = ..., signal_id: _Optional[str] = ...) -> None: ...

class SignalResponse(_message.Message):
    __slots__ = ("is_duplicate",)
    IS_DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    is_duplicate: bool
    def __init__(self, is_duplicate: _Optional[bool] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("namespace", "id", "name", "arguments", "timeout_seconds")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    name: str
    arguments: bytes
    timeout_seconds: float
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., arguments: _Optional[bytes] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: bytes
    def __init__(self, answer: _Optional[bytes] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("namespace", "id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("namespace", "id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ResumeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TerminateRequest(_message.Message):
    __slots__ = ("namespace", "id", "reason")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    reason: str
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class TerminateResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ForkRequest(_message.Message):
    __slots__ = ("namespace", "id", "position", "step", "occurrence")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    id: str
    position: int
    step: str
    occurrence: int
    def __init__(self, namespace: _Optional[str] = ..., id: _Optional[str] = ..., position: _Optional[int] = ..., step: _Optional[str] = ..., occurrence: _Optional[int] = ...) -> None: ...

class ForkResponse(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
