from fund_pool.app import service

service.main()
