"""`python -m credit serve|migrate|verify|...`"""

from credit.app import service

service.main()
