"""What Azure offered when this was written: VM sizes, Spark sizes and regions.

These lists age, so a name that they lack is a warning.
"""

from __future__ import annotations

import difflib
import re

# Series, and the numbers each comes in: "Ds_v3" with 4 is Standard_D4s_v3.
# From "Sizes for virtual machines in Azure".
SERIES = {
    "A_v2": "1 2 4 8",
    "Am_v2": "2 4 8",
    "D": "1 2 3 4 11 12 13 14",
    "D_v2 DS_v2": "1 2 3 4 5 11 12 13 14 15",
    "D_v3 Ds_v3 D_v4 Ds_v4 Dd_v4 Dds_v4": "2 4 8 16 32 48 64",
    "Da_v4 Das_v4": "2 4 8 16 32 48 64 96",
    "D_v5 Ds_v5 Dd_v5 Dds_v5 Das_v5 Dads_v5 Dls_v5 Dlds_v5": "2 4 8 16 32 48 64 96",
    "Ds_v6 Dds_v6 Dls_v6 Dlds_v6 Das_v6 Dads_v6": "2 4 8 16 32 48 64 96 128 192",
    "E_v3 Es_v3 E_v4 Es_v4 Ed_v4 Eds_v4": "2 4 8 16 20 32 48 64",
    "Ea_v4 Eas_v4": "2 4 8 16 20 32 48 64 96",
    "E_v5 Es_v5 Ed_v5 Eds_v5 Eas_v5 Eads_v5": "2 4 8 16 20 32 48 64 96 104",
    "Es_v6 Eds_v6 Eas_v6 Eads_v6": "2 4 8 16 20 32 48 64 96 128 192",
    "F Fs": "1 2 4 8 16",
    "Fs_v2": "2 4 8 16 32 48 64 72",
    "Fas_v6 Fals_v6 Fams_v6": "2 4 8 16 32 48 64",
    "FXmds": "4 12 24 36 48",
    "Ls_v2 Ls_v3 Las_v3": "8 16 32 48 64 80",
    "Ms": "64 128",
    "Mms": "8 16 32 64 128",
    "HBrs_v2 HBrs_v3": "120",
    "HBrs_v4": "176",
    "HCrs": "44",
    "NCs_v3": "6 12 24",
    "NCrs_v3": "24",
    "NCas_T4_v3": "4 8 16 64",
    "NCads_A100_v4": "24 48 96",
    "NCads_H100_v5": "40 80",
    "NDrs_v2": "40",
    "NDasr_v4 NDamsr_A100_v4 NDisr_H100_v5": "96",
    "NVs_v3": "12 24 48",
    "NVas_v4": "4 8 16 32",
    "NVads_A10_v5": "6 12 18 36 72",
}
SIZES = tuple(
    re.sub(r"^([A-Z]+)(.*)", rf"Standard_\g<1>{number}\2", series)
    for names, numbers in SERIES.items()
    for series in names.split()
    for number in numbers.split()
)
SPARK_SIZES = tuple(f"standard_e{number}s_v3" for number in (4, 8, 16, 32, 64))
REGIONS = """
australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral
brazilsouth brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral
denmarkeast eastasia eastus eastus2 francecentral francesouth germanynorth germanywestcentral
indiasouthcentral indonesiacentral israelcentral italynorth japaneast japanwest jioindiacentral
jioindiawest koreacentral koreasouth malaysiawest mexicocentral newzealandnorth northcentralus
northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth southafricawest
southcentralus southeastasia southindia spaincentral swedencentral swedensouth switzerlandnorth
switzerlandwest uaecentral uaenorth uksouth ukwest westcentralus westeurope westindia westus
westus2 westus3
"""


def size_problem(name: str) -> tuple[str, str] | None:
    """Return what is wrong with a VM size and its fix; None if the size is known.

    Azure ignores case.
    """
    known = {size.lower(): size for size in SIZES}
    if name.lower() in known:
        return None
    full = name.lower() if name.lower().startswith("standard") else f"standard_{name.lower()}"
    near = [known[size] for size in difflib.get_close_matches(full, known, n=2)]
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    fix = f"{hint}`az vm list-sizes --location REGION` lists the sizes."
    return f"{name} is not a known VM size.", fix


def region_problem(name: str) -> tuple[str, str] | None:
    """Return what is wrong with a region and its fix; None if the region is known."""
    if name in REGIONS.split():
        return None
    near = difflib.get_close_matches(name, REGIONS.split(), n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    fix = f"{hint}`az account list-locations` lists the regions."
    return f"{name} is not a known region.", fix
