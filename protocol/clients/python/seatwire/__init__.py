"""Client of Seatwire's gateway: connect, resume, apply, hold, book. `Client` is the place to start."""

from .client import Client, CommandError, new_key
from .connection import Refused
from .viewer import ShowViewer
from .wire import WireError

__all__ = ["Client", "CommandError", "Refused", "ShowViewer", "WireError", "new_key"]
