from .detection import bins as bins, reliability as reliability, roc as roc, roc_points as roc_points
from .figures import (
    FORMATS as FORMATS,
    PALETTE as PALETTE,
    Chart as Chart,
    Interval as Interval,
    short_name as short_name,
)
from .heads import head_maps as head_maps, head_table as head_table
from .intervals import intervals as intervals, rescue as rescue
from .lines import Panel as Panel, Series as Series, drift as drift, lines as lines
from .notebook import Bar as Bar, table_html as table_html
from .spans import By as By, span_masses as span_masses
from .token_html import STYLE as STYLE, token_html as token_html
from .token_page import token_page as token_page
from .token_text import token_text as token_text
from .token_view import TokenView as TokenView
