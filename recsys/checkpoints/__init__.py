"""Training that goes on after a kill, from the newest valid checkpoint of its work folder.

checkpoints = Checkpoints(work_folder)
fit(module, ..., checkpoints=checkpoints)    # recsys.training; the same call after a kill
checkpoints.clear()                          # once the job has succeeded
"""

from recsys.checkpoints.stages import Checkpoints, Progress, Stage
from recsys.checkpoints.trainee import Carried, Trainee

__all__ = ["Carried", "Checkpoints", "Progress", "Stage", "Trainee"]
