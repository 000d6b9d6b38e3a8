"""Every store of the platform once more, in memory.

Written anew against the ports, as simply as possible, so that it can judge the real one: what
differs between the two is a defect of one of them.
"""
