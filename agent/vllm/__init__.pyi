from .engine import VLLMEngine as VLLMEngine
from .model import VLLMModel as VLLMModel
from .wire import SpanRequest as SpanRequest
from .worker import AttentionWorker as AttentionWorker
