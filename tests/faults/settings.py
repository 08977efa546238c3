"""How much is done: small by default, so that it can be part of every run; more by the environment."""

import os
from typing import Final

ROUNDS: Final = int(os.environ.get("COFFER_FAULT_ROUNDS", "1"))
"""Rounds of kills at random moments."""
SECONDS: Final = float(os.environ.get("COFFER_FAULT_SECONDS", "6"))
"""How long each of them lasts."""
KILLS: Final = int(os.environ.get("COFFER_FAULT_KILLS", "3"))
"""How often each service is hit in a round."""
SEED: Final = int(os.environ.get("COFFER_FAULT_SEED", "20260302"))
"""Another seed makes other traffic and other moments."""
