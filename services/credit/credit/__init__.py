"""credit: the gate that every order passes, and the exposure that it leaves behind."""
