"""The product's own texts: what the templates of a fresh database say, in its two languages.

Each is (subject, what happened, what to do, SMS). `{{ table }}` stands where the figures are shown.
"""

from collections.abc import Mapping
from typing import Final

Text = tuple[str, str, str, str]

ENGLISH: Final[Mapping[str, Text]] = {
    "quota-low-opened": (
        "Available quota of {{ account }} is low",
        "The available quota of account {{ account }} fell to {{ quota }} at {{ at }}. This is below the alert threshold of {{ threshold }}.",
        "Top up the account, or ask its management account, so that orders go on being accepted.",
        "The available quota of {{ account }} is {{ quota }}, below the alert threshold of {{ threshold }} ({{ at }}).",
    ),
    "quota-low-reminder": (
        "Reminder {{ reminder_number }}: available quota of {{ account }} is still low",
        "The available quota of account {{ account }} is still {{ quota }} at {{ at }}, below the alert threshold of {{ threshold }}.",
        "Top up the account, or ask its management account, so that orders go on being accepted.",
        "Reminder {{ reminder_number }}: the available quota of {{ account }} is still {{ quota }}, below the alert threshold of {{ threshold }} ({{ at }}).",
    ),
    "quota-low-resolved": (
        "Available quota of {{ account }} is sufficient again",
        "The available quota of account {{ account }} rose to {{ quota }} at {{ at }}. The alert threshold is {{ threshold }}.",
        "Nothing needs to be done.",
        "The available quota of {{ account }} is {{ quota }} again, at or above the alert threshold of {{ threshold }} ({{ at }}).",
    ),
    "payment-overdue-opened": (
        "Payment of {{ account }} is overdue by {{ overdue }}",
        "The available quota of account {{ account }} fell to {{ quota }} at {{ at }}: a payment of {{ overdue }} is overdue.",
        "Pay it without delay. Services of the account may be suspended.",
        "Payment overdue: {{ account }} owes {{ overdue }} ({{ at }}). Services may be suspended; please pay without delay.",
    ),
    "payment-overdue-cleared": (
        "Payment of {{ account }} is no longer overdue",
        "The available quota of account {{ account }} is {{ quota }} again at {{ at }}: nothing is overdue.",
        "Nothing needs to be done.",
        "Payment of {{ account }} is no longer overdue; available quota {{ quota }} ({{ at }}).",
    ),
    "credit-usage-high": (
        "Credit of {{ object }} is used to {{ usage_percent }}",
        "{{ object }} has used {{ used }} of its credit limit of {{ limit }}.",
        "Collect what is owed, or review the limit, before orders are stopped.",
        "Credit of {{ object }}: {{ used }} of {{ limit }} used.",
    ),
    "credit-overdue-amount": (
        "{{ object }} has {{ overdue }} overdue",
        "The receivables of {{ object }} that are overdue amount to {{ overdue }}.",
        "Remind the customer, and decide about further deliveries.",
        "{{ object }}: {{ overdue }} overdue.",
    ),
    "credit-overdue-days": (
        "{{ object }} is {{ overdue_days }} days overdue",
        "The oldest open receivable of {{ object }} is {{ overdue_days }} days past its due date.",
        "Remind the customer, and decide about further deliveries.",
        "{{ object }}: oldest receivable {{ overdue_days }} days overdue.",
    ),
    "credit-temporary-credit-ending": (
        "Temporary credit of {{ object }} ends on {{ valid_until }}",
        "The temporary credit of {{ object }} is in force until {{ valid_until }}. Afterwards, what adds to the exposure fails where the ordinary limit is used up.",
        "Extend it, or have the customer pay before that day.",
        "Temporary credit of {{ object }} ends on {{ valid_until }}.",
    ),
    "credit-profile-ending": (
        "Credit profile of {{ object }} ends on {{ valid_until }}",
        "The credit profile of {{ object }} is valid until {{ valid_until }}. Afterwards its limit is 0.",
        "Renew the profile.",
        "Credit profile of {{ object }} ends on {{ valid_until }}.",
    ),
    "credit-limit-expiring": (
        "Credit limit of {{ object }} expires on {{ valid_until }}",
        "The credit limit of {{ object }} of {{ limit }} expires on {{ valid_until }}.",
        "Grant a new limit in time.",
        "Credit limit of {{ object }} expires on {{ valid_until }}.",
    ),
    "credit-check-failed": (
        "Credit check of {{ object }} failed: {{ document }}",
        "Document {{ document }} of {{ object }} did not pass its credit check at {{ at }}.",
        "See what failed, and decide whether the limit or the document has to change.",
        "Credit check failed: {{ document }} of {{ object }} ({{ at }}).",
    ),
    "credit-order-held": (
        "Order {{ document }} of {{ object }} waits for your approval",
        "Order {{ document }} of {{ object }} over {{ amount }} exceeds what its credit allows and waits for a special approval.",
        "Approve or reject it. It lapses at the time above where one is given.",
        "Order {{ document }} of {{ object }}, {{ amount }}, waits for your approval.",
    ),
    "credit-object-frozen": (
        "{{ object }} is frozen",
        "{{ object }} was frozen at {{ at }}: whatever adds to its exposure is declined until it is unfrozen.",
        "Unfreeze it with a reason once the cause is settled.",
        "{{ object }} is frozen ({{ at }}).",
    ),
    "credit-fact-beyond-limit": (
        "{{ object }}: {{ document }} was posted beyond the limit",
        "Document {{ document }} of {{ object }} was posted although its credit does not allow it: {{ used }} of {{ limit }} are used.",
        "Decide about further deliveries.",
        "{{ object }}: {{ document }} posted beyond the credit limit.",
    ),
    "credit-grant-unconfirmed": (
        "{{ object }}: the grant of {{ document }} was not confirmed",
        "The grant for {{ document }} of {{ object }} was not followed by its document and has been released.",
        "See whether the document was dropped or is still to come.",
        "{{ object }}: grant of {{ document }} was not confirmed and is released.",
    ),
    "credit-adjustment-ending": (
        "Credit adjustment of {{ object }} ends on {{ valid_until }}",
        "The adjustment of the credit limit of {{ object }} ends on {{ valid_until }}.",
        "See whether the ordinary limit suffices from then on.",
        "Credit adjustment of {{ object }} ends on {{ valid_until }}.",
    ),
    "credit-resolved": (
        "{{ object }}: settled ({{ alert }})",
        "The alert about {{ object }} ({{ alert }}) is settled at {{ at }}.",
        "Nothing needs to be done.",
        "{{ object }}: settled ({{ alert }}).",
    ),
    "plan-due-before": (
        "Cash plan {{ period }} of {{ entity }} is due by {{ cut_off }}",
        "The cash plan of {{ entity }} for {{ period }} has not been submitted. It can be until {{ cut_off }}.",
        "Fill it in and submit it.",
        "Cash plan {{ period }} of {{ entity }} is due by {{ cut_off }}.",
    ),
    "plan-due-after": (
        "Cash plan {{ period }} of {{ entity }} is overdue",
        "The cash plan of {{ entity }} for {{ period }} was to be submitted by {{ cut_off }} and has not been.",
        "Ask the node manager for an extension, then submit it.",
        "Cash plan {{ period }} of {{ entity }} is overdue since {{ cut_off }}.",
    ),
    "plan-due-asked": (
        "You are reminded of the cash plan {{ period }} of {{ entity }}",
        "{{ asked_by }} reminds you of the cash plan of {{ entity }} for {{ period }}, due by {{ cut_off }}.",
        "Fill it in and submit it.",
        "Reminder: cash plan {{ period }} of {{ entity }}, due by {{ cut_off }}.",
    ),
    "plan-due-sent-back": (
        "Cash plan {{ period }} of {{ entity }} was sent back",
        "The cash plan of {{ entity }} for {{ period }} was sent back. It can be submitted again until {{ cut_off }}.",
        "Correct it and submit it again.",
        "Cash plan {{ period }} of {{ entity }} was sent back; submit again by {{ cut_off }}.",
    ),
    "plan-due-extended": (
        "Cash plan {{ period }} of {{ entity }}: more time until {{ cut_off }}",
        "The cash plan of {{ entity }} for {{ period }} can now be submitted until {{ cut_off }}.",
        "Fill it in and submit it.",
        "Cash plan {{ period }} of {{ entity }}: extended until {{ cut_off }}.",
    ),
    "plan-exceeded": (
        "{{ document }} exceeds the cash plan of {{ entity }} by {{ excess }}",
        "Document {{ document }} over {{ amount }} does not fit the plan of {{ entity }} for {{ item }} in {{ period }}: {{ available }} were available. Outcome: {{ outcome }}.",
        "Adjust the plan, or put the document off.",
        "{{ entity }}: {{ document }} over {{ amount }} exceeds the plan for {{ item }} by {{ excess }} ({{ outcome }}).",
    ),
    "cash-gap-appeared": (
        "Cash gap of {{ entity }}: {{ gap }} from {{ first_day }}",
        "The forecast cash position of {{ entity }} falls below what must be kept on {{ first_day }}; the gap is {{ gap }} on {{ lowest_day }}.",
        "Arrange funds before that day.",
        "Cash gap of {{ entity }}: {{ gap }} from {{ first_day }}.",
    ),
    "cash-gap-worsened": (
        "Cash gap of {{ entity }} has grown to {{ gap }}",
        "The forecast cash gap of {{ entity }} has grown to {{ gap }} on {{ lowest_day }}; it begins on {{ first_day }}.",
        "Arrange funds before that day.",
        "Cash gap of {{ entity }} has grown to {{ gap }}, from {{ first_day }}.",
    ),
    "cash-gap-closed": (
        "Cash gap of {{ entity }} is closed",
        "The forecast cash position of {{ entity }} stays above what must be kept until {{ horizon }}.",
        "Nothing needs to be done.",
        "Cash gap of {{ entity }} is closed.",
    ),
    "allocation-recorded": (
        "{{ method }}: {{ operation }} {{ amount }} ({{ account }})",
        "{{ requested_by }} has moved {{ amount }} ({{ method }}) from {{ disbursing_account }} to {{ receiving_account }} at {{ at }}.",
        "Nothing needs to be done.",
        "{{ operation }} {{ amount }} ({{ method }}): {{ disbursing_account }} to {{ receiving_account }}.",
    ),
    "allocation-refused": (
        "{{ method }}: {{ operation }} {{ amount }} was refused ({{ account }})",
        "The request of {{ requested_by }} to move {{ amount }} ({{ method }}) from {{ disbursing_account }} to {{ receiving_account }} was refused at {{ at }}.",
        "See the reasons above.",
        "Refused: {{ operation }} {{ amount }} ({{ method }}): {{ disbursing_account }} to {{ receiving_account }}.",
    ),
    "task-opened": (
        "To do: {{ task }}: {{ subject }}",
        "There is something for you to do: {{ task }}: {{ subject }}.",
        "It stays on your list until it is done.",
        "To do: {{ task }}: {{ subject }}.",
    ),
    "verification-code": (
        "Your code for Coffer",
        "Your code for Coffer is {{ code }}. It is valid for {{ minutes }} minutes.",
        "Whoever asks you for it by telephone is not us. If you did not ask for it, do nothing.",
        "Your code for Coffer is {{ code }}, valid for {{ minutes }} minutes. Pass it on to nobody.",
    ),
    "digest": (
        "{{ count }} member accounts: {{ names }}",
        "{{ count }} member accounts of yours have notices of the same kind: {{ title }}.",
        "Look at the accounts above.",
        "{{ title }}: {{ count }} member accounts ({{ names }}).",
    ),
}

