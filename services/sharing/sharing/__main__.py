from sharing.app import service

service.main()
