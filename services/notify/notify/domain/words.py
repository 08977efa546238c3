"""Words of the product in its languages: labels of a notice's figures, and what codes are called."""

from collections.abc import Mapping
from typing import Final

LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "account": ("账户", "Account"),
    "quota": ("可用额度", "Available quota"),
    "threshold": ("预警阈值", "Alert threshold"),
    "cash_balance": ("现金余额", "Cash balance"),
    "bankers_acceptance": ("银行承兑汇票", "Banker's acceptance"),
    "credit_limit": ("信用额度", "Credit limit"),
    "credit_refund": ("信用退款", "Credit refund"),
    "unsettled": ("未结清金额", "Unsettled amount"),
    "outstanding_fees": ("欠费", "Outstanding fees"),
    "negative_bill": ("负账单", "Negative bill"),
    "overdue": ("逾期金额", "Overdue"),
    "document": ("单据", "Document"),
    "amount": ("金额", "Amount"),
    "object": ("信用对象", "Credit object"),
    "limit": ("信用额度", "Credit limit"),
    "used": ("已用额度", "Used"),
    "usage_percent": ("使用率", "Usage"),
    "threshold_percent": ("预警使用率", "Alert above"),
    "overdue_limit": ("逾期额度", "Overdue limit"),
    "overdue_days": ("逾期天数", "Days overdue"),
    "overdue_days_limit": ("允许逾期天数", "Days allowed"),
    "valid_until": ("有效期至", "Valid until"),
    "decide_until": ("请在此之前处理", "Decide until"),
    "reasons": ("原因", "Reasons"),
    "actions": ("已执行", "Done already"),
    "entity": ("编报主体", "Reporting entity"),
    "system": ("体系", "Planning system"),
    "period": ("期间", "Period"),
    "cut_off": ("停报时间", "Cut-off"),
    "asked_by": ("发起人", "From"),
    "message": ("说明", "Message"),
    "item": ("计划科目", "Plan item"),
    "outcome": ("控制结果", "Outcome"),
    "effective": ("计划额度", "Effective"),
    "pre_occupied": ("预占", "Pre-occupied"),
    "actual": ("实占", "Actual"),
    "available": ("可用计划", "Available"),
    "excess": ("超出", "Excess"),
    "gap": ("缺口", "Gap"),
    "former_gap": ("此前缺口", "Gap before"),
    "first_day": ("首个缺口日", "First day below"),
    "lowest_day": ("最低余额日", "Lowest on"),
    "lowest_balance": ("最低余额", "Lowest balance"),
    "kept_balance": ("应保留余额", "To be kept"),
    "horizon": ("预测截至", "Forecast until"),
    "method": ("方式", "Method"),
    "operation": ("操作", "Operation"),
    "disbursing_account": ("付出方", "From account"),
    "receiving_account": ("收入方", "To account"),
    "total": ("划拨后累计", "Total afterwards"),
    "requested_by": ("操作人", "Requested by"),
    "task": ("待办", "To do"),
    "subject": ("事项", "About"),
    "due_at": ("截止时间", "Due"),
}

CODES: Final[Mapping[str, tuple[str, str]]] = {
    "usage-high": ("额度使用率过高", "High usage"),
    "overdue-amount": ("逾期金额超限", "Overdue amount above its limit"),
    "overdue-days": ("逾期天数超限", "Overdue for too long"),
    "temporary-credit-ending": ("临时授信即将到期", "Temporary credit is ending"),
    "profile-ending": ("信用档案即将到期", "Credit profile is ending"),
    "limit-expiring": ("信用额度即将到期", "Credit limit is expiring"),
    "check-failed": ("信用检查未通过", "Credit check failed"),
    "order-held": ("订单待特批", "Order waits for approval"),
    "object-frozen": ("信用冻结", "Credit object frozen"),
    "fact-beyond-limit": ("已发生业务超额度", "Posted document beyond the limit"),
    "grant-unconfirmed": ("已批准未确认", "Grant not confirmed"),
    "adjustment-ending": ("信用调节即将到期", "Adjustment is ending"),
    "funds": ("资金", "Funds"),
    "credit-limit": ("信用额度", "Credit limit"),
    "voucher": ("代金券", "Voucher"),
    "allocate": ("划拨", "Allocate"),
    "reclaim": ("回收", "Reclaim"),
    "set": ("设置", "Set"),
    "warned": ("预警提示", "Warned"),
    "tolerated": ("容忍范围内", "Tolerated"),
    "held": ("待特批", "Waits for approval"),
    "blocked": ("已拦截", "Blocked"),
    "flagged": ("已标记", "Flagged"),
    "approve-order": ("特批订单", "Approve order"),
    "approve-top-up": ("审核充值", "Approve top-up"),
    "approve-filing": ("审核资金计划", "Approve filing"),
    "fill-in-filing": ("填报资金计划", "Fill in filing"),
    "filing-sent-back": ("资金计划被打回", "Filing sent back"),
    "filing-overdue": ("资金计划逾期未报", "Filing overdue"),
    "dunning": ("催款", "Dunning"),
    "score": ("信用评分", "Credit score"),
    "freeze": ("信用冻结", "frozen"),
    "dunning-task": ("生成催款任务", "dunning task opened"),
    "new-score": ("要求重新评分", "new score asked for"),
}

PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "greeting": ("{name}：", "Dear {name},"),
    "colon": ("：", ": "),
    "repeat": ("[重发] ", "[Repeat] "),
    "escalation": ("[升级] ", "[Escalated] "),
    "again": ("[第{number}次重复] ", "[Reminder {number}] "),
    "acknowledge": ("我已知悉", "I have seen this"),
    "acknowledge-sms": (" 已知悉请点：", " Seen it? "),
    "verify": ("确认此地址", "Confirm this address"),
    "more": ("另有{count}个", "and {count} more"),
    "footer": (
        "您收到此通知，是因为您是{place}的联系人。",
        "You receive this because you are a contact of {place}.",
    ),
    "footer-company": (
        "您收到此通知，是因为它与您的职责有关。",
        "You receive this because it concerns your duties.",
    ),
    "no-name": ("您", "you"),
}

TITLES: Final[Mapping[str, tuple[str, str]]] = {
    "quota-low-opened": ("可用额度不足", "available quota is low"),
    "quota-low-reminder": ("可用额度仍不足", "available quota is still low"),
    "quota-low-resolved": ("可用额度已恢复", "available quota is sufficient again"),
    "payment-overdue-opened": ("欠费", "payment is overdue"),
    "payment-overdue-cleared": ("已不再欠费", "payment is no longer overdue"),
    "allocation-recorded": ("划拨记录", "allocations"),
    "allocation-refused": ("划拨未成功", "allocations that were refused"),
}
"""What a digest calls the kind of notice that it gathers."""


def _of(table: Mapping[str, tuple[str, str]], key: str, language: str) -> str | None:
    pair = table.get(key)
    return None if pair is None else pair[0 if language.startswith("zh") else 1]


def label(key: str, language: str) -> str:
    return _of(LABELS, key, language) or key


def code_word(code: str, language: str) -> str:
    """What a code is called; one that is not known is shown as it is."""
    return _of(CODES, code, language) or code.replace("-", " ")


def digest_title(kind: str, language: str) -> str:
    """What a digest of notices of this kind is about."""
    return _of(TITLES, kind, language) or kind.replace("-", " ")


def phrase(key: str, language: str, **values: object) -> str:
    found = _of(PHRASES, key, language)
    assert found is not None, "a phrase of the product"
    return found.format(**values)
