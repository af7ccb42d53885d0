"""The sizes of virtual machines: families, and the numbers that each comes in."""

from __future__ import annotations

import difflib

_SMALL = (2, 4, 8, 16, 32, 48, 64)
_LARGE = (*_SMALL, 96)
_V6 = (*_LARGE, 128, 192)

# A family's name with {} for the number; from "Sizes for virtual machines in Azure".
FAMILIES: dict[str, tuple[int, ...]] = {
    "Standard_A{}_v2": (1, 2, 4, 8),
    "Standard_A{}m_v2": (2, 4, 8),
    "Standard_D{}": (1, 2, 3, 4, 11, 12, 13, 14),
    "Standard_D{}_v2": (1, 2, 3, 4, 5, 11, 12, 13, 14, 15),
    "Standard_DS{}_v2": (1, 2, 3, 4, 5, 11, 12, 13, 14, 15),
    **dict.fromkeys(("Standard_D{}_v3", "Standard_D{}s_v3"), _SMALL),
    **dict.fromkeys((f"Standard_D{{}}{kind}_v4" for kind in ("", "s", "d", "ds")), _SMALL),
    **dict.fromkeys((f"Standard_D{{}}{kind}_v4" for kind in ("a", "as")), _LARGE),
    **dict.fromkeys(
        (f"Standard_D{{}}{kind}_v5" for kind in ("", "s", "d", "ds", "as", "ads", "ls", "lds")),
        _LARGE,
    ),
    **dict.fromkeys((f"Standard_D{{}}{k}_v6" for k in ("s", "ds", "ls", "lds", "as", "ads")), _V6),
    **dict.fromkeys(("Standard_E{}_v3", "Standard_E{}s_v3"), (*_SMALL, 20)),
    **dict.fromkeys((f"Standard_E{{}}{kind}_v4" for kind in ("", "s", "d", "ds")), (*_SMALL, 20)),
    **dict.fromkeys((f"Standard_E{{}}{kind}_v4" for kind in ("a", "as")), (*_LARGE, 20)),
    **dict.fromkeys(
        (f"Standard_E{{}}{kind}_v5" for kind in ("", "s", "d", "ds", "as", "ads")),
        (*_LARGE, 20, 104),
    ),
    **dict.fromkeys((f"Standard_E{{}}{k}_v6" for k in ("s", "ds", "as", "ads")), (*_V6, 20)),
    "Standard_F{}": (1, 2, 4, 8, 16),
    "Standard_F{}s": (1, 2, 4, 8, 16),
    "Standard_F{}s_v2": (2, 4, 8, 16, 32, 48, 64, 72),
    **dict.fromkeys((f"Standard_F{{}}{kind}_v6" for kind in ("as", "als", "ams")), _SMALL),
    "Standard_FX{}mds": (4, 12, 24, 36, 48),
    "Standard_L{}s_v2": (8, 16, 32, 48, 64, 80),
    **dict.fromkeys(("Standard_L{}s_v3", "Standard_L{}as_v3"), (8, 16, 32, 48, 64, 80)),
    "Standard_M{}s": (64, 128),
    "Standard_M{}ms": (8, 16, 32, 64, 128),
    "Standard_HB{}rs_v2": (120,),
    "Standard_HB{}rs_v3": (120,),
    "Standard_HB{}rs_v4": (176,),
    "Standard_HC{}rs": (44,),
    "Standard_NC{}s_v3": (6, 12, 24),
    "Standard_NC{}rs_v3": (24,),
    "Standard_NC{}as_T4_v3": (4, 8, 16, 64),
    "Standard_NC{}ads_A100_v4": (24, 48, 96),
    "Standard_NC{}ads_H100_v5": (40, 80),
    "Standard_ND{}rs_v2": (40,),
    "Standard_ND{}asr_v4": (96,),
    "Standard_ND{}amsr_A100_v4": (96,),
    "Standard_ND{}isr_H100_v5": (96,),
    "Standard_NV{}s_v3": (12, 24, 48),
    "Standard_NV{}as_v4": (4, 8, 16, 32),
    "Standard_NV{}ads_A10_v5": (6, 12, 18, 36, 72),
}
SIZES = frozenset(
    template.format(number) for template, numbers in FAMILIES.items() for number in numbers
)
_BY_LOWER = {size.lower(): size for size in sorted(SIZES)}

# What Azure ML's Spark, on which monitors run, is offered on.
SPARK_SIZES = tuple(f"standard_e{number}s_v3" for number in (4, 8, 16, 32, 64))


def size_problem(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a size and what to do; None if it is known.

    Azure does not mind upper and lower case.
    """
    if name.lower() in _BY_LOWER:
        return None
    whole = name.lower() if name.lower().startswith("standard") else f"standard_{name.lower()}"
    near = [_BY_LOWER[size] for size in difflib.get_close_matches(whole, _BY_LOWER, n=2)]
    hint = f"Did you mean {' or '.join(near)}?" if near else "Standard_DS3_v2 is a common one."
    return (
        f"{name} is no known size of a virtual machine.",
        f"{hint} If Azure has it (az vm list-sizes), add it to mlops/azure/doctor/sizes.py.",
    )
