"""The service on one page."""

from chassis import Service, Subscription
from contracts import PaymentReceived
from sample_service import handlers

service = Service(
    name="sample",
    package="sample_service",
    subscriptions=(Subscription(handlers.count_payments, PaymentReceived),),
)
