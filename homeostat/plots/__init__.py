"""Pictures: charts for papers and notebooks, and text that is coloured by attention.

Every function takes arrays and plain records, so it can draw figures from anywhere. Charts need matplotlib (extra
``plot``), which is imported when the first one is drawn. The coloured text needs nothing.

- ``figures``: the look of all charts, and saving them as PNG, SVG or PDF.
- ``lines``, ``intervals``, ``detection``, ``heads``, ``spans``: one kind of chart each.
- ``token_view``: a prompt, coloured; ``token_html`` and ``token_page`` write it as HTML, ``token_text`` for a terminal.
- ``notebook``: tables that a notebook shows.

``docs/design/plots.md`` gives the reasons. Names are loaded on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
