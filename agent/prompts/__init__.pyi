from .answers import answer_schema as answer_schema, read_action as read_action, write_action as write_action
from .brief import brief as brief
from .building import (
    act_prompt as act_prompt,
    plan_prompt as plan_prompt,
    plan_words as plan_words,
    report_prompt as report_prompt,
)
from .chat import chat_prompt as chat_prompt, labelled_parts as labelled_parts, with_labels as with_labels
from .conversation import Shortening as Shortening, conversation_prompt as conversation_prompt
from .conversation_style import ConversationStyle as ConversationStyle
from .history import describe as describe, past_action as past_action
from .picture import SmartResize as SmartResize
from .qwen import (
    QWEN2_5_VL as QWEN2_5_VL,
    QWEN2_5_VL_COMPUTER as QWEN2_5_VL_COMPUTER,
    QWEN3_VL as QWEN3_VL,
    QWEN3_VL_COMPUTER as QWEN3_VL_COMPUTER,
)
from .style import PromptStyle as PromptStyle
from .text import TEXT as TEXT
from .verbose import VERBOSE as VERBOSE
