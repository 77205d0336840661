"""The public names with their types; `__init__.py` loads them on first use."""

from standpipe import testing as testing
from standpipe.core.items import Answer as Answer
from standpipe.core.items import Item as Item
from standpipe.core.items import ToolCall as ToolCall
from standpipe.drivers.tools.python import DidNotHappen as DidNotHappen
from standpipe.drivers.tools.python import Happened as Happened
from standpipe.drivers.tools.python import Tool as Tool
from standpipe.drivers.tools.python import tool as tool
from standpipe.engine.house import House as House
from standpipe.engine.house import Turn as Turn
from standpipe.errors import NotFound as NotFound
from standpipe.errors import Refused as Refused
from standpipe.errors import StandpipeError as StandpipeError
from standpipe.errors import StoreError as StoreError
from standpipe.errors import UsageError as UsageError
from standpipe.ports import Done as Done
from standpipe.wiring import Agent as Agent
from standpipe.wiring import open as open

__all__: list[str]
