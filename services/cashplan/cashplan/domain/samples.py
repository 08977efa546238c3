"""Planning systems to start from: monthly with weeks, and weekly rolling."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cashplan.domain.mappings import MappingRule, MemberMapping
from cashplan.domain.systems import (
    Basics,
    CheckRule,
    ControlPolicy,
    DetailField,
    Dimension,
    EliminationRule,
    Entity,
    FilingType,
    Indicator,
    Item,
    Line,
    Measure,
    Member,
    PlanningSystem,
    PoolRule,
    RemarkColumn,
    Sheet,
    StatisticsTemplate,
    Step,
    Template,
    Timing,
)

ITEMS: Final = (
    Item(id="receipts", name="Receipts", direction="in"),
    Item(id="sales", parent="receipts", name="Receipts from sales", direction="in"),
    Item(id="internal-receipts", parent="receipts", name="Receipts within the group", direction="in"),
    Item(id="other-receipts", parent="receipts", name="Other receipts", direction="in"),
    Item(id="payments", name="Payments", direction="out"),
    Item(id="purchases", parent="payments", name="Purchases", direction="out"),
    Item(id="wages", parent="payments", name="Wages", direction="out"),
    Item(id="taxes", parent="payments", name="Taxes", direction="out"),
    Item(id="expenses", parent="payments", name="Expenses", direction="out"),
    Item(id="internal-payments", parent="payments", name="Payments within the group", direction="out"),
    Item(id="net", name="Net flow", source="formula", formula='item["receipts"] - item["payments"]'),
)
SETTLEMENT: Final = Dimension(
    id="settlement",
    name="Settlement method",
    members=[
        Member(id="transfer", name="Bank transfer"),
        Member(id="bill", name="Banker's acceptance"),
        Member(id="card", name="Card"),
    ],
)
DETAIL_FIELDS: Final = (
    DetailField(id="counterparty", name="Counterparty"),
    DetailField(id="contract-number", name="Contract"),
    DetailField(id="payment-date", name="Payment date", type="date"),
    DetailField(id="bank-account", name="Bank account"),
)
STEPS: Final = (Step(role="node-manager"),)


def sheets() -> list[Sheet]:
    """The main sheet with expenses by settlement method below it, purchases and internal rows in detail."""
    rows = [Line(id=item.id, members={"item": item.id}, link=LINKS.get(item.id)) for item in ITEMS]
    methods = [
        Line(id=f"expenses-{member.id}", members={"item": "expenses", "settlement": member.id})
        for member in SETTLEMENT.members
    ]
    return [
        Sheet(id="main", name="Plan", type="main", rows=rows, remark_columns=["remark"]),
        Sheet(id="expenses", name="Expenses by settlement method", type="sub", rows=methods),
        Sheet(
            id="contracts",
            name="Purchases by contract",
            type="detail",
            fixed={"item": "purchases"},
            fields=["counterparty", "contract-number", "payment-date", "bank-account"],
        ),
        Sheet(
            id="internal",
            name="Within the group",
            type="detail",
            dimensions=["item"],
            fields=["counterparty", "contract-number"],
        ),
    ]


LINKS: Final[Mapping[str, str]] = {
    "purchases": "contracts",
    "expenses": "expenses",
    "internal-receipts": "internal",
    "internal-payments": "internal",
}
TIMINGS: Final = (
    Timing(document_type="payment-request", operation="submit", effect="pre-occupy", reversed_by=["recall"]),
    Timing(
        document_type="payment-request",
        operation="close",
        effect="release",
        reversed_by=["reopen", "un-terminate"],
    ),
    Timing(
        document_type="payment-request", operation="terminate", effect="release", reversed_by=["un-terminate"]
    ),
    Timing(document_type="payment", operation="submit", effect="actual", reversed_by=["recall", "un-audit"]),
    Timing(document_type="receipt", operation="submit", effect="actual", reversed_by=["recall", "un-audit"]),
)


def _system(system_id: str, name: str, filing_type: FilingType, body: str) -> PlanningSystem:
    kind = filing_type.id
    return PlanningSystem(
        id=system_id,
        basics=Basics(name=name, responsible_body=body, currencies=["CNY"], plan_currency="CNY"),
        filing_types=(filing_type,),
        entities=(Entity(id=body, name=body),),
        items=ITEMS,
        dimensions=(SETTLEMENT,),
        detail_fields=DETAIL_FIELDS,
        remark_columns=(RemarkColumn(id="remark", name="Remark"),),
        measures=tuple(
            Measure(id=base, name=base.capitalize(), base=base)
            for base in ("filed", "effective", "adjusted", "pre-occupied", "actual", "available")
        ),
        indicators=(
            Indicator(
                id="execution-rate",
                name="Execution rate in percent",
                formula='100 * measure["actual"] / measure["effective"]',
            ),
        ),
        mappings=(
            MemberMapping(dimension="entity", attribute="reporting-entity"),
            MemberMapping(
                dimension="item",
                attribute="plan-item",
                rules=[
                    MappingRule(when={"document-type": ["order", "receivable", "receipt"]}, member="sales"),
                ],
            ),
            MemberMapping(
                dimension="settlement",
                attribute="settlement-method",
                rules=[MappingRule(when={"settlement-method": ["bank-acceptance"]}, member="bill")],
                default="transfer",
            ),
        ),
        pool_rules=(
            PoolRule(id="sales", filing_type=kind, sheet="main", direction="in"),
            PoolRule(
                id="contracts",
                filing_type=kind,
                sheet="contracts",
                direction="out",
                as_rows=True,
                fields={"counterparty": "counterparty", "contract-number": "contract-number"},
            ),
        ),
        elimination_rules=(
            EliminationRule(
                id="internal",
                out_item="internal-payments",
                in_item="internal-receipts",
                counterparty="counterparty",
            ),
        ),
        check_rules=(
            CheckRule(
                id="purchases-within-payments",
                filing_type=kind,
                formula='item["purchases"] <= item["payments"]',
                message="Purchases are more than all payments",
            ),
            CheckRule(
                id="inflow-covers-outflow",
                filing_type=kind,
                formula='total["receipts"] >= total["payments"]',
                message="Receipts do not cover payments",
                severity="warn",
                per="head",
            ),
        ),
        templates=(Template(id=f"{kind}-filing", name=name, filing_type=kind, sheets=sheets()),),
        statistics_templates=(
            StatisticsTemplate(
                id="by-item",
                name="By item and period",
                rows=["item"],
                columns=["period"],
                measures=["effective", "actual", "available"],
                with_roll_up=True,
            ),
        ),
        timings=TIMINGS,
        policies=(
            ControlPolicy(id="payments", filing_type=kind, item="payments", enforcement="block"),
            ControlPolicy(
                id="purchases",
                filing_type=kind,
                item="purchases",
                fields=["contract-number"],
                enforcement="special-approval",
            ),
        ),
    )


def monthly_with_weeks(system_id: str, body: str) -> PlanningSystem:
    """A month plan cut by weeks, rolled up at its responsible body."""
    filing_type = FilingType(
        id="month-plan",
        name="Month plan with weeks",
        period_kind="month-with-weeks",
        roll_up=True,
        roll_up_nodes=[body],
        filing_steps=list(STEPS),
        adjustment_steps=list(STEPS),
        roll_up_steps=[Step(role="administrator")],
    )
    return _system(system_id, "Monthly cash plan", filing_type, body)


def weekly_rolling(system_id: str, body: str) -> PlanningSystem:
    """A week plan that looks thirteen weeks ahead; approved is effective."""
    filing_type = FilingType(
        id="week-plan",
        name="Rolling week plan",
        period_kind="week",
        rolling_by="period",
        rolling_length=13,
        filing_steps=list(STEPS),
        adjustment_steps=list(STEPS),
    )
    system = _system(system_id, "Weekly rolling cash plan", filing_type, body)
    return replace(system, basics=replace(system.basics, rest_of_plan="evenly"))


SAMPLES: Final[Mapping[str, Callable[[str, str], PlanningSystem]]] = {
    "monthly-with-weeks": monthly_with_weeks,
    "weekly-rolling": weekly_rolling,
}
