from .figures import Chart as Chart
from .token_html import STYLE as STYLE, token_html as token_html
from .token_page import token_page as token_page
from .token_text import token_text as token_text
from .token_view import TokenView as TokenView
