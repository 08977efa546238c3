"""`make verify`: does everything that was acknowledged have its effect, once, and do the services agree?"""
