"""The subscription itself: its offer, providers, quota, and names that all of Azure shares.

Sources: learn.microsoft.com/rest/api: storagerp/storage-accounts/check-name-availability,
keyvault/keyvault/vaults/check-name-availability and get-deleted, containerregistry/registries/check-name-availability,
azureml/usages/list, resources/subscriptions/get, resources/providers/get.
"""

from doubles.cloud import LOCATION, Cloud
from doubles.roles import Need
from doubles.store import ML, Resource
from doubles.web import Answer, Names, Needs, Request, Route

SUBSCRIPTION = "/subscriptions/{subscription}"
# Sizes with their family and cores; each family has DEFAULT_LIMIT cores unless a test says otherwise.
SIZES = {
    "Standard_DS2_v2": ("standardDSv2Family", 2),
    "Standard_DS3_v2": ("standardDSv2Family", 4),
    "Standard_F2s_v2": ("standardFSv2Family", 2),
}
DEFAULT_LIMIT = 100
TAKEN = "The {kind} named {name} is already taken."


class Subscription:
    """Answers the requests about a subscription."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        provider = SUBSCRIPTION + "/providers/{provider}"
        place = SUBSCRIPTION + f"/providers/{ML}/locations/{{location}}"
        deleted = SUBSCRIPTION + "/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}"
        return [
            Route("GET", SUBSCRIPTION, self._get, needs=_reads("Microsoft.Resources/subscriptions")),
            Route("GET", provider, self._provider, needs=_reads("Microsoft.Resources/subscriptions/providers")),
            Route("POST", provider + "/checkNameAvailability", self._check_name, needs=_name_needs),
            Route("GET", deleted, self._deleted, needs=_reads("Microsoft.KeyVault/locations/deletedVaults")),
            Route("GET", place + "/usages", self._usages, needs=_reads(f"{ML}/locations/usages")),
            Route("GET", place + "/vmSizes", self._sizes, needs=_reads(f"{ML}/locations/vmsizes")),
        ]

    def _stored(self, path: str, otherwise: Resource) -> Resource:
        return {**otherwise, **((self._cloud.store.get(path) or {}).get("properties") or {})}

    def _get(self, request: Request, names: Names) -> Answer:
        policies = self._stored(request.path, {"quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"})
        return Answer(200, {"subscriptionId": names["subscription"], "subscriptionPolicies": policies})

    def _provider(self, request: Request, names: Names) -> Answer:
        state = self._stored(request.path, {"registrationState": "Registered"})
        return Answer(200, {"namespace": names["provider"], **state})

    def _check_name(self, request: Request, _: Names) -> Answer:
        given = request.json()
        deleted = f"{request.path.rsplit('/', 1)[0]}/locations/{LOCATION}/deletedVaults/{given['name']}"
        if self._cloud.store.find(given["type"], given["name"]) or self._cloud.store.get(deleted):
            message = TAKEN.format(kind=given["type"].rpartition("/")[2], name=given["name"])
            return Answer(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": message})
        return Answer(200, {"nameAvailable": True})

    def _deleted(self, request: Request, _: Names) -> Answer:
        return Answer(200, self._cloud.store.existing(request.path))

    def _usages(self, request: Request, _: Names) -> Answer:
        """List the quota of each family, by the words of the documentation's example."""
        value = []
        for family in sorted({family for family, _ in SIZES.values()}):
            words = f"Standard {family.removeprefix('standard').removesuffix('Family')} Family Cluster Dedicated vCPUs"
            for kind in ("lowPriorityCores", "dedicatedCores"):
                limit = self._stored(f"{request.path}/{family}", {"limit": DEFAULT_LIMIT})["limit"]
                value.append(
                    {
                        "type": f"{ML}/vmFamily/{kind}/usages",
                        "unit": "Count",
                        "currentValue": 0,
                        "limit": limit if kind == "dedicatedCores" else 0,
                        "name": {"value": words, "localizedValue": words},
                    }
                )
        return Answer(200, {"value": value})

    def _sizes(self, _: Request, __: Names) -> Answer:
        value = [{"name": name, "family": family, "vCPUs": cores} for name, (family, cores) in SIZES.items()]
        return Answer(200, {"value": value})


def _reads(kind: str) -> Needs:
    return lambda _, names: [Need(f"{kind}/read", SUBSCRIPTION.format(**names))]


def _name_needs(_: Request, names: Names) -> list[Need]:
    return [Need(f"{names['provider']}/checkNameAvailability/read", SUBSCRIPTION.format(**names))]