CHINESE: Final[Mapping[str, Text]] = {
    "quota-low-opened": (
        "账户{{ account }}可用额度不足",
        "账户{{ account }}的可用额度于{{ at }}降至{{ quota }}，低于预警阈值{{ threshold }}。",
        "请及时充值，或联系管理账号，以免影响下单。",
        "账户{{ account }}的可用额度为{{ quota }}，低于预警阈值{{ threshold }}（{{ at }}）。请及时充值。",
    ),
    "quota-low-reminder": (
        "第{{ reminder_number }}次提醒：账户{{ account }}可用额度仍不足",
        "账户{{ account }}的可用额度截至{{ at }}仍为{{ quota }}，低于预警阈值{{ threshold }}。",
        "请及时充值，或联系管理账号，以免影响下单。",
        "第{{ reminder_number }}次提醒：账户{{ account }}的可用额度仍为{{ quota }}，低于预警阈值{{ threshold }}（{{ at }}）。请及时充值。",
    ),
    "quota-low-resolved": (
        "账户{{ account }}可用额度已恢复",
        "账户{{ account }}的可用额度于{{ at }}升至{{ quota }}，预警阈值为{{ threshold }}。",
        "无需处理。",
        "账户{{ account }}的可用额度已恢复至{{ quota }}，不低于预警阈值{{ threshold }}（{{ at }}）。",
    ),
    "payment-overdue-opened": (
        "账户{{ account }}已欠费{{ overdue }}",
        "账户{{ account }}的可用额度于{{ at }}降至{{ quota }}，已欠费{{ overdue }}。",
        "请立即付款，否则该账户的服务可能被暂停。",
        "欠费通知：账户{{ account }}欠费{{ overdue }}（{{ at }}），服务可能被暂停，请立即付款。",
    ),
    "payment-overdue-cleared": (
        "账户{{ account }}已不再欠费",
        "账户{{ account }}的可用额度于{{ at }}恢复至{{ quota }}，已无欠费。",
        "无需处理。",
        "账户{{ account }}已不再欠费，可用额度{{ quota }}（{{ at }}）。",
    ),
    "credit-usage-high": (
        "{{ object }}信用额度使用率达{{ usage_percent }}",
        "{{ object }}已使用信用额度{{ used }}，额度为{{ limit }}。",
        "请及时催款，或重新评估额度，以免影响后续订单。",
        "{{ object }}信用额度{{ limit }}已使用{{ used }}。",
    ),
    "credit-overdue-amount": (
        "{{ object }}逾期金额{{ overdue }}",
        "{{ object }}的逾期应收金额为{{ overdue }}。",
        "请催款，并决定是否继续发货。",
        "{{ object }}逾期应收{{ overdue }}。",
    ),
    "credit-overdue-days": (
        "{{ object }}已逾期{{ overdue_days }}天",
        "{{ object }}最早一笔未清应收已逾期{{ overdue_days }}天。",
        "请催款，并决定是否继续发货。",
        "{{ object }}最早一笔应收已逾期{{ overdue_days }}天。",
    ),
    "credit-temporary-credit-ending": (
        "{{ object }}的临时授信将于{{ valid_until }}到期",
        "{{ object }}的临时授信有效期至{{ valid_until }}。到期后，超出正常额度的新增占用将不能通过。",
        "请延长授信，或请客户在此之前付款。",
        "{{ object }}的临时授信将于{{ valid_until }}到期。",
    ),
    "credit-profile-ending": (
        "{{ object }}的信用档案将于{{ valid_until }}到期",
        "{{ object }}的信用档案有效期至{{ valid_until }}，到期后额度为0。",
        "请及时续期。",
        "{{ object }}的信用档案将于{{ valid_until }}到期。",
    ),
    "credit-limit-expiring": (
        "{{ object }}的信用额度将于{{ valid_until }}到期",
        "{{ object }}的信用额度{{ limit }}将于{{ valid_until }}到期。",
        "请及时重新授信。",
        "{{ object }}的信用额度将于{{ valid_until }}到期。",
    ),
    "credit-check-failed": (
        "{{ object }}信用检查未通过：{{ document }}",
        "{{ object }}的单据{{ document }}于{{ at }}未通过信用检查。",
        "请查看未通过的指标，并决定调整额度或单据。",
        "信用检查未通过：{{ object }}，单据{{ document }}（{{ at }}）。",
    ),
    "credit-order-held": (
        "{{ object }}的订单{{ document }}待您特批",
        "{{ object }}的订单{{ document }}金额{{ amount }}，超出信用控制，等待特批。",
        "请批准或驳回；如上列有截止时间，逾期将自动拒绝。",
        "订单{{ document }}（{{ object }}，{{ amount }}）待您特批。",
    ),
    "credit-object-frozen": (
        "{{ object }}已被信用冻结",
        "{{ object }}于{{ at }}被信用冻结，解冻前一切新增占用均被拒绝。",
        "原因消除后请填写理由解冻。",
        "{{ object }}已被信用冻结（{{ at }}）。",
    ),
    "credit-fact-beyond-limit": (
        "{{ object }}：{{ document }}过账后超出额度",
        "{{ object }}的单据{{ document }}已过账，但超出信用控制：额度{{ limit }}，已用{{ used }}。",
        "请决定是否继续发货。",
        "{{ object }}：单据{{ document }}过账后超出信用额度。",
    ),
    "credit-grant-unconfirmed": (
        "{{ object }}：{{ document }}的批准未被确认",
        "{{ object }}的单据{{ document }}获批后未过账，占用已释放。",
        "请确认该单据是否已放弃。",
        "{{ object }}：{{ document }}的批准未被确认，占用已释放。",
    ),
    "credit-adjustment-ending": (
        "{{ object }}的信用调节将于{{ valid_until }}结束",
        "{{ object }}的信用额度调节将于{{ valid_until }}结束。",
        "请确认此后正常额度是否足够。",
        "{{ object }}的信用调节将于{{ valid_until }}结束。",
    ),
    "credit-resolved": (
        "{{ object }}：{{ alert }}已解除",
        "关于{{ object }}的预警（{{ alert }}）已于{{ at }}解除。",
        "无需处理。",
        "{{ object }}：{{ alert }}已解除。",
    ),
    "plan-due-before": (
        "{{ entity }} {{ period }}资金计划请于{{ cut_off }}前报送",
        "{{ entity }} {{ period }}的资金计划尚未提交，截止时间为{{ cut_off }}。",
        "请填报并提交。",
        "{{ entity }} {{ period }}资金计划请于{{ cut_off }}前报送。",
    ),
    "plan-due-after": (
        "{{ entity }} {{ period }}资金计划逾期未报",
        "{{ entity }} {{ period }}的资金计划应于{{ cut_off }}前提交，至今未提交。",
        "请联系汇总层级管理员延长停报时间后提交。",
        "{{ entity }} {{ period }}资金计划已过停报时间{{ cut_off }}，尚未提交。",
    ),
    "plan-due-asked": (
        "催报：{{ entity }} {{ period }}资金计划",
        "{{ asked_by }}提醒您报送{{ entity }} {{ period }}的资金计划，截止时间为{{ cut_off }}。",
        "请填报并提交。",
        "催报：{{ entity }} {{ period }}资金计划，截止{{ cut_off }}。",
    ),
    "plan-due-sent-back": (
        "{{ entity }} {{ period }}资金计划被打回",
        "{{ entity }} {{ period }}的资金计划被打回，可在{{ cut_off }}前重新提交。",
        "请修改后重新提交。",
        "{{ entity }} {{ period }}资金计划被打回，请于{{ cut_off }}前重新提交。",
    ),
    "plan-due-extended": (
        "{{ entity }} {{ period }}资金计划停报时间延至{{ cut_off }}",
        "{{ entity }} {{ period }}的资金计划现可在{{ cut_off }}前提交。",
        "请填报并提交。",
        "{{ entity }} {{ period }}资金计划停报时间延至{{ cut_off }}。",
    ),
    "plan-exceeded": (
        "{{ document }}超出{{ entity }}资金计划{{ excess }}",
        "单据{{ document }}金额{{ amount }}，超出{{ entity }} {{ period }} {{ item }}的计划额度，可用{{ available }}。控制结果：{{ outcome }}。",
        "请调整计划，或推迟该单据。",
        "{{ entity }}：单据{{ document }}（{{ amount }}）超出{{ item }}计划{{ excess }}（{{ outcome }}）。",
    ),
    "cash-gap-appeared": (
        "{{ entity }}自{{ first_day }}起资金缺口{{ gap }}",
        "{{ entity }}的预测资金头寸自{{ first_day }}起低于应保留余额，{{ lowest_day }}缺口达{{ gap }}。",
        "请提前筹措资金。",
        "{{ entity }}自{{ first_day }}起资金缺口{{ gap }}。",
    ),
    "cash-gap-worsened": (
        "{{ entity }}资金缺口扩大至{{ gap }}",
        "{{ entity }}的预测资金缺口扩大至{{ gap }}（{{ lowest_day }}），自{{ first_day }}起出现。",
        "请提前筹措资金。",
        "{{ entity }}资金缺口扩大至{{ gap }}，自{{ first_day }}起。",
    ),
    "cash-gap-closed": (
        "{{ entity }}资金缺口已消除",
        "{{ entity }}的预测资金头寸至{{ horizon }}均不低于应保留余额。",
        "无需处理。",
        "{{ entity }}资金缺口已消除。",
    ),
    "allocation-recorded": (
        "{{ method }}{{ operation }}{{ amount }}（{{ account }}）",
        "{{ requested_by }}于{{ at }}将{{ amount }}（{{ method }}）由{{ disbursing_account }}转至{{ receiving_account }}。",
        "无需处理。",
        "{{ method }}{{ operation }}{{ amount }}：{{ disbursing_account }}至{{ receiving_account }}。",
    ),
    "allocation-refused": (
        "{{ method }}{{ operation }}{{ amount }}未成功（{{ account }}）",
        "{{ requested_by }}于{{ at }}申请将{{ amount }}（{{ method }}）由{{ disbursing_account }}转至{{ receiving_account }}，未获通过。",
        "原因见上表。",
        "未成功：{{ method }}{{ operation }}{{ amount }}，{{ disbursing_account }}至{{ receiving_account }}。",
    ),
    "task-opened": (
        "待办：{{ task }}：{{ subject }}",
        "您有一项待办：{{ task }}：{{ subject }}。",
        "完成之前，它会保留在您的待办列表中。",
        "待办：{{ task }}：{{ subject }}。",
    ),
    "verification-code": (
        "您的Coffer验证码",
        "您的Coffer验证码是{{ code }}，{{ minutes }}分钟内有效。",
        "切勿告知他人。如非本人操作，请忽略。",
        "您的Coffer验证码是{{ code }}，{{ minutes }}分钟内有效，切勿告知他人。",
    ),
    "digest": (
        "{{ count }}个成员账户：{{ names }}",
        "您管理的{{ count }}个成员账户有同类通知：{{ title }}。",
        "请查看上列账户。",
        "{{ title }}：{{ count }}个成员账户（{{ names }}）。",
    ),
}

TEXTS: Final = {"en": ENGLISH, "zh-CN": CHINESE}


def product_templates() -> list[tuple[str, str, str, str, str]]:
    """(kind, style, language, subject, text) of every template of the product."""
    made = []
    for language, texts in TEXTS.items():
        for kind, (subject, what, advice, sms) in texts.items():
            table = "" if kind == "verification-code" else "\n\n{{ table }}"
            text = f"{what}{table}\n\n{advice}"
            made.append((kind, "sms", language, "", sms))
            made.append((kind, "email", language, subject, text))
            made.append((kind, "chat", language, subject, text))
    return made
