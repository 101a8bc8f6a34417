from .policies import POLICIES as POLICIES
from .settings import SpanMemory as SpanMemory
