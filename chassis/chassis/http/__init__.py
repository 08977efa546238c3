"""Queries and commands over HTTP: authenticated, authorized, each in one snapshot or one transaction."""

from chassis.http.application import OPEN_PATHS, build_app, unprotected_routes
from chassis.http.auth import Authenticator, KeySet, Principal
from chassis.http.conversation import retried
from chassis.http.downloads import DOWNLOAD, download, stream
from chassis.http.exchange import Context, CurrentAccess, CurrentPrincipal, Now, Reader, Work
from chassis.http.listings import asked_of, listed
from chassis.http.paging import CursorPage, Page, PageRequest
from chassis.http.policy import LOADED, Access, Forbidden, NotFound, Policy, Visible, authorize
from chassis.http.ports import HttpContext, Readiness
from chassis.http.problems import FieldError, Problem
from chassis.http.router import Router

__all__ = [
    "DOWNLOAD",
    "LOADED",
    "OPEN_PATHS",
    "Access",
    "Authenticator",
    "Context",
    "CurrentAccess",
    "CurrentPrincipal",
    "CursorPage",
    "FieldError",
    "Forbidden",
    "HttpContext",
    "KeySet",
    "NotFound",
    "Now",
    "Page",
    "PageRequest",
    "Policy",
    "Principal",
    "Problem",
    "Reader",
    "Readiness",
    "Router",
    "Visible",
    "Work",
    "asked_of",
    "authorize",
    "build_app",
    "download",
    "listed",
    "retried",
    "stream",
    "unprotected_routes",
]
