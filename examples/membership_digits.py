"""How much 32 small networks leak about the digits they were trained on: population membership, no DP claim.

    dpaudit membership examples/membership_digits.py
    dpaudit membership examples/membership_digits.py --redact --out runs/to-share

Each network is trained on its own half of 600 records, and attacked with the 31 others as its shadows. 300 further
records are in no network: attacks S, P and RMIA compare with them.
"""

import numpy as np
import torch

import dpaudit as dpa
from dpaudit.ensemble import Shuffle, Training
from dpaudit.membership import Shadows, half_masks

x, y = (part[:900] for part in dpa.datasets.digits())
population = np.arange(900) >= 600

shadows = Shadows(
    torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)),
    Training(Shuffle(20), steps=600, learning_rate=0.3, clip=None),  # 40 epochs: it fits its records to the last one
    x,
    y,
    members=half_masks(32, 900, seed=1, population=population),
    seeds=2,
    population=population,
)
membership = dpa.MembershipStudy(shadows)
