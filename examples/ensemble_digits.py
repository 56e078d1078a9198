"""The DP-SGD algorithm itself, hundreds of trials at once: logistic regression on scikit-learn's digits. Not refuted.

    dpaudit run examples/ensemble_digits.py

`DPSGD` is the right algorithm with the parameters that are claimed, so this audit tells what a canary can show and how
often it is fooled; somebody's implementation is audited by running that implementation (opacus_digits.py). To see an
algorithm refuted, plant a fault: any step can be replaced. Here the noise is lost, and a dozen trials show it:

    from dpaudit.ensemble import Steps

    def forgets_noise(moment, clipped, noise):
        return clipped

    audit = dpa.Audit(dataclasses.replace(mechanism, hooks=Steps(privatise=forgets_noise)), ...)
"""

import torch

import canaries
import dpaudit as dpa

model = torch.nn.Sequential(torch.nn.Linear(64, 10))
torch.nn.init.zeros_(model[0].weight)
torch.nn.init.zeros_(model[0].bias)

mechanism = dpa.mechanisms.DPSGD(
    model, noise_multiplier=1.1, sample_rate=0.1, steps=50, learning_rate=0.5, max_grad_norm=1.0
)
x, y = dpa.datasets.digits()
audit = dpa.Audit(
    mechanism,
    canaries.dead_feature((x[:500], y[:500])),  # the divisor is that of D0, .1 * 500, in both worlds
    claim=mechanism.claim(delta=1e-5),
    max_trials=2000,
    seed=7,
)
