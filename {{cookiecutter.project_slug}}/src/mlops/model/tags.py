"""The tags that the lifecycle writes to runs, versions and deployments: each named once."""

from __future__ import annotations

from typing import Final

PROJECT: Final = "mlops.project"
VERSION: Final = "mlops.version"
MODEL_DIGEST: Final = "mlops.model_digest"
DATA: Final = "mlops.data"
DATA_DIGEST: Final = "mlops.data_digest"
TRAINING_KEY: Final = "mlops.training_key"
GIT_COMMIT: Final = "mlops.git_commit"
DECISION: Final = "mlops.decision"
SEAL: Final = "mlops.seal"
FIGURE: Final = "holdout"  # holdout.METRIC
STAGE: Final = "mlops.stage"
REPLACED: Final = "mlops.replaced"
PENDING_RELEASE: Final = "mlops.release"
HOLDOUT: Final = "mlops.holdout"
HISTORY: Final = "mlops.history"
TURN: Final = "mlops.turn"
