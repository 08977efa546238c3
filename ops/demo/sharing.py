"""The act about sharing: by account, by user group, and the question "why not?"."""

from collections.abc import Mapping
from typing import Final

from rich.text import Text

from ops.demo.day import Json
from ops.demo.playing import Playing
from ops.demo.teller import Teller
from ops.demo.verdict import Finding

TYPE: Final = "reserved-instance"
RESOURCES: Final = ("RI-1", "RI-2", "RI-3", "RI-4")
TRUSTEES: Final = 4
MARKS: Final = {"owner": "own", "shared-with-group": "group", "shared-with-account": "type"}
BY_ACCOUNT: Final = {
    "M": "own own own own",
    "1": "type type type type",
    "2": "- - - -",
    "3": "- - - -",
    "4": "type type type type",
}
BY_GROUP: Final = {
    "M": "own own own own",
    "1": "group - - -",
    "2": "group group - -",
    "3": "group - - -",
    "4": "group group - -",
}


class SharingAct:
    """One account shares four Reserved Instances with four that stand under its finance trusteeship."""

    def __init__(self, day: Playing, teller: Teller) -> None:
        self.day = day
        self.people = day.people
        self.teller = teller
        names = day.day.account_names()
        self.manager, *self.members = sorted(names)[: TRUSTEES + 1]
        self.accounts: Mapping[str, str] = {
            "M": self.manager,
            **{str(number): account for number, account in enumerate(self.members, start=1)},
        }
        for account in self.accounts.values():
            self.people.tokens[account] = day.stack.token("account-user", accounts=[account], subject=account)
        self.relationships: dict[str, str] = {}
        self.people.tokens["billing"] = day.stack.token("billing-system", subject="billing")

    async def play(self) -> Finding:
        """Tells the act; what differs from who should be able to use what is in the finding."""
        self.teller.act("Sharing")
        await self._prepare()
        differences = await self._by_account()
        differences += await self._by_group()
        differences += await self._why_not()
        differences += await self._end()
        return Finding(
            "shared resources", 2 * len(self.accounts) * len(RESOURCES) + 2, differences, "who may use what"
        )

    async def _prepare(self) -> None:
        for resource in RESOURCES:
            body = {
                "version": 1,
                "owner": self.manager,
                "resource_type": TYPE,
                "name": f"Reserved Instance {resource}",
                "valid_from": "2026-01-01T00:00:00+08:00",
            }
            await self.people.send("billing", "PUT", "sharing", f"/resources/{resource}", body)
        for member in self.members:
            invitation = {
                "kind": "trusteeship",
                "management_account": self.manager,
                "member_account": member,
                "permissions": [],
            }
            invited = await self.people.send(self.manager, "POST", "sharing", "/relationships", invitation)
            self.relationships[member] = f"/relationships/{invited['relationship_id']}"
            path = f"{self.relationships[member]}/accept"
            await self.people.send(member, "POST", "sharing", path, {"permissions": []})
        self.teller.line(
            f"{self.manager} owns {', '.join(RESOURCES)}; {', '.join(self.members)} accept its finance trusteeship."
        )

    async def _change(self, change: str, **details: object) -> Json:
        body = {"change": {"change": change, **details}}
        path = f"/accounts/{self.manager}/sharing/changes"
        return await self.people.send(self.manager, "POST", "sharing", path, body)

    async def _by_account(self) -> list[str]:
        await self._change("share-types", types=[TYPE])
        first, *_, last = self.members
        await self._change("accept-types", accounts=[first, last], types=[TYPE])
        self.teller.line(f"By account: the type is shared, and {first} and {last} accept it.")
        return await self._table(BY_ACCOUNT)

    async def _by_group(self) -> list[str]:
        first, second, third, fourth = self.members
        west = (await self._change("create-group", name="West", accounts=[first, third]))["group"]
        east = (await self._change("create-group", name="East", accounts=[second, fourth]))["group"]
        wanted = [("RI-1", west), ("RI-1", east), ("RI-2", east)]
        bindings = [{"resource": resource, "group": group} for resource, group in wanted]
        preview = {"change": {"change": "share-with-groups", "bindings": bindings}}
        path = f"/accounts/{self.manager}/sharing/previews"
        seen = await self.people.send(self.manager, "POST", "sharing", path, preview)
        await self._change("share-with-groups", bindings=bindings)
        self.teller.line(
            f"By group: RI-1 for West ({first}, {third}) and East ({second}, {fourth}), RI-2 for East alone. "
            f"The preview said: {seen['gained']} accesses gained, {seen['lost']} lost."
        )
        return await self._table(BY_GROUP)

    async def _table(self, expected: Mapping[str, str]) -> list[str]:
        rows: list[list[str | Text]] = []
        differences: list[str] = []
        for name, account in self.accounts.items():
            marks = [await self._mark(account, resource) for resource in RESOURCES]
            if marks != expected[name].split():
                differences.append(f"{account}: {' '.join(marks)} instead of {expected[name]}")
            rows.append([account, *marks])
        self.teller.table(("", *RESOURCES), rows)
        return differences

    async def _mark(self, account: str, resource: str) -> str:
        return MARKS.get((await self._decision(account, resource))["reason"], "-")

    async def _decision(self, account: str, resource: str) -> Json:
        path = f"/accounts/{account}/resources/{resource}/decision"
        return await self.people.send(account, "GET", "sharing", path)

    async def _why_not(self) -> list[str]:
        first = self.members[0]
        decided = await self._decision(first, "RI-3")
        self.teller.line(f"Why may {first} not use RI-3, although it accepts the type?")
        held = next((each for each in decided["because"] if each["setting"] == "binding"), None)
        if decided["reason"] != "confined-to-its-group" or held is None:
            return [f"{first} and RI-3: {decided['reason']} instead of confined-to-its-group"]
        self.teller.said(
            "sharing",
            decided["reason"],
            f"its group has {held['resource']} since {held['since'][:19]}Z, and a group with resources uses those only",
        )
        return []

    async def _end(self) -> list[str]:
        """One member leaves: fund-pool and credit are asked, and its use stops with the relationship."""
        last = self.members[-1]
        await self.people.send(last, "POST", "sharing", f"{self.relationships[last]}/end")
        await self.day.rest()
        state = (await self.people.send(last, "GET", "sharing", self.relationships[last]))["state"]
        reason = (await self._decision(last, "RI-1"))["reason"]
        self.teller.line(
            f"{last} asks for the end of its trusteeship; fund-pool and credit agree. The relationship is {state}; "
            f"RI-1: {reason}."
        )
        return [] if (state, reason) == ("ended", "not-under-trusteeship") else [f"{last}: {state}, {reason}"]
