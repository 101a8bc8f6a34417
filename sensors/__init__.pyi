from .agreement import Agreement as Agreement
from .attempts import Attempt as Attempt, Readout as Readout, SpanMass as SpanMass
from .attention_drift import AttentionDrift as AttentionDrift
from .attention_entropy import AttentionEntropy as AttentionEntropy
from .attention_tracker import AttentionTracker as AttentionTracker
from .calibration import Calibration as Calibration
from .chat.messages import Message as Message, Part as Part, Prompt as Prompt
from .chat.rendering import Rendered as Rendered, Renderer as Renderer
from .check import check_sensor as check_sensor
from .confidence import Confidence as Confidence
from .conflict_probe import ConflictProbe as ConflictProbe, ProbeWeights as ProbeWeights
from .context import SensorContext as SensorContext
from .contracts import (
    Capability as Capability,
    ExtendedReadout as ExtendedReadout,
    Need as Need,
    Sensor as Sensor,
    SubtaskSensor as SubtaskSensor,
    WhiteBox as WhiteBox,
)
from .dormant_heads import DormantHeads as DormantHeads
from .element_gaze import ElementGaze as ElementGaze
from .evicted_mass import EvictedMass as EvictedMass
from .focus_score import FocusScore as FocusScore
from .goal_drift import GoalDrift as GoalDrift
from .probe.probe import Probe as Probe
from .probe.watching import watch as watch
from .progress import Progress as Progress
from .readings import Reading as Reading, SpanReading as SpanReading
from .refocus import Refocus as Refocus
from .repetition import Repetition as Repetition
from .retrieval_heads import RetrievalHeads as RetrievalHeads
from .rhythm import Rhythm as Rhythm
from .role_adherence import RoleAdherence as RoleAdherence
from .sink_rate import SinkRate as SinkRate
from .spans import Spans as Spans
from .steering.actuators import Actuator as Actuator, Centric as Centric
from .steering.head_weights import HeadWeights as HeadWeights
from .vision_heads import VisionHeads as VisionHeads
from .visual_sinks import VisualSinks as VisualSinks
