from .wire import SpanRequest as SpanRequest
from .worker import AttentionWorker as AttentionWorker
