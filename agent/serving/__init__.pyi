from .app import create_app as create_app
from .errors import ApiError as ApiError
from .running import serve as serve
from .service import Service as Service
