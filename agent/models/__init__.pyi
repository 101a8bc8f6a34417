from .batching import answer_all as answer_all
from .chat_model import ChatModel as ChatModel
from .loading import nano_path as nano_path, resolve as resolve, weights_hash as weights_hash
from .protocol import Model as Model
from .transformers_model import TransformersModel as TransformersModel
