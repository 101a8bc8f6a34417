from .building import (
    act_prompt as act_prompt,
    plan_prompt as plan_prompt,
    plan_words as plan_words,
    report_prompt as report_prompt,
)
from .history import describe as describe
from .style import PromptStyle as PromptStyle
from .verbose import VERBOSE as VERBOSE
