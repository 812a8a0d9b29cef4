"""From settings to a trained adapter: `finetune` in, events out.

Open `finetune.py` first: one run from its settings to its last event. `setup.py` turns settings into a `TrainPlan`
(`plan.py`), which opens the engine (`engine.py`), and `loop.py` trains any engine by it. `schedule.py` is the
learning rate, `targets.py` which tensors carry LoRA, `evaluation.py` the one division of sums by counts,
`estimate.py` and `timing.py` what a run will take, and `answers.py` the comparison of before and after.
"""
