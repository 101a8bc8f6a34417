from .cloning.run import Cloned as Cloned, clone as clone
from .cloning.settings import CloneSettings as CloneSettings
from .conflicts.chat import chat_twins as chat_twins
from .conflicts.core import Case as Case, Twins as Twins, pairs_of as pairs_of
from .conflicts.phone import phone_twins as phone_twins
from .conflicts.public import draw_cases as draw_cases, load_public as load_public
from .conflicts.team import team_twins as team_twins
from .diagnosis.conversations import read_conversations as read_conversations, trajectories as trajectories
from .diagnosis.run import diagnose as diagnose
from .diagnosis.summary import Diagnosis as Diagnosis, summarise as summarise
from .pointing.head import Pointer as Pointer
from .pointing.train import PointerTraining as PointerTraining, train_pointer as train_pointer
from .preference.mining import (
    complaint_pairs as complaint_pairs,
    corrected_pairs as corrected_pairs,
    loop_pairs as loop_pairs,
)
from .preference.noise import NoiseFilter as NoiseFilter
from .preference.pairs import Pair as Pair, read_pairs as read_pairs, write_pairs as write_pairs
from .preference.steps import read_traces as read_traces
from .sail.adapter_folders import Adapter as Adapter
from .sail.adapters import load_adapted as load_adapted
from .sail.comparison import HeadOverlap as HeadOverlap, compare_heads as compare_heads
from .sail.config import AlignSettings as AlignSettings
from .sail.localization import Localization as Localization
from .sail.localize import causal_check as causal_check, localize as localize
from .sail.run import Aligned as Aligned, align as align
