"""A simulated office: an assistant with mail, calendar, contacts, notes, files, web pages, orders and payments.

Its tasks are generated, and a truth check judges each. Texts that tools return may hold an injected order.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
