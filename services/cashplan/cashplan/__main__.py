from cashplan.app import service

service.main()
